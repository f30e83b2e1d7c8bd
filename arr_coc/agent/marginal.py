"""Marginal message passing over a window, as SPM's spm_MDP_VB_X does it for each policy.

A belief is pulled towards the average of what the step before and the step after say of it,
q_t = softmax(ln E[L_t] + (ln B q_(t-1) + ln B' q_(t+1)) / 2), L the likelihood, B' the normalised transpose
(Parr et al. 2019, https://doi.org/10.1038/s41598-018-38246-3). Nearer to the exact marginals than mean field
over time, which is overconfident; but its free energy approximates and does not bound -ln p(o).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.evidence import Observation, Soft, joint_log, log_likelihood
from arr_coc.agent.inference import linked
from arr_coc.agent.maths import Beliefs, log_stable, normalised
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.predict import transition
from arr_coc.agent.sequence import Trajectory, in_time
from arr_coc.agent.window import Window, begun

PAUSE = exp(-8)
"""Nats. SPM lets a row whose F fell by less in the last sweep sit out the next, if among the first four."""


@dataclass(frozen=True)
class _Messages:
    """What does not change between sweeps."""

    log_prior: Beliefs
    forward: list[list[Float[Tensor, "batch _ _"]]]
    """By step and factor: B, (batch, next, previous)."""
    backward: list[list[Float[Tensor, "batch _ _"]]]
    """By step and factor: the transpose of B, its columns normalised."""
    evidence: list[tuple[tuple[int, ...], Float[Tensor, "batch time ..."]]]
    """Groups of linked factors, with the joint likelihood of what was observed; its largest value is 1."""
    peak: Float[Tensor, "batch time groups"]
    """The logarithms of those largest values."""


def marginal_messages(
    model: GenerativeModel,
    obs: Sequence[Observation],
    actions: Int[Tensor, "batch steps controls"],
    prior: Beliefs | None = None,
    qs: Trajectory | None = None,
    iterations: int = 16,
    tau: float = 4.0,
    soft: Soft = "expected_log",
) -> Window:
    """Beliefs over the window after `iterations` sweeps of gradient steps of 1 / `tau`, and their F.

    `qs`: where to start; in SPM what was believed one observation ago, flattened by `softened`. Default: the
    prior, and uniform after it. `obs` and `prior` are as in `filter_states`. Raises ValueError where a
    factor depends on other factors' past: use `variational_messages` there.
    """
    own = tuple((f,) for f in range(model.n_factors))
    if model.B_factors != own:
        raise ValueError(
            f"marginal messages need factors that depend on their own past only, got B_factors "
            f"{model.B_factors}: use variational_messages"
        )
    prior, qs = begun(model, actions, prior, qs, lambda prior: first_guess(prior, actions.shape[1] + 1))
    messages = _messages(model, obs, actions, prior, soft)
    beliefs = [[q[:, t] for q in qs] for t in range(actions.shape[1] + 1)]
    active = torch.ones_like(prior[0][:, 0], dtype=torch.bool)
    F = torch.zeros_like(prior[0][:, 0])
    for i in range(iterations):
        before, F = F, torch.zeros_like(F)
        for t in range(len(beliefs)):
            for f in range(model.n_factors):
                F = F + _update(messages, beliefs, t, f, tau, active)
        F = torch.where(active, F, 0.0)
        active = (before - F > PAUSE) | (i < 1) | (i >= 3)
    return Window(in_time([tuple(step) for step in beliefs]), F)


def softened(qs: Trajectory, by: float = 4.0) -> Trajectory:
    """Beliefs to the power of 1 / `by`: how SPM lets go of old ones before a new observation."""
    return tuple((log_stable(q) / by).softmax(-1) for q in qs)


def first_guess(prior: Beliefs, time: int) -> Trajectory:
    """The prior, then uniform beliefs."""
    later = [torch.full_like(p, 1 / p.shape[1]) for p in prior]
    return in_time([prior, *[tuple(later)] * (time - 1)])


def _update(
    messages: _Messages, beliefs: list[list[Tensor]], t: int, f: int, tau: float, active: Tensor
) -> Float[Tensor, " batch"]:
    """One gradient step on one factor at one time, in place; returns its share of F before the step."""
    last = len(beliefs) - 1
    old = beliefs[t][f]
    log_q = log_stable(old)
    fit = _evidence(messages, beliefs, t, f)
    if t == 0:
        gradient = messages.log_prior[f] + fit - log_q
    else:
        gradient = _said(messages.forward[t - 1][f], beliefs[t - 1][f]) + fit - log_q
    if t < last:
        gradient = gradient + _said(messages.backward[t][f], beliefs[t + 1][f]) + fit - log_q
    share = 0.5 * gradient
    if 0 < t < last:
        n = len(beliefs[t])
        share = share - (n - 1) / n * fit
    new = (log_q + (gradient - gradient.mean(1, keepdim=True)) / tau).softmax(-1)
    beliefs[t][f] = torch.where(active[:, None], new, old)
    return -(old * share).sum(1)


def _said(move: Float[Tensor, "batch to origin"], q: Float[Tensor, "batch origin"]) -> Tensor:
    return log_stable((move @ q[:, :, None])[:, :, 0])


def _evidence(messages: _Messages, beliefs: list[list[Tensor]], t: int, f: int) -> Tensor:
    """ln of the likelihood expected under the other factors: SPM averages it before the logarithm."""
    for index, (group, likelihood) in enumerate(messages.evidence):
        if f not in group:
            continue
        message = likelihood[:, t]
        for position in reversed(range(len(group))):
            if group[position] != f:
                q = beliefs[t][group[position]]
                shape = [len(q)] + [1] * (message.ndim - 1)
                shape[1 + position] = q.shape[1]
                message = (message * q.view(shape)).sum(1 + position, keepdim=True)
        return log_stable(message.flatten(1)) + messages.peak[:, t, index, None]
    return torch.zeros_like(beliefs[t][f])


def _messages(
    model: GenerativeModel,
    obs: Sequence[Observation],
    actions: Int[Tensor, "batch steps controls"],
    prior: Beliefs,
    soft: Soft,
) -> _Messages:
    factors = range(model.n_factors)
    forward = [[transition(model, f, action) for f in factors] for action in actions.unbind(1)]
    backward = [[normalised(b.transpose(1, 2), dim=1) for b in step] for step in forward]
    terms = log_likelihood(model, obs, soft)
    evidence, peaks = [], [prior[0].new_zeros(len(actions), actions.shape[1] + 1)]
    for group in linked(terms, model.n_factors):
        log = joint_log(terms, group)
        if log is not None:
            peaks.append(log.flatten(2).amax(2))
            scaled = log - peaks[-1].view(*log.shape[:2], *[1] * len(group))
            evidence.append((group, scaled.exp()))
    peak = torch.stack(peaks[1:] or peaks, dim=2)
    return _Messages(tuple(log_stable(p) for p in prior), forward, backward, evidence, peak)
