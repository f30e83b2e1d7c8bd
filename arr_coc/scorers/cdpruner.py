"""Score sets by relevance and diversity: a determinantal point process given the question (CDPruner)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.diversity import Determinant, cosines
from arr_coc.relevance import Relevance, relevance
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores

EPSILON = 1e-6
"""Quality of the least relevant token of a picture."""


@SCORERS.register("cdpruner")
@dataclass(frozen=True)
class CDPruner:
    """Greedy argmax of ln det(R K R) over sets: K are cosines of tokens, r is relevance, scaled to [0, 1].

    https://arxiv.org/abs/2506.10967 (paper). Its released code takes the *negative* cosine of CLIP for the
    relevance, and scales it over the whole batch, so that pictures see their neighbours; here it is positive,
    and a picture's own. By default it is measured at the input of the language model, for want of a CLIP.
    """

    selector: ClassVar[str] = "greedy"
    source: str | Relevance = "text"
    """What says how relevant a token is: a name in `RELEVANCE`, or a source with settings of its own."""
    theta: float | None = None
    """Weight of relevance against diversity, in [0, 1): r becomes exp(r theta / (2 (1 - theta))). None: r."""

    def __post_init__(self) -> None:
        relevance(self.source)
        if self.theta is not None and not 0.0 <= self.theta < 1.0:
            raise ValueError(f"theta must lie in [0, 1), got {self.theta}")

    @property
    def needs(self) -> tuple[str, ...]:
        """What the source reads of the vision tower."""
        return relevance(self.source).needs

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are ln r^2."""
        quality = scaled(relevance(self.source)(pictures), pictures) + EPSILON
        if self.theta is not None:
            quality = (quality * self.theta / (2 * (1 - self.theta))).exp()
        value = Determinant(cosines(pictures.tokens, pictures.tokens), quality)
        return Scores(values=value.gains(), of_sets=value)


def scaled(x: Float[Tensor, "picture visual"], pictures: Pictures) -> Float[Tensor, "picture visual"]:
    """0 for the smallest of a picture, 1 for the largest; 1 where all are equal, 0 at padding."""
    low = x.masked_fill(~pictures.valid, torch.inf).amin(1, keepdim=True)
    high = x.masked_fill(~pictures.valid, -torch.inf).amax(1, keepdim=True)
    span = high - low
    return torch.where(span > 0, (x - low) / span.clamp(min=1e-12), 1.0).masked_fill(~pictures.valid, 0.0)
