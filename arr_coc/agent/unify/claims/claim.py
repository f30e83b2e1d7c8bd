"""A claim of the guide, and what is true instead or under which condition: both measured by seed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Measure = Callable[[int], float]
"""From the seed of a random problem to how far two sides are apart there; never negative."""

Verdict = Literal["holds", "holds only if", "false", "not shown"]

DECISIVE = 100.0
"""A counterexample counts if it is this many times what is allowed for rounding."""


@dataclass(frozen=True)
class Claim:
    """One sentence of the guide's "Train station" and the two measurements that judge it."""

    name: str
    guide: str
    """What the guide says."""
    truth: str
    """What is true: the guide's sentence under `condition`, or another sentence in its place."""
    law: Measure
    """How far the truth is off: rounding."""
    tolerance: float
    """The most that `law` may be."""
    gap: Measure | None = None
    """How far the guide's sentence, as it stands, is off. None where it is the truth."""
    condition: str = ""
    """What the guide's sentence needs to be true. Empty if nothing helps, or nothing is missing."""

    def measured(self, seeds: range) -> "Judged":
        """Both sides on every problem."""
        gaps = () if self.gap is None else tuple(self.gap(seed) for seed in seeds)
        return Judged(self, tuple(self.law(seed) for seed in seeds), gaps)


@dataclass(frozen=True)
class Judged:
    """What was found."""

    claim: Claim
    deviations: tuple[float, ...]
    """Of the truth, for each problem."""
    gaps: tuple[float, ...]
    """Of the guide's sentence, for each problem; empty where it is the truth."""

    @property
    def deviation(self) -> float:
        """The largest of the truth: NaN counts as infinite."""
        return max(x if x == x else float("inf") for x in self.deviations)

    @property
    def counterexample(self) -> float:
        """The largest of the guide's sentence; 0 where it is the truth."""
        return max(self.gaps, default=0.0)

    @property
    def verdict(self) -> Verdict:
        """Follows from what was measured."""
        claim = self.claim
        wrong = self.counterexample > DECISIVE * claim.tolerance
        if self.deviation > claim.tolerance or wrong == (claim.gap is None):
            return "not shown"
        if claim.gap is None:
            return "holds"
        return "holds only if" if claim.condition else "false"
