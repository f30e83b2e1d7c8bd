"""Bayesian model reduction: would the data have been likelier under a simpler prior? From counts alone.

With Dirichlet counts p before and q after the data, their evidence is B(q) / B(p), B the multivariate beta
function; under a prior r it is B(q + r - p) / B(r), and the posterior is q + r - p. Friston et al. 2018,
https://arxiv.org/abs/1805.07092.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Pruned:
    """Counts after the prior counts that the data speak against were shrunk."""

    posterior: Float[Tensor, "..."]
    prior: Float[Tensor, "..."]
    shrunk: Bool[Tensor, "..."]
    """Which."""
    gain: Float[Tensor, "..."]
    """By how many nats each column's evidence rose."""


def log_evidence_gain(
    posterior: Float[Tensor, "..."], prior: Float[Tensor, "..."], reduced: Float[Tensor, "..."], dim: int = 0
) -> Float[Tensor, "..."]:
    """ln p(data | reduced prior) - ln p(data | prior) of each column of counts along `dim`, in nats.

    Positive: prefer the reduced prior. SPM's spm_MDP_log_evidence is minus this. A reduced count of zero
    rules the outcome out: -inf if it was seen. NaN where q + r - p is negative: no data lead from such a
    prior to q.
    """
    after = reduced_posterior(posterior, prior, reduced)
    gain = _log_beta(after, dim) - _log_beta(reduced, dim) - _log_beta(posterior, dim) + _log_beta(prior, dim)
    gain = torch.where(((reduced == 0) & (after > 0)).any(dim), -torch.inf, gain)
    return torch.where((after >= 0).all(dim), gain, torch.nan)


def reduced_posterior(
    posterior: Float[Tensor, "..."], prior: Float[Tensor, "..."], reduced: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """The counts after the same data, had the prior been `reduced`."""
    return posterior + reduced - prior


def prune(
    posterior: Float[Tensor, "..."],
    prior: Float[Tensor, "..."],
    dim: int = 0,
    threshold: float = 3.0,
    shrink: float = 1 / 16,
) -> Pruned:
    """Shrink prior counts, in each column one after the other, while that gains `threshold` nats of evidence.

    A count shrunk to `shrink` of itself says that the outcome is hardly to be expected. Counts of zero are
    left.
    """
    posterior, prior = posterior.movedim(dim, 0), prior.movedim(dim, 0)
    shrunk, total = torch.zeros_like(prior, dtype=torch.bool), torch.zeros_like(prior[0])
    for _ in range(len(prior) - 1):
        gains = torch.stack([_gain_of_one(posterior, prior, o, shrink) for o in range(len(prior))])
        gains = gains.masked_fill(shrunk | (prior <= 0), -torch.inf)
        best, outcome = gains.max(0)
        accept = best > threshold
        if not bool(accept.any()):
            break
        chosen = torch.zeros_like(shrunk).scatter(0, outcome[None], True) & accept
        reduced = torch.where(chosen, prior * shrink, prior)
        posterior, prior = reduced_posterior(posterior, prior, reduced), reduced
        shrunk, total = shrunk | chosen, torch.where(accept, total + best, total)
    return Pruned(posterior.movedim(0, dim), prior.movedim(0, dim), shrunk.movedim(0, dim), total)


def _gain_of_one(posterior: Tensor, prior: Tensor, outcome: int, shrink: float) -> Tensor:
    """Of shrinking one outcome's count in every column: in a beta function only it and the sum change."""
    p, q = prior[outcome], posterior[outcome]
    r = p * shrink
    of_count = (q + r - p).lgamma() - r.lgamma() - q.lgamma() + p.lgamma()
    p0, q0 = prior.sum(0), posterior.sum(0)
    of_sum = (q0 + r - p).lgamma() - (p0 + r - p).lgamma() - q0.lgamma() + p0.lgamma()
    return of_count - of_sum


def _log_beta(counts: Tensor, dim: int) -> Tensor:
    """Over the outcomes that are possible."""
    possible = counts > 0
    return torch.where(possible, counts, 1.0).lgamma().sum(dim) - counts.sum(dim).lgamma()
