"""Score sets by how well they cover what the telling words of the question resemble (EADP)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.coverage import Coverage
from arr_coc.diversity import cosines
from arr_coc.neighbours import neighbour
from arr_coc.ranking import best
from arr_coc.relevance import Relevance, relevance, words_and_tokens
from arr_coc.scorers import SCORERS
from arr_coc.scorers.cdpruner import scaled
from arr_coc.types import Pictures, Scores

GAUSSIAN = (1.0, 2.0, 1.0)
"""Weights of a row and of a column of the 3 x 3 kernel."""


@SCORERS.register("eadp")
@dataclass(frozen=True)
class Eadp:
    """Pick argmax of sum_j s_j^beta max_(i in S) cos(v_i, v_j): facility location weighed by relevance.

    s = mu global + (1 - mu) dense, scaled to [0, 1] and smoothed over neighbours. Global is the relevance of
    the question as a whole; dense is the mean over words of their cosine with a token, for the half of the
    words whose cosines are the least spread over the picture, weighed by softmax(- entropy / gamma).
    "Combating Textual Noise and Redundancy: Entropy-Aware Dense Visual Token Pruning", ECCV 2026, eq. 13-14.

    The paper compares CLIP's patches and words; here, for want of a CLIP, both as the language model gets
    them. The temperature of the entropy's softmax and gamma are not published where we looked.
    """

    selector: ClassVar[str] = "greedy"
    positional: ClassVar[bool] = True
    source: str | Relevance = "text"
    """What says how relevant a token is to the question as a whole: a name in `RELEVANCE`, or a source."""
    mu: float = 0.5
    """Share of the global part."""
    quiet: float = 0.5
    """Share of words that are listened to."""
    beta: float = 10.0
    """Sharpness; 0: plain facility location."""
    gamma: float = 1.0
    """Temperature of the weights of words, in nats of entropy."""
    temperature: float = 0.05
    """Of the softmax of a word over the picture, in units of cosine."""

    def __post_init__(self) -> None:
        relevance(self.source)
        if not (0.0 <= self.mu <= 1.0 and 0.0 < self.quiet <= 1.0):
            raise ValueError(f"mu must lie in [0, 1] and quiet in (0, 1], got {self.mu} and {self.quiet}")
        if min(self.gamma, self.temperature) <= 0 or self.beta < 0:
            raise ValueError("gamma and temperature must be above 0, and beta not below")

    @property
    def needs(self) -> tuple[str, ...]:
        """What the source reads of the vision tower."""
        return relevance(self.source).needs

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are the first gains."""
        mixed = self.mu * relevance(self.source)(pictures) + (1 - self.mu) * self._dense(pictures)
        weights = scaled(smoothed(scaled(mixed, pictures), pictures), pictures).pow(self.beta)
        value = Coverage(cosines(pictures.tokens, pictures.tokens), weights * pictures.valid)
        return Scores(values=value.gains(), of_sets=value)

    def _dense(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """What the telling words resemble."""
        alike, asked = words_and_tokens(pictures), pictures.asked
        if alike.shape[1] == 0:
            return torch.zeros_like(pictures.tokens[..., 0])
        spread = (alike / self.temperature).masked_fill(~pictures.valid[:, None, :], -torch.inf).softmax(2)
        entropy: Tensor = torch.special.entr(spread).sum(2)
        telling = best(-entropy, asked, (self.quiet * asked.sum(1)).ceil().long())
        weights = (-entropy / self.gamma).masked_fill(~telling, -torch.inf).softmax(1)
        return (weights.nan_to_num(0.0)[:, None] @ alike)[:, 0]


def smoothed(x: Float[Tensor, "picture visual"], pictures: Pictures) -> Float[Tensor, "picture visual"]:
    """Gaussian mean over the 3 x 3 tokens around each one, as far as they are there."""
    total, norm = torch.zeros_like(x), torch.zeros_like(x)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            place, there = neighbour(pictures, down, right)
            weight = GAUSSIAN[down + 1] * GAUSSIAN[right + 1] * there
            total, norm = total + weight * x.gather(1, place), norm + weight
    return total / norm.clamp(min=1.0)
