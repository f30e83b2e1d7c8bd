"""Score sets by coverage, times how much the tower looks at the token that covers (SCOPE)."""

from dataclasses import dataclass
from typing import ClassVar

from arr_coc.coverage import Coverage
from arr_coc.diversity import cosines
from arr_coc.relevance import Relevance, relevance
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores


@SCORERS.register("scope")
@dataclass(frozen=True)
class Scope:
    """Pick argmax of a_v^alpha sum_u max(0, s_uv - max_(picked t) s_ut): gain in coverage times saliency.

    s are cosines of projected tokens, a is the attention of the class token, or what a patch gets on average
    where there is none. https://arxiv.org/abs/2510.24214
    """

    selector: ClassVar[str] = "greedy"
    source: str | Relevance = "cls"
    """What says how much the tower looks at a token: a name in `RELEVANCE`, or a source of its own."""
    alpha: float = 1.0
    """Weight of saliency; 0: coverage alone."""

    def __post_init__(self) -> None:
        relevance(self.source)

    @property
    def needs(self) -> tuple[str, ...]:
        """What is read of the vision tower."""
        return relevance(self.source).needs

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are the first gains."""
        value = Coverage(
            cosines(pictures.tokens, pictures.tokens),
            pictures.valid.float(),
            relevance(self.source)(pictures).pow(self.alpha),
        )
        return Scores(values=value.gains(), of_sets=value)
