"""Perception: the posterior over hidden states and its variational free energy.

F[q] = KL[q(s) || p(s)] - E_q ln P(o | s), complexity less accuracy, is never below -ln p(o).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.evidence import Observation, Soft, Term, joint_log, log_likelihood, padded_logs
from arr_coc.agent.maths import TINY, Beliefs, log_stable
from arr_coc.agent.mean_field import ascend, complexity_and_accuracy
from arr_coc.agent.model import GenerativeModel

Method = Literal["auto", "exact", "mean_field"]

JOINT_LIMIT = 2**14
"""`auto` is exact where linked factors have at most so many joint states, or one modality depends on all."""


@dataclass(frozen=True)
class Posterior:
    """What is believed after an observation, and how well it explains it."""

    qs: Beliefs
    """The marginal over each factor's states."""
    F: Float[Tensor, " batch"]
    """Variational free energy in nats; -ln p(o) where inference was exact."""
    accuracy: Float[Tensor, " batch"]
    """Expected log-likelihood of the observation, in nats."""

    @property
    def complexity(self) -> Float[Tensor, " batch"]:
        """KL of the posterior from the prior, in nats: of the joint if exact, else of the marginals."""
        return self.F + self.accuracy


def infer_states(
    model: GenerativeModel,
    obs: Sequence[Observation],
    prior: Beliefs | None = None,
    method: Method = "auto",
    iterations: int = 16,
    tolerance: float = 1e-6,
    soft: Soft = "expected_log",
) -> Beliefs:
    """The posterior marginal of each factor: `infer_posterior` without its free energy.

    `prior`: what was predicted from the step before, D if there was none. `obs` is taken as it is:
    `check_observations` checks it where it comes in.
    """
    # One factor, one outcome: Bayes' rule in few operations. Others are none the slower.
    if model.A_factors == ((0,),) and len(model.D) == 1 and len(obs) == 1 and method != "mean_field":
        o = obs[0]
        if o is not None and not o.is_floating_point():
            alone = None if prior is None else _of_one_agent(model, o, prior[0])
            if alone is not None:
                return (alone,)
            joint = _likelihood(model, o) * (model.D[0] if prior is None else prior[0])
            return (joint / joint.sum(-1, keepdim=True),)
    terms = log_likelihood(model, obs, soft)
    prior = start(model, _batch(obs)) if prior is None else prior
    if _is_exact(model, terms, method):
        return _exact(terms, prior).qs
    return ascend(terms, prior, prior, iterations, tolerance)


def infer_posterior(
    model: GenerativeModel,
    obs: Sequence[Observation],
    prior: Beliefs | None = None,
    method: Method = "auto",
    iterations: int = 16,
    tolerance: float = 1e-6,
    soft: Soft = "expected_log",
) -> Posterior:
    """The posterior and its free energy.

    exact: Bayes' rule over the joint of those factors that the observation links. mean_field: coordinate
    ascent from the prior, at most `iterations` sweeps, each row until one lowers its F by less than
    `tolerance`; 0 makes all sweeps and never waits for a GPU. auto: exact where that is cheap.
    """
    terms = log_likelihood(model, obs, soft)
    prior = start(model, _batch(obs)) if prior is None else prior
    if _is_exact(model, terms, method):
        return _exact(terms, prior)
    return _of(ascend(terms, prior, prior, iterations, tolerance), terms, prior)


def free_energy(
    model: GenerativeModel,
    obs: Sequence[Observation],
    qs: Beliefs,
    prior: Beliefs | None = None,
    soft: Soft = "expected_log",
) -> Posterior:
    """Any beliefs about the factors, taken as independent, with their complexity and accuracy."""
    prior = start(model, _batch(obs)) if prior is None else prior
    return _of(qs, log_likelihood(model, obs, soft), prior)


def start(model: GenerativeModel, batch: int) -> Beliefs:
    """D for each of `batch` agents: the prior of the first step."""
    return model.D if model.batch is not None else tuple(d.expand(batch, -1) for d in model.D)


