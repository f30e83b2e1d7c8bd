"""Is a difference one? Tests between methods on the same items, and what several comparisons do to them."""

from collections.abc import Callable, Sequence
from math import sqrt
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int

from arr_coc.eval.stats import Z95, Estimate, codes

Item = TypeVar("Item")
GROUPS = 50
"""Of pictures, each left out once by the jackknife."""


def mcnemar(ours: Float[np.ndarray, " items"], theirs: Float[np.ndarray, " items"]) -> float | None:
    """Exact two-sided p of McNemar's test, on the items that one method has right and the other wrong.

    McNemar 1947, https://doi.org/10.1007/BF02295996. It takes items for independent, whatever the picture.
    None where a score is neither 0 nor 1.
    """
    from scipy.stats import binomtest

    if not np.isin(np.concatenate([ours, theirs]), (0.0, 1.0)).all():
        return None
    won, lost = int(((ours == 1) & (theirs == 0)).sum()), int(((ours == 0) & (theirs == 1)).sum())
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def clustered_error(values: Float[np.ndarray, " items"], clusters: list[str]) -> float:
    """Standard error of a mean of items that share pictures; the usual one where none is shared.

    Liang and Zeger 1986, https://doi.org/10.1093/biomet/73.1.13, with the factor g / (g - 1) for g pictures.
    Infinite for one picture: nothing is known then.
    """
    residual = np.bincount(codes(clusters), values - values.mean())
    g = len(residual)
    return sqrt(g / (g - 1) * float((residual**2).sum())) / len(values) if g > 1 else float("inf")


def clustered_p(difference: Float[np.ndarray, " items"], clusters: list[str]) -> float:
    """Two-sided p of a paired t-test whose error is clustered by picture, with g - 1 degrees of freedom."""
    from scipy.stats import t

    mean, g = float(difference.mean()), len(set(clusters))
    if mean == 0.0 or g == 1:
        return 1.0
    error = clustered_error(difference, clusters)
    return float(2 * t.sf(abs(mean) / error, g - 1)) if error > 0 else 0.0


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p: below 0.05 for any comparison that is no difference in at most 5 % of such tables.

    Holm 1979, https://www.jstor.org/stable/4615733.
    """
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate([(len(p) - i) * p[j] for i, j in enumerate(order)])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, steps)
    return [float(value) for value in adjusted]


def jackknife(
    items: Sequence[Item],
    clusters: list[str],
    statistic: Callable[[Sequence[Item]], float],
    groups: int = GROUPS,
) -> Estimate:
    """A number about a whole set (F1, CHAIR), with an interval from leaving out groups of pictures in turn.

    The delete-a-group jackknife (Kott 2001, Journal of Official Statistics 17:4), for smooth statistics.
    """
    whole = statistic(items)
    member: Int[np.ndarray, " items"] = codes(clusters)
    n_groups = min(groups, int(member.max()) + 1)
    if n_groups < 2:
        return Estimate(whole, -float("inf"), float("inf"))
    kept = [[i for i, m in zip(items, member, strict=True) if m % n_groups != g] for g in range(n_groups)]
    without = np.array([statistic(part) for part in kept])
    error = sqrt((n_groups - 1) / n_groups * float(((without - without.mean()) ** 2).sum()))
    return Estimate(whole, whole - Z95 * error, whole + Z95 * error)
