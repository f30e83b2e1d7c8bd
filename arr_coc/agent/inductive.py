"""Inductive inference: avoid states from which an intended state can no longer be reached in time.

Backwards from the intended states, states that can reach them in 0, 1, ... steps are marked; a plan pays for
the
probability of being, one step on, outside the marked set that today's best guess is about to enter.
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

    states: tuple[Float[Tensor, " _"], ...]
    """For each factor (states_f,), 1 where intended; all zeros where the factor does not matter."""
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


def reachability(model: GenerativeModel, intention: Intention) -> tuple[Float[Tensor, "depth _"], ...]:
    """For each factor, 1 where an intended state can be reached in exactly so many steps, under some action.

    For a model shared by all agents. Of other factors that a transition depends on, the most helpful state
    counts.
    """
    if len(intention.states) != model.n_factors:
        raise ValueError(f"intended states must have {model.n_factors} factors, got {len(intention.states)}")
    marked = []
    for f, (wanted, b) in enumerate(zip(intention.states, model.B, strict=True)):
        if wanted.shape != (model.n_states[f],):
            raise ValueError(
                f"intended states of factor {f} must be ({model.n_states[f]},), got {tuple(wanted.shape)}"
            )
        parents = model.B_factors[f]
        others = [1 + i for i, g in enumerate(parents) if g != f]
        others += range(1 + len(parents), b.ndim)
        way = (b > intention.threshold).to(b.dtype)
        way = way.amax(others) if others else way
        way = way.expand(-1, len(wanted)) if f in parents else way[:, None].expand(-1, len(wanted))
        rows = [(wanted > 0).to(b.dtype)]
        for _ in range(intention.depth - 1):
            rows.append((rows[-1] @ way > 0).to(b.dtype))
        marked.append(torch.stack(rows))
    return tuple(marked)


def inductive_cost(
    reachable: Sequence[Float[Tensor, "depth _"]], qs: Sequence[Float[Tensor, "batch _"]], epsilon: float
) -> tuple[Float[Tensor, "batch _"], ...]:
    """For each factor, the cost in nats of each next state, given beliefs now: -ln epsilon off the way.

    Nothing costs anything where the most likely state has no way at all.
    """
    costs = []
    for marked, q in zip(reachable, qs, strict=True):
        here = marked[:, q.argmax(1)]  # (depth, batch)
        after = (here.argmax(0) - 1).clamp_min(0)
        costs.append((1 - marked[after]) * (-log(epsilon)) * here.amax(0)[:, None])
    return tuple(costs)
