"""Keep the tokens that the question resembles, and one that is the mean of the others (TRIM)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.assignment import spoken_for
from arr_coc.ranking import best, nth
from arr_coc.relevance import Relevance, relevance
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores, Selection


@SCORERS.register("trim")
@dataclass(frozen=True)
class Trim:
    """The k - 1 tokens of largest similarity to the text, and the mean of all others where the next one was.

    How many stand out is what the budget `iqr` says (its default counts the mean). The paper's similarity is
    CLIP's, of a patch with the text; by default it is measured where every model has both, at the input of
    the language model. https://arxiv.org/abs/2409.10994
    """

    selector: ClassVar[str] = "own"
    source: str | Relevance = "text"
    """What says how relevant a token is: a name in `RELEVANCE`, or a source with settings of its own."""

    def __post_init__(self) -> None:
        relevance(self.source)

    @property
    def needs(self) -> tuple[str, ...]:
        """What the source reads of the vision tower."""
        return relevance(self.source).needs

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are the relevance."""
        relevant = relevance(self.source)(pictures)
        return Scores(values=relevant, chooser=partial(self._choose, pictures, relevant))

    def _choose(
        self, pictures: Pictures, relevant: Float[Tensor, "picture visual"], budget: Int[Tensor, " picture"]
    ) -> Selection:
        chosen = best(relevant, pictures.valid, budget - 1)
        slot = nth(relevant, pictures.valid, budget - 1)
        place = torch.arange(chosen.shape[1], device=chosen.device).expand_as(chosen)
        speaker = torch.where(chosen, place, slot.byte().argmax(1, keepdim=True))
        speaker = speaker.masked_fill(~pictures.valid, -1)
        assignment = spoken_for(chosen | slot, speaker)
        return Selection(
            keep=chosen | slot,
            merged=assignment.mean(pictures.tokens, torch.ones_like(relevant)),
            mass=assignment.mass(chosen.shape[1]),
            speaker=speaker,
        )
