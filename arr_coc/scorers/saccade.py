"""Score by expected free energy twice: for a glimpse, and by what the language model looked at in it."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from arr_coc.scorers import SCORERS
from arr_coc.scorers.efe import ExpectedFreeEnergy
from arr_coc.scorers.efe_depth import Attended
from arr_coc.steps import Step, evenly, first_layers
from arr_coc.types import Pictures, Scores

FIRST = ExpectedFreeEnergy()
THEN = ExpectedFreeEnergy(preference=Attended(power=1.0))


@SCORERS.register("saccade")
@dataclass(frozen=True)
class Saccade:
    """A few tokens are glimpsed at, chosen by `efe`; the eye then leaps to where the question looks in them.

    Layers of the language model read the glimpse and the words, and forget them. What the words paid to each
    token in the deeper of these layers is carried to the tokens that it speaks for, and is the preference
    with which `efe` chooses, among all tokens, the set that is read from the first layer on. The budget is
    the mean over layers of both looks together: section 5.2 of the project's theory.
    """

    selector: ClassVar[str] = "greedy"
    words: ClassVar[int | None] = None
    first: ExpectedFreeEnergy = FIRST
    """Chooses the glimpse."""
    then: ExpectedFreeEnergy = THEN
    """Chooses what is kept."""
    share: float = 0.2
    """Of the token-layers, those that the glimpse takes."""
    since: float = 0.5
    """The layers that are listened to, as a share of the depth: from here ..."""
    until: float = 1.0
    """... to here, behind which the glimpse is not read."""

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise ValueError(
                f"share must lie in (0, 1), got {self.share}: both looks take some of the budget"
            )
        if not 0.0 <= self.since < self.until <= 1.0:
            raise ValueError(
                f"since and until must be shares of the depth, 0 <= since < until <= 1, got {self.since} and "
                f"{self.until}"
            )

    @property
    def needs(self) -> tuple[str, ...]:
        """What the preferences read of the vision tower."""
        return tuple(dict.fromkeys((*self.first.needs, *self.then.needs)))

    def __call__(self, pictures: Pictures) -> Scores:
        """As `efe`."""
        return (self.first if pictures.attention is None else self.then)(pictures)

    def step(self, pictures: Pictures, left: Int[Tensor, " picture"], layer: int, layers: int) -> Step:
        """What a look gets of the token-layers. Nothing is glimpsed at where all can be kept."""
        if pictures.attention is not None:
            return Step(evenly(pictures, left, layers - layer))
        until = first_layers(self.until, layers)
        since = min(round(self.since * layers), until - 1)
        # One token is left for the second look, or there is no first.
        most = torch.minimum(pictures.count, ((left - layers) // until).clamp(min=0))
        glimpsed = torch.minimum((self.share * left / until).round().long(), most)
        return Step(glimpsed.masked_fill(left >= pictures.count * layers, 0), until, since=since)
