"""Score sets by how well they cover the words of the question and the picture (MMTok)."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from arr_coc.coverage import Coverage
from arr_coc.diversity import cosines
from arr_coc.relevance import words_and_tokens
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores


@SCORERS.register("mmtok")
@dataclass(frozen=True)
class MMTok:
    """Maximum coverage: sum_t max_(i in S) P_ti + alpha sum_j max_(i in S) Q_ji.

    P and Q are softmax over the tokens i of a picture of their cosines with a word t and with a token j,
    divided by a temperature. Words and tokens meet at the input of the language model, tokens centred there.
    https://arxiv.org/abs/2508.18264
    """

    selector: ClassVar[str] = "greedy"
    text_temperature: float = 0.02
    picture_temperature: float = 0.2
    alpha: float = 0.5
    """Weight of covering the picture against covering the words."""

    def __post_init__(self) -> None:
        if min(self.text_temperature, self.picture_temperature) <= 0:
            raise ValueError("a temperature must be above 0")

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are the first gains."""
        absent = ~pictures.valid[:, None, :]
        by_word = words_and_tokens(pictures) / self.text_temperature
        by_token = cosines(pictures.tokens, pictures.tokens) / self.picture_temperature
        alike = torch.cat([by_word, by_token], dim=1).masked_fill(absent, -torch.inf).softmax(2)
        weights = torch.cat([pictures.asked.float(), self.alpha * pictures.valid], dim=1)
        value = Coverage(alike, weights)
        return Scores(values=value.gains(), of_sets=value)
