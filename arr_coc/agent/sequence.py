"""Observations one after the other: filtering, and exact smoothing by the forward-backward algorithm."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from string import ascii_letters

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.evidence import Observation, Soft, joint_log, log_likelihood
from arr_coc.agent.inference import Method, infer_posterior, start
from arr_coc.agent.maths import Beliefs, product
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.predict import predict_states, transition

SMOOTHER_LIMIT = 2**12
"""States of the joint beyond which `smooth_states` refuses: its transitions are the square of that."""

Trajectory = tuple[Float[Tensor, "batch time _"], ...]
"""Beliefs about each factor at each time."""


@dataclass(frozen=True)
class Filtered:
    """What was believed at each step, given the observations until then."""

    qs: Trajectory
    """The posterior of each step."""
    prior: Trajectory
    """What was predicted before its observation came."""
    F: Float[Tensor, "batch time"]
    """Free energy of each observation given those before; with one factor the sum is -ln p(o_1, ..., o_T)."""


@dataclass(frozen=True)
class Smoothed:
    """What is believed of each step given all observations."""

    qs: Trajectory
    """The marginal of each factor and step."""
    pairs: tuple[Float[Tensor, "batch steps ..."], ...]
    """For each factor the joint of its state and its parents' before: (batch, time - 1, next, *previous)."""
    F: Float[Tensor, " batch"]
    """-ln p(o_1, ..., o_T), in nats."""


def filter_states(
    model: GenerativeModel,
    obs: Sequence[Observation],
    actions: Int[Tensor, "batch steps controls"],
    prior: Beliefs | None = None,
    method: Method = "auto",
    iterations: int = 16,
    tolerance: float = 1e-6,
    soft: Soft = "expected_log",
) -> Filtered:
    """Perception step by step; `actions[:, t]` was taken between the observations t and t + 1.

    `obs`: for each modality (batch, time) indices, (batch, time, outcomes) weights, or None. `prior`: of the
    first step, D by default. The rest is as in `infer_posterior`.
    """
    qs, priors, F = [], [], []
    for t in range(actions.shape[1] + 1):
        now = [None if o is None else o[:, t] for o in obs]
        if prior is None:
            prior = start(model, len(actions))
        posterior = infer_posterior(model, now, prior, method, iterations, tolerance, soft)
        qs.append(posterior.qs)
        priors.append(prior)
        F.append(posterior.F)
        if t < actions.shape[1]:
            prior = predict_states(model, posterior.qs, actions[:, t])
    return Filtered(in_time(qs), in_time(priors), torch.stack(F, dim=1))


def smooth_states(
    model: GenerativeModel,
    obs: Sequence[Observation],
    actions: Int[Tensor, "batch steps controls"],
    prior: Beliefs | None = None,
    soft: Soft = "expected_log",
) -> Smoothed:
    """The exact posterior of every step given all observations, over the joint of all factors.

    Raises ValueError where that joint has more than `SMOOTHER_LIMIT` states.
    """
    states = prod(model.n_states)
    if states > SMOOTHER_LIMIT:
        raise ValueError(
            f"exact smoothing takes at most {SMOOTHER_LIMIT} joint states, got {states}: "
            "use variational_messages"
        )
    prior = start(model, len(actions)) if prior is None else prior
    batch, steps = actions.shape[:2]
    log = joint_log(log_likelihood(model, obs, soft), range(model.n_factors))
    if log is None:
        log = prior[0].new_zeros(batch, steps + 1, *[1] * model.n_factors)
    log = log.expand(batch, steps + 1, *model.n_states).flatten(2)
    # What the largest likelihood of a step is taken out of, so that nothing underflows.
    peak = log.amax(2, keepdim=True).detach()
    seen = (log - peak).exp().unbind(1)
    moves = [joint_transition(model, actions[:, t]) for t in range(steps)]

    forward, scale = [], []
    predicted = product(prior)
    for t in range(steps + 1):
        weight = seen[t] * predicted
        scale.append(weight.sum(1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny))
        forward.append(weight / scale[t])
        if t < steps:
            predicted = (moves[t] @ forward[t][:, :, None])[:, :, 0]
    backward = [torch.ones_like(forward[-1])]
    pairs: list[Tensor] = []
    for t in reversed(range(steps)):
        after = seen[t + 1] * backward[0] / scale[t + 1]  # (batch, next)
        pairs.insert(0, after[:, :, None] * moves[t] * forward[t][:, None, :])
        backward.insert(0, (after[:, None, :] @ moves[t])[:, 0])
    marginal = torch.stack([a * b for a, b in zip(forward, backward, strict=True)], dim=1)
    F = -(torch.stack(scale, dim=1).log() + peak).sum((1, 2))
    return Smoothed(_marginals(model, marginal), _pair_marginals(model, pairs, marginal), F)


