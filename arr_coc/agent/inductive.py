"""Inductive inference: avoid states from which an intended state can no longer be reached in time.

Backwards from the intended states, states that can reach them in 0, 1, ... steps are marked; a plan pays for
the probability of being, one step on, outside the marked set that today's best guess is about to enter.
https://arxiv.org/abs/2311.10300
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.model import GenerativeModel


@dataclass(frozen=True)
class Intention:
    """Where an agent means to end up."""

    states: tuple[Float[Tensor, "*batch _"], ...]
    """For each factor (states_f,), 1 where intended; all zeros where the factor does not matter. With a model
    for each agent also (batch, states_f): to each its own."""
    depth: int = 8
    """How many steps back states are marked."""
    threshold: float = 0.1
    """Transitions at most this likely do not count as ways."""
    epsilon: float = 1e-3
    """A step off the way costs -ln epsilon nats."""

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"depth must be at least 1, got {self.depth}")
        if not 0 < self.epsilon <= 1:
            raise ValueError(f"epsilon must lie in (0, 1], got {self.epsilon}")


def reachability(model: GenerativeModel, intention: Intention) -> tuple[Float[Tensor, "*batch depth _"], ...]:
    """For each factor, 1 where an intended state can be reached in exactly so many steps, under some action.

    With an axis `batch` first if every agent has a model of its own. Of other factors that a transition
    depends on, the most helpful state counts. Raises ValueError for intended states of another shape.
    """
    if len(intention.states) != model.n_factors:
        raise ValueError(f"intended states must have {model.n_factors} factors, got {len(intention.states)}")
    lead = () if model.batch is None else (model.batch,)
    marked = []
    for f, (wanted, b) in enumerate(zip(intention.states, model.B, strict=True)):
        shape = (*lead, model.n_states[f])
        if wanted.shape not in (shape, shape[len(lead) :]):
            raise ValueError(f"intended states of factor {f} must be {shape}, got {tuple(wanted.shape)}")
        parents, first = model.B_factors[f], len(lead)
        others = [first + 1 + i for i, g in enumerate(parents) if g != f]
        others += range(first + 1 + len(parents), b.ndim)
        way = (b > intention.threshold).to(b.dtype)
        way = way.amax(others) if others else way  # (*batch, next, previous)
        way = way if f in parents else way[..., None].expand(*shape, shape[-1])
        rows = [(wanted > 0).to(b.dtype).expand(shape)]
        for _ in range(intention.depth - 1):
            rows.append(((rows[-1].unsqueeze(-2) @ way).squeeze(-2) > 0).to(b.dtype))
        marked.append(torch.stack(rows, dim=-2))
    return tuple(marked)


def inductive_cost(
    reachable: Sequence[Float[Tensor, "*batch depth _"]],
    qs: Sequence[Float[Tensor, "batch _"]],
    epsilon: float,
) -> tuple[Float[Tensor, "batch _"], ...]:
    """For each factor, the cost in nats of each next state, given beliefs now: -ln epsilon off the way.

    Nothing costs anything where the most likely state has no way at all.
    """
    costs = []
    for marked, q in zip(reachable, qs, strict=True):
        each = marked.expand(len(q), *marked.shape[-2:])
        here = each.gather(2, q.argmax(1)[:, None, None].expand(-1, each.shape[1], 1))[..., 0]
        after = (here.argmax(1) - 1).clamp_min(0)
        ahead = each[torch.arange(len(q), device=q.device), after]
        costs.append((1 - ahead) * (-log(epsilon)) * here.amax(1)[:, None])
    return tuple(costs)
