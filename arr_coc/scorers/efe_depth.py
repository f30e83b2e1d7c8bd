"""Score by expected free energy twice: before the language model, and again once it has read the question."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.scorers import SCORERS
from arr_coc.scorers.efe import ExpectedFreeEnergy
from arr_coc.steps import Step, attention, boundaries, evenly
from arr_coc.types import Pictures, Scores


@dataclass(frozen=True)
class Attended:
    """Wanted is what the words attended to in the layer before: N pi = (1 - eps) N p + eps, in nats.

    p is proportional to attention^power, the attention being the mean over heads and words.
    """

    power: float = 0.5
    """Precision of the source; 0 ignores it."""
    eps: float = 0.1
    """Habit of looking everywhere: share of the preference that is uniform."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.eps <= 1.0:
            raise ValueError(f"eps must lie in [0, 1], got {self.eps}")

    def __call__(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """ln(N pi) of every token; 0 at padding."""
        paid = attention(pictures).sum(1).clamp(min=1e-12)
        wanted = torch.where(pictures.valid, paid**self.power, 0.0)
        share = wanted / wanted.sum(1, keepdim=True).clamp(min=1e-12)
        preference = (1 - self.eps) * pictures.count[:, None] * share + self.eps
        return preference.log().masked_fill(~pictures.valid, 0.0)


BEFORE = ExpectedFreeEnergy()
BETWEEN = ExpectedFreeEnergy(preference=Attended())


@SCORERS.register("efe_depth")
@dataclass(frozen=True)
class DepthEFE:
    """`efe` before the first layer, and among what it kept once more between layers, on hidden states, with
    the attention seen so far for the preference.

    How many where follows from the same G: token-layers go where they buy most nats. A token kept in l layers
    costs l token-layers, and its nats are worth less the deeper it goes, because words have taken up what it
    says by then. With nats that grow as ln k (greedy gains fall nearly as 1 / k) the marginal nats of a
    token-layer, worth_s / k_s, are equal in both stages where k_1 / k_0 = worth; the budget, the mean over
    layers, fixes k_0.
    """

    selector: ClassVar[str] = "greedy"
    words: ClassVar[int | None] = None
    before: ExpectedFreeEnergy = BEFORE
    """Chooses before the first layer."""
    between: ExpectedFreeEnergy = BETWEEN
    """Chooses the second time."""
    place: float = 0.4
    """Where that is, as a share of the depth."""
    worth: float = 1 / 3
    """What a nat is worth behind it, of what it is worth before; 1: as many tokens in every layer."""

    def __post_init__(self) -> None:
        if not 0.0 < self.worth <= 1.0:
            raise ValueError(f"worth must lie in (0, 1], got {self.worth}: tokens do not come back")

    @property
    def needs(self) -> tuple[str, ...]:
        """What the preferences read of the vision tower."""
        return tuple(dict.fromkeys((*self.before.needs, *self.between.needs)))

    def __call__(self, pictures: Pictures) -> Scores:
        """As `efe`."""
        return (self.before if pictures.attention is None else self.between)(pictures)

    def step(self, pictures: Pictures, left: Int[Tensor, " picture"], layer: int, layers: int) -> Step:
        """What a stage gets of the token-layers."""
        (second,) = boundaries((self.place,), layers)
        if layer:
            return Step(evenly(pictures, left, layers - layer))
        first = (left / (second + self.worth * (layers - second))).round().long()
        # Where a picture has fewer, or where a stage would be left with nothing.
        most = torch.minimum(pictures.count, (left - (layers - second)) // second)
        return Step(torch.minimum(first, most).clamp(min=1), second)
