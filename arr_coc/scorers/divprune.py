"""Score sets by diversity: the largest smallest cosine distance between kept tokens (DivPrune)."""

from dataclasses import dataclass
from typing import ClassVar

from torch.nn import functional

from arr_coc.diversity import MaxMin
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores


@SCORERS.register("divprune")
@dataclass(frozen=True)
class DivPrune:
    """Max-min diversity of the projected tokens, not centred: cosine distance, in [0, 2].

    Farthest-point greedy, from the token whose nearest neighbour is farthest. https://arxiv.org/abs/2503.02175
    """

    selector: ClassVar[str] = "greedy"

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are distances to the nearest neighbour."""
        direction = functional.normalize(pictures.tokens, dim=2)
        value = MaxMin(1 - direction @ direction.transpose(1, 2), pictures.valid)
        return Scores(values=value.gains(), of_sets=value)