def linked(terms: Sequence[Term], n_factors: int) -> list[tuple[int, ...]]:
    """The factors in groups such that no term depends on factors of two groups: independent a posteriori."""
    group = {f: {f} for f in range(n_factors)}
    for term in terms:
        union = set[int]().union(*(group[f] for f in term.factors))
        group |= dict.fromkeys(union, union)
    return sorted({tuple(sorted(g)) for g in group.values()})


def _batch(obs: Sequence[Observation]) -> int:
    return next((len(o) for o in obs if o is not None), 1)


def _of(qs: Beliefs, terms: Sequence[Term], prior: Beliefs) -> Posterior:
    complexity, accuracy = complexity_and_accuracy(terms, qs, prior)
    return Posterior(qs, complexity - accuracy, accuracy)


def _is_exact(model: GenerativeModel, terms: Sequence[Term], method: Method) -> bool:
    if method != "auto":
        return method == "exact"
    observed = {term.factors for term in terms}
    return all(
        prod(model.n_states[f] for f in group) <= JOINT_LIMIT or group in observed
        for group in linked(terms, model.n_factors)
    )


def _exact(terms: Sequence[Term], prior: Beliefs) -> Posterior:
    qs = list(prior)
    F = accuracy = prior[0].new_zeros(len(prior[0]))
    for group in linked(terms, len(prior)):
        log_l = joint_log(terms, group)
        if log_l is None:
            continue
        log_p = joint_log([Term((f,), log_stable(prior[f])) for f in group], group)
        assert log_p is not None
        joint, log_evidence = _softmax((log_l + log_p).flatten(1))
        joint = joint.view(-1, *(prior[f].shape[-1] for f in group))
        for i, f in enumerate(group):
            others = [1 + j for j in range(len(group)) if j != i]
            qs[f] = joint.sum(others) if others else joint
        F, accuracy = F - log_evidence, accuracy + (joint * log_l).flatten(1).sum(1)
    return Posterior(tuple(qs), F, accuracy)


def _softmax(x: Float[Tensor, "batch n"]) -> tuple[Float[Tensor, "batch n"], Float[Tensor, " batch"]]:
    """And the logarithm of the sum it divides by, told by the largest entry: ln p_max = x_max - ln sum."""
    p = x.softmax(1)
    return p, x.amax(1) - p.amax(1).log()


def _of_one_agent(
    model: GenerativeModel, o: Tensor, prior: Float[Tensor, "batch states"]
) -> Float[Tensor, "batch states"] | None:
    """The posterior by three operations, where looking at the outcome's number waits for nobody; else None.

    An operation on 64 numbers takes a microsecond whatever it does: what counts is how many there are.
    """
    rows = model.keep("log_rows", model.A, lambda: _rows(model))
    if not rows or o.numel() != 1 or prior.requires_grad or prior.dtype != rows[0].dtype:
        return None
    try:
        seen = o.item()
    except RuntimeError:  # under a transformation such as vmap there is no single number
        return None
    if not -1 <= seen < len(rows) - 1:
        return None
    # ln 0 is -inf here, and e to that is zero again.
    return prior.log().add_(rows[int(seen) + 1]).softmax(1)


def _rows(model: GenerativeModel) -> tuple[Tensor, ...]:
    """ln P(o | s) for no outcome and for each, one by one; nothing where that is not to be used."""
    a = model.A[0]
    plain = a.device.type == "cpu" and a.dtype in (torch.float32, torch.float64) and not a.requires_grad
    if not plain or model.batch is not None or torch.compiler.is_compiling():
        return ()
    return padded_logs(model, 0).unbind(0)


def _likelihood(model: GenerativeModel, o: Tensor) -> Float[Tensor, "batch states"]:
    """P(o | s) of the first modality, never quite zero, and one where it was not observed."""
    a = model.keep("likelihood", model.A, lambda: _seen_or_not(model))
    if a.ndim == 2:
        return a.index_select(0, o + 1)
    return a[torch.arange(len(o), device=o.device), o + 1]


def _seen_or_not(model: GenerativeModel) -> Tensor:
    a = model.A[0].clamp_min(max(TINY, torch.finfo(model.dtype).tiny))
    axis = 0 if model.batch is None else 1
    return torch.cat([torch.ones_like(a.narrow(axis, 0, 1)), a], dim=axis)