def joint_transition(
    model: GenerativeModel, action: Int[Tensor, "batch controls"]
) -> Float[Tensor, "batch next previous"]:
    """P(s' | s, action) over the joint of all factors, flat, the first factor slowest."""
    n = model.n_factors
    names = iter(ascii_letters)
    batch = next(names)
    after, before = [next(names) for _ in range(n)], [next(names) for _ in range(n)]
    terms = [
        batch + after[f] + "".join(before[g] for g in parents) for f, parents in enumerate(model.B_factors)
    ]
    moves = [transition(model, f, action) for f in range(n)]
    # A factor that is nobody's parent still has its axis.
    unused = [g for g in range(n) if not any(g in parents for parents in model.B_factors)]
    terms += [before[g] for g in unused]
    moves += [model.D[g].new_ones(model.n_states[g]) for g in unused]
    joint: Tensor = torch.einsum(f"{','.join(terms)}->{batch}{''.join(after)}{''.join(before)}", *moves)
    states = prod(model.n_states)
    return joint.reshape(len(action), states, states)


def in_time(steps: Sequence[Beliefs]) -> Trajectory:
    """Beliefs at each step, stacked along time."""
    return tuple(torch.stack(of_factor, dim=1) for of_factor in zip(*steps, strict=True))


def independent_pairs(model: GenerativeModel, qs: Trajectory) -> tuple[Float[Tensor, "batch steps ..."], ...]:
    """For each factor the joint of its next state and its parents' previous ones, as if independent."""
    out = []
    for f, parents in enumerate(model.B_factors):
        pair = qs[f][:, 1:]
        for g in parents:
            pair = pair[..., None] * qs[g][:, :-1].reshape(*pair.shape[:2], *[1] * (pair.ndim - 2), -1)
        out.append(pair)
    return tuple(out)


def _marginals(model: GenerativeModel, joint: Float[Tensor, "batch time states"]) -> Trajectory:
    joint = joint.view(*joint.shape[:2], *model.n_states)
    n = model.n_factors
    return tuple(joint.sum([2 + g for g in range(n) if g != f]) if n > 1 else joint for f in range(n))


def _pair_marginals(
    model: GenerativeModel, pairs: Sequence[Tensor], marginal: Tensor
) -> tuple[Float[Tensor, "batch steps ..."], ...]:
    n = model.n_factors
    if pairs:
        joint = torch.stack(list(pairs), dim=1)
    else:
        joint = marginal.new_empty(len(marginal), 0, marginal.shape[2], marginal.shape[2])
    joint = joint.view(*joint.shape[:2], *model.n_states, *model.n_states)
    out = []
    for f, parents in enumerate(model.B_factors):
        gone = [2 + g for g in range(n) if g != f] + [2 + n + g for g in range(n) if g not in parents]
        pair = joint.sum(gone) if gone else joint
        order = sorted(parents)
        out.append(pair.permute(0, 1, 2, *(3 + order.index(g) for g in parents)))
    return tuple(out)
