"""How sure one can be: intervals for an accuracy and for the difference of two methods on the same items."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Float, Int

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
    member = codes(clusters)
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
    return bootstrap(difference[:, None], clusters, lambda means: means[:, 0], seed, draws)


def share_kept(
    ours: Float[np.ndarray, " items"],
    full: Float[np.ndarray, " items"],
    blind: Float[np.ndarray, " items"],
    clusters: list[str],
    seed: int = 0,
) -> Estimate | None:
    """(ours - blind) / (full - blind): what is left of what looking is worth; None where it is worth nothing.

    The interval is wide, or without an end, where full and blind are close: then the task needs no picture.
    """
    if full.mean() <= blind.mean():
        return None
    columns = np.stack([ours, full, blind], axis=1).astype(np.float64)
    return bootstrap(columns, clusters, _share, seed, draws=2_000)


def _share(means: Float[np.ndarray, "draws 3"]) -> Float[np.ndarray, " draws"]:
    ours, full, blind = means.T
    worth = full - blind
    # A draw in which looking is worth nothing says nothing about the share: it is on neither side.
    return np.where(worth > 0, (ours - blind) / np.where(worth > 0, worth, 1.0), np.nan)


def bootstrap(
    scores: Float[np.ndarray, "items columns"],
    clusters: list[str],
    statistic: Callable[[Float[np.ndarray, "draws columns"]], Float[np.ndarray, " draws"]],
    seed: int = 0,
    draws: int = 10_000,
) -> Estimate:
    """A function of mean scores, with the percentile interval of draws of pictures with replacement."""
    member = codes(clusters)
    total = np.stack([np.bincount(member, column) for column in scores.T], axis=1)
    size = np.bincount(member).astype(np.float64)
    rng = np.random.default_rng(seed)
    found = []
    # Blocks of draws bound the memory: a block holds at most about eight million indices.
    block = max(1, min(draws, 8_000_000 // total.size))
    for start in range(0, draws, block):
        picked = rng.integers(len(total), size=(min(block, draws - start), len(total)))
        found.append(statistic(total[picked].sum(1) / size[picked].sum(1)[:, None]))
    low, high = np.nanquantile(np.concatenate(found), (0.025, 0.975))
    return Estimate(float(statistic(scores.mean(0)[None])[0]), float(low), float(high))


def codes(clusters: list[str]) -> Int[np.ndarray, " items"]:
    """A number from 0 for every picture."""
    return np.unique(np.asarray(clusters), return_inverse=True)[1].astype(np.int64)
