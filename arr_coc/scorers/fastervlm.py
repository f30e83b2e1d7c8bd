"""Score by the attention of the vision tower: what the class token looks at (FasterVLM)."""

from dataclasses import dataclass
from typing import ClassVar

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
    needs: ClassVar[tuple[str, ...]] = ("attention",)

    def __call__(self, pictures: Pictures) -> Scores:
        """The attention."""
        return Scores(values=pictures.tap("attention"))
