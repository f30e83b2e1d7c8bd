"""Keep the most important token, make those like it less important, and so on (ID-Selection)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.diversity import cosines
from arr_coc.relevance import Relevance, relevance
from arr_coc.scorers import SCORERS
from arr_coc.scorers.cdpruner import scaled
from arr_coc.types import Pictures, Scores


@SCORERS.register("id_selection")
@dataclass(frozen=True)
class IDSelection:
    """Pick argmax of importance times the product over picked t of (1 - max(0, cos(v_i, v_t))).

    From the abstract of https://arxiv.org/abs/2604.05601: scores of tokens similar to a selected one are
    progressively suppressed. How is not said there; this is the form without a constant. Importance is
    scaled to [0, 1] over a picture, so that what is unimportant stays so.
    """

    selector: ClassVar[str] = "greedy"
    source: str | Relevance = "cls"
    """What says how important a token is: a name in `RELEVANCE`, or a source with settings of its own."""

    def __post_init__(self) -> None:
        relevance(self.source)

    @property
    def needs(self) -> tuple[str, ...]:
        """What the source reads of the vision tower."""
        return relevance(self.source).needs

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are the importance."""
        importance = scaled(relevance(self.source)(pictures), pictures)
        value = Suppressed(cosines(pictures.tokens, pictures.tokens), importance)
        return Scores(values=importance, of_sets=value)


class Suppressed:
    """Importance that falls with every similar token picked."""

    def __init__(
        self, alike: Float[Tensor, "picture visual visual"], importance: Float[Tensor, "picture visual"]
    ) -> None:
        self._apart = (1 - alike.clamp(0.0, 1.0)).clamp(min=1e-6)
        # Logarithms: a product over many would vanish.
        self._log_score = importance.clamp(min=1e-6).log()
        self._picture = torch.arange(len(alike), device=alike.device)

    def gains(self) -> Float[Tensor, "picture visual"]:
        """Logarithm of the suppressed importance."""
        return self._log_score

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """Suppress what is like one more token a picture."""
        self._log_score = self._log_score + self._apart[self._picture, picked].log()
