"""Score by the attention of the vision tower: what the class token looks at (FasterVLM)."""

from dataclasses import dataclass
from typing import ClassVar

from arr_coc.relevance import Relevance, relevance
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores


@SCORERS.register("fastervlm")
@dataclass(frozen=True)
class FasterVLM:
    """Mean over heads of the attention that [CLS] pays to a patch, in the layer that the features are from.

    A tower without a class token (SigLIP, Qwen): the mean attention that it gets from all patches, as in
    published ports. Sums to at most 1. https://arxiv.org/abs/2412.01818 (first version)
    """

    selector: ClassVar[str] = "top_k"
    source: str | Relevance = "cls"
    """What says how much the tower looks at a token: a name in `RELEVANCE`, or a source of its own."""

    def __post_init__(self) -> None:
        relevance(self.source)

    @property
    def needs(self) -> tuple[str, ...]:
        """What is read of the vision tower."""
        return relevance(self.source).needs

    def __call__(self, pictures: Pictures) -> Scores:
        """The attention."""
        return Scores(values=relevance(self.source)(pictures))
