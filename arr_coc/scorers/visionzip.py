"""Keep what the vision tower looks at, and merge a part of the rest into evenly spaced tokens (VisionZip)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.assignment import spoken_for
from arr_coc.diversity import cosines
from arr_coc.ranking import best, strided
from arr_coc.relevance import Relevance, relevance
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores, Selection


@SCORERS.register("visionzip")
@dataclass(frozen=True)
class VisionZip:
    """Dominant tokens by [CLS] attention; of the others every (n / c)-th is contextual and hears the rest.

    A token that is neither joins the contextual one with the most similar key (mean over heads), and that one
    becomes x_t + mean of those that joined it: a sum, not an average. https://arxiv.org/abs/2412.04467

    Here tokens are merged behind the projector, stay where they stood, and [CLS], one of the paper's dominant
    tokens, makes room for one more patch. Without a class token: mean attention received, as the authors do.
    """

    selector: ClassVar[str] = "own"
    positional: ClassVar[bool] = True
    source: str | Relevance = "cls"
    """What says how much the tower looks at a token: a name in `RELEVANCE`, or a source of its own."""
    contextual: float = 10 / 64
    """Share of the budget that is contextual: 10 of 64 is published."""

    def __post_init__(self) -> None:
        relevance(self.source)
        if not 0.0 <= self.contextual <= 1.0:
            raise ValueError(f"contextual must lie in [0, 1], got {self.contextual}")

    @property
    def needs(self) -> tuple[str, ...]:
        """What is read of the vision tower."""
        return (*relevance(self.source).needs, "keys")

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are the attention."""
        attention = relevance(self.source)(pictures)
        return Scores(values=attention, chooser=partial(self._choose, pictures, attention))

    def _choose(
        self, pictures: Pictures, attention: Float[Tensor, "picture visual"], budget: Int[Tensor, " picture"]
    ) -> Selection:
        n_contextual = (self.contextual * budget).round().long()
        dominant = best(attention, pictures.valid, budget - n_contextual)
        rest = pictures.valid & ~dominant
        step = rest.sum(1).div(n_contextual.clamp(min=1), rounding_mode="floor")
        target = strided(rest, n_contextual, step)
        keys = pictures.tap("keys").mean(2)
        alike = cosines(keys, keys).masked_fill(~target[:, None, :], -torch.inf)
        place = torch.arange(rest.shape[1], device=rest.device).expand_as(rest)
        joins = rest & ~target & target.any(1, keepdim=True)
        speaker = torch.where(joins, alike.argmax(2), place).masked_fill(~(joins | target | dominant), -1)
        assignment = spoken_for(dominant | target, speaker)
        joined = assignment.mean(pictures.tokens, joins.float())
        return Selection(
            keep=dominant | target,
            merged=torch.where((dominant | target)[..., None], pictures.tokens + joined, 0.0),
            mass=assignment.mass(rest.shape[1]),
            speaker=speaker,
        )
