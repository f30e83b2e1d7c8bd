"""Learning: Dirichlet counts of A, B, C, D and E grow with what was inferred, and the model follows.

counts <- (1 - forgetting) counts + rate * (expected number of times), and the parameter is their mean. A
count of zero is a certainty and stays zero. A model shared by a batch learns from all of it; one for each
agent, each from its own. Beliefs and observations have a time axis: (batch, time, ...).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from arr_coc.agent.evidence import Observation
from arr_coc.agent.maths import Beliefs, dirichlet_kl, log_stable, normalised
from arr_coc.agent.model import GenerativeModel, Tensors
from arr_coc.agent.sequence import Trajectory


def update_A(  # noqa: N802
    model: GenerativeModel,
    obs: Sequence[Observation],
    qs: Trajectory,
    rate: float = 1.0,
    forgetting: float = 0.0,
    weight: Float[Tensor, "batch time"] | None = None,
) -> GenerativeModel:
    """The model having seen `obs` in states distributed as `qs`; what was not observed counts for nothing.

    `weight` says how much each step counts: 0 for padding. Raises ValueError if the model has no pA.
    """
    old = _counts_of(model.pA, "pA")
    seen = count_outcomes(model, obs, qs, weight)
    pA = tuple(_grown(p, s, rate, forgetting) for p, s in zip(old, seen, strict=True))
    return model.replace(pA=pA, A=tuple(normalised(p, _axis(model)) for p in pA))


def update_B(  # noqa: N802
    model: GenerativeModel,
    pairs: Sequence[Float[Tensor, "batch steps ..."]],
    actions: Int[Tensor, "batch steps controls"],
    rate: float = 1.0,
    forgetting: float = 0.0,
    weight: Float[Tensor, "batch steps"] | None = None,
) -> GenerativeModel:
    """The model having moved as in `pairs` under `actions`.

    `pairs`: for each factor the joint (batch, steps, next, *previous) of its next state and its parents'
    states before: `Smoothed.pairs`, which is exact, or `independent_pairs`. The rest is as in `update_A`.
    """
    old = _counts_of(model.pB, "pB")
    seen = count_transitions(model, pairs, actions, weight)
    pB = tuple(_grown(p, s, rate, forgetting) for p, s in zip(old, seen, strict=True))
    return model.replace(pB=pB, B=tuple(normalised(p, _axis(model)) for p in pB))


def update_C(  # noqa: N802
    model: GenerativeModel,
    obs: Sequence[Observation],
    rate: float = 1.0,
    forgetting: float = 0.0,
    weight: Float[Tensor, "batch time"] | None = None,
    first: int = 0,
) -> GenerativeModel:
    """The model having seen `obs`: what is familiar is preferred, C = ln of the mean of the counts.

    `first`: the row of preferences over time that belongs to the first observation. The rest is as in
    `update_A`. Raises ValueError if the model has no pC, or no row for an observation. Preference learning
    as in Sajid et al. 2021, https://arxiv.org/abs/2106.04316.
    """
    old = _counts_of(model.pC, "pC")
    seen = count_preferences(model, obs, weight, first)
    pC = tuple(_grown(p, s, rate, forgetting) for p, s in zip(old, seen, strict=True))
    return model.replace(pC=pC, C=tuple(log_stable(normalised(p, -1)) for p in pC))


def update_D(  # noqa: N802
    model: GenerativeModel,
    qs: Beliefs,
    rate: float = 1.0,
    forgetting: float = 0.0,
    weight: Float[Tensor, " batch"] | None = None,
) -> GenerativeModel:
    """The model having started in states distributed as `qs`, the beliefs about the first step."""
    old = _counts_of(model.pD, "pD")
    pD = tuple(_grown(p, _count(model, q, weight), rate, forgetting) for p, q in zip(old, qs, strict=True))
    return model.replace(pD=pD, D=tuple(normalised(p, _axis(model)) for p in pD))


def update_E(  # noqa: N802
    model: GenerativeModel,
    q_pi: Float[Tensor, "batch policies"],
    rate: float = 1.0,
    forgetting: float = 0.0,
    weight: Float[Tensor, " batch"] | None = None,
) -> GenerativeModel:
    """The model having pursued policies with probabilities `q_pi`: habits form."""
    (old,) = _counts_of(None if model.pE is None else (model.pE,), "pE")
    pE = _grown(old, _count(model, q_pi, weight), rate, forgetting)
    return model.replace(pE=pE, E=normalised(pE, _axis(model)))


def count_outcomes(
    model: GenerativeModel,
    obs: Sequence[Observation],
    qs: Trajectory,
    weight: Float[Tensor, "batch time"] | None = None,
) -> Tensors:
    """Expected number of times each outcome was seen in each state, in the shapes of A."""
    out = []
    for a, o, size, factors in zip(model.A, obs, model.n_obs, model.A_factors, strict=True):
        if o is None:
            out.append(torch.zeros_like(a))
            continue
        joint = _joint([qs[f] for f in factors], o.shape[:2], a, weight)
        if o.is_floating_point():
            equation = "bto,btx->ox" if model.batch is None else "bto,btx->box"
            out.append(torch.einsum(equation, o, joint).reshape(a.shape))
        else:
            # The row after the last takes what was not observed.
            counted = _added(model, joint, torch.where(o < 0, size, o), size + 1)
            out.append(counted.narrow(-2, 0, size).reshape(a.shape))
    return tuple(out)


def count_preferences(
    model: GenerativeModel,
    obs: Sequence[Observation],
    weight: Float[Tensor, "batch time"] | None = None,
    first: int = 0,
) -> Tensors:
    """Number of times each outcome was seen, in the shapes of C: at each time where C is over time."""
    out = []
    for m, (c, o) in enumerate(zip(model.C, obs, strict=True)):
        over_time = c.ndim - (model.batch is not None) == 2
        if o is None:
            out.append(torch.zeros_like(c))
            continue
        if over_time and first + o.shape[1] > c.shape[-2]:
            raise ValueError(
                f"pC[{m}] has {c.shape[-2]} rows over time (axis {c.ndim - 2}) and {o.shape[1]} observations "
                f"from step {first} take {first + o.shape[1]}"
            )
        # A row of the identity for each outcome; that after the last takes what was not observed.
        each = torch.eye(c.shape[-1] + 1, c.shape[-1], dtype=c.dtype, device=c.device)
        shown = o if o.is_floating_point() else each[torch.where(o < 0, c.shape[-1], o)]
        shown = shown if weight is None else shown * weight[:, :, None]
        shown = shown if over_time else shown.sum(1)
        shown = shown.sum(0) if model.batch is None else shown
        if over_time:
            shown = pad(shown, (0, 0, first, c.shape[-2] - first - shown.shape[-2]))
        out.append(shown)
    return tuple(out)


def count_transitions(
    model: GenerativeModel,
    pairs: Sequence[Float[Tensor, "batch steps ..."]],
    actions: Int[Tensor, "batch steps controls"],
    weight: Float[Tensor, "batch steps"] | None = None,
) -> Tensors:
    """Expected number of times each transition was made under each action, in the shapes of B."""
    out = []
    for b, pair, controls in zip(model.B, pairs, model.B_controls, strict=True):
        flat = pair.flatten(2) if weight is None else pair.flatten(2) * weight[:, :, None]
        sizes = b.shape[b.ndim - len(controls) :]
        taken, combinations = torch.zeros_like(actions[:, :, 0]), 1
        for c, size in zip(controls, sizes, strict=True):
            taken, combinations = taken * size + actions[:, :, c], combinations * size
        counted = _added(model, flat, taken, combinations)
        out.append(counted.transpose(-1, -2).reshape(b.shape))
    return tuple(out)


def parameter_divergence(
    new: Sequence[Float[Tensor, "..."]], old: Sequence[Float[Tensor, "..."]], batched: bool = False
) -> tuple[Float[Tensor, "..."], ...]:
    """KL in nats of each tensor of Dirichlet counts from what it was: the complexity that learning adds."""
    axis = 1 if batched else 0
    kl = [dirichlet_kl(n, o, dim=axis) for n, o in zip(new, old, strict=True)]
    return tuple(x.flatten(1).sum(1) if batched and x.ndim > 1 else x if batched else x.sum() for x in kl)


def _axis(model: GenerativeModel) -> int:
    return 0 if model.batch is None else 1


def _counts_of(counts: Tensors | None, name: str) -> Tensors:
    if counts is None:
        raise ValueError(f"the model has no {name}: give it Dirichlet counts to learn {name[1]}")
    return counts


def _grown(counts: Tensor, seen: Tensor, rate: float, forgetting: float) -> Tensor:
    if not 0 <= forgetting < 1:
        raise ValueError(f"forgetting must lie in [0, 1), got {forgetting}")
    if rate < 0:
        raise ValueError(f"rate must be at least 0, got {rate}")
    return counts * (1 - forgetting) + rate * seen * (counts > 0)


def _count(model: GenerativeModel, q: Tensor, weight: Tensor | None) -> Tensor:
    weighted = q if weight is None else q * weight[:, None]
    return weighted.sum(0) if model.batch is None else weighted


def _joint(qs: Sequence[Tensor], lead: Sequence[int], like: Tensor, weight: Tensor | None) -> Tensor:
    """The product of marginals, (batch, time, states), each step at its weight."""
    joint = like.new_ones(*lead, 1) if weight is None else weight[:, :, None]
    for q in qs:
        joint = (joint[..., None] * q[..., None, :]).flatten(2)
    return joint


def _added(
    model: GenerativeModel, x: Float[Tensor, "batch time n"], index: Int[Tensor, "batch time"], size: int
) -> Float[Tensor, "*batch size n"]:
    """Sum of the rows of x that have the same index; for each agent if each has its own model."""
    if model.batch is None:
        return x.new_zeros(size, x.shape[2]).index_add(0, index.flatten(), x.flatten(0, 1))
    own = index + size * torch.arange(len(index), device=index.device)[:, None]
    added = x.new_zeros(len(x) * size, x.shape[2]).index_add(0, own.flatten(), x.flatten(0, 1))
    return added.view(len(x), size, -1)
