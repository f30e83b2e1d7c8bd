"""How sure one can be: intervals for an accuracy and for the difference of two methods on the same items."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

Z95 = 1.959963984540054
"""Normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def wilson(mean: float, n: int | float, z: float = Z95) -> Estimate:
    """Score interval of a proportion; n may be an effective number of observations.

    Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953. Raises ValueError without observations.
    """
    if n <= 0:
        raise ValueError(f"an interval needs at least one observation, got n = {n}")
    centre = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
    return Estimate(mean, max(0.0, min(mean, centre - half)), min(1.0, max(mean, centre + half)))


def accuracy(scores: Float[np.ndarray, " items"], clusters: list[str]) -> Estimate:
    """Mean score in [0, 1] with a Wilson interval on the effective number of items.

    Items about one picture are not independent: n is divided by the design effect, the ratio of the variance
    clustered by picture to that of independent items (Korn and Graubard 1998), 1 for one item a picture.
    """
    n = len(scores)
    mean = float(scores.mean()) if n else 0.0
    member = _codes(clusters)
    n_clusters = int(member.max()) + 1 if n else 0
    if n_clusters == n:
        return wilson(mean, n)
    residual = np.bincount(member, scores - mean)
    clustered = float((residual**2).sum()) / n**2
    independent = mean * (1 - mean) / n
    # Where all answers are right, or wrong, there is no variance to compare: count pictures, to be cautious.
    effect = clustered / independent if independent > 0 else n / n_clusters
    return wilson(mean, n / max(1.0, effect))


def paired_difference(
    ours: Float[np.ndarray, " items"],
    theirs: Float[np.ndarray, " items"],
    clusters: list[str],
    seed: int = 0,
    draws: int = 10_000,
) -> Estimate:
    """Mean of ours - theirs on the same items, with the percentile interval of a bootstrap over pictures.

    Efron and Tibshirani 1993, chapter 13. Raises ValueError if the two are not about the same items.
    """
    if not len(ours) == len(theirs) == len(clusters) or not len(ours):
        raise ValueError(f"a paired difference needs the same items: {len(ours)}, {len(theirs)} scores")
    difference = ours.astype(np.float64) - theirs
    member = _codes(clusters)
    total, size = np.bincount(member, difference), np.bincount(member).astype(np.float64)
    rng = np.random.default_rng(seed)
    means = []
    # Blocks of draws bound the memory: a block holds at most about eight million indices.
    block = max(1, min(draws, 8_000_000 // len(total)))
    for start in range(0, draws, block):
        picked = rng.integers(len(total), size=(min(block, draws - start), len(total)))
        means.append(total[picked].sum(1) / size[picked].sum(1))
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return Estimate(float(difference.mean()), float(low), float(high))


def _codes(clusters: list[str]) -> NDArray[np.int64]:
    """A number from 0 for every picture."""
    return np.unique(np.asarray(clusters), return_inverse=True)[1].astype(np.int64)
