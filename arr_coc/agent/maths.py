"""Entropies and divergences of categorical and Dirichlet distributions, and contraction with beliefs.

Everything is in nats, sums over the event axis only, and keeps the axes before it.
"""

from collections.abc import Sequence
from string import ascii_lowercase

import torch
from jaxtyping import Float
from torch import Tensor

TINY = 1e-16
"""What stands for probability zero inside a logarithm: ln 0 is taken as -36.8, as in SPM and pymdp."""

Beliefs = tuple[Float[Tensor, "batch _"], ...]
"""A distribution over the states of each factor."""


def log_stable(p: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """ln p, finite at zero, with gradient zero there.

    Half precision has no 1e-16: its own smallest normal number takes that place.
    """
    return p.clamp_min(max(TINY, torch.finfo(p.dtype).tiny)).log()


def log_exact(p: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """ln p, -inf at zero, without a gradient there: what is ruled out stays out."""
    return p.masked_fill(p <= 0, 1.0).log().masked_fill(p <= 0, -torch.inf)


def entropy(p: Tensor, dim: int = -1) -> Tensor:
    """H[p] over axis `dim`, by a clamped logarithm: three times as fast as `special.entr` on a CPU."""
    return -(p * log_stable(p)).sum(dim)


def kl_divergence(q: Tensor, p: Tensor, dim: int = -1) -> Tensor:
    """KL[q || p] over axis `dim`."""
    return (q * (log_stable(q) - log_stable(p))).sum(dim)


def normalised(x: Tensor, dim: int = 0) -> Tensor:
    """x over its sum along axis `dim`; uniform where that sum is zero."""
    total = x.sum(dim, keepdim=True)
    return torch.where(total > 0, x, torch.ones_like(x)) / torch.where(total > 0, total, x.shape[dim])


def product(qs: Sequence[Float[Tensor, "batch _"]]) -> Float[Tensor, "batch states"]:
    """The joint of independent factors, flat, the first factor slowest."""
    joint = qs[0]
    for q in qs[1:]:
        joint = (joint[:, :, None] * q[:, None, :]).flatten(1)
    return joint


def dirichlet_expected_log(counts: Tensor, dim: int = 0) -> Tensor:
    """E[ln p] for p ~ Dir(counts along `dim`): psi(counts) - psi(their sum)."""
    counts = counts.clamp_min(TINY)
    return counts.digamma() - counts.sum(dim, keepdim=True).digamma()


def dirichlet_kl(q: Tensor, p: Tensor, dim: int = 0) -> Tensor:
    """KL[Dir(q) || Dir(p)] of counts along `dim`. A count of zero in p rules an outcome out.

    Closed form: ln B(p) - ln B(q) + sum (q - p) (psi(q) - psi(q_0)), with B the multivariate beta function.
    """
    possible = p > 0
    q0, p0 = (torch.where(possible, x, 0.0).sum(dim) for x in (q, p))
    safe_q, safe_p = (torch.where(possible, x, 1.0) for x in (q, p))
    gap = torch.where(possible, (safe_q - safe_p) * safe_q.digamma(), 0.0).sum(dim) - (q0 - p0) * q0.digamma()
    beta_q = safe_q.lgamma().sum(dim) - q0.lgamma()
    beta_p = safe_p.lgamma().sum(dim) - p0.lgamma()
    return beta_p - beta_q + gap


def contract(
    tensor: Tensor,
    factors: Sequence[int],
    qs: Sequence[Tensor],
    keep: Sequence[int] = (),
    batched: bool = False,
) -> Tensor:
    """Expectation of a tensor whose last axes are the states of `factors`, under their beliefs.

    `tensor`: (*event, *states), with an axis `batch` before them if `batched`; `qs`: for each factor of the
    model (batch, ..., states). The axes of the factors in `keep` stay, last and in the order of `factors`.
    Returns (batch, ..., *event, *kept states).
    """
    lead = tensor.ndim - len(factors) - batched
    batch, *letters = list(ascii_lowercase[: 1 + lead + len(factors)])
    event, states = letters[:lead], letters[lead:]
    before = batch if batched else ""
    summed = [(name, qs[f]) for name, f in zip(states, factors, strict=True) if f not in keep]
    kept = [name for name, f in zip(states, factors, strict=True) if f in keep]
    if not summed:
        return tensor
    # Last axis first: with row-major tensors that is one matrix product, and the rest works on what is left.
    terms = [f"{before}...{name}" for name, _ in reversed(summed)]
    inputs = ",".join([before + "".join(event + states), *terms])
    output = f"{before}..." + "".join(event + kept)
    out: Tensor = torch.einsum(f"{inputs}->{output}", tensor, *(q for _, q in reversed(summed)))
    return out
