"""Keep what stands out in the tower's attention, and let it take in its neighbours (LLaVA-PruMerge, +)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from arr_coc.diversity import cosines
from arr_coc.ranking import best, nth, strided
from arr_coc.relevance import Relevance, relevance
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores, Selection

NEIGHBOURS = 32
"""Tokens that a kept one takes in."""


@SCORERS.register("prumerge")
@dataclass(frozen=True)
class PruMerge:
    """The k - 1 tokens of largest attention a, and one more for all others.

    One that is kept becomes x_i + sum of a_j x_j over the 32 tokens with the most similar keys, kept or not.
    The last one is the sum of a_j x_j over all that are not, and stands where the best of them stood. How
    many stand out is what the budget `iqr` says; its default counts the last one.
    https://arxiv.org/abs/2403.15388

    The paper's a is of one head as wide as the layer, here it is the mean over heads, or what a patch gets on
    average where there is no class token. Here tokens are merged behind the projector.
    """

    selector: ClassVar[str] = "own"
    source: str | Relevance = "cls"
    """What says how much the tower looks at a token: a name in `RELEVANCE`, or a source of its own."""

    def __post_init__(self) -> None:
        relevance(self.source)

    @property
    def needs(self) -> tuple[str, ...]:
        """What is read of the vision tower."""
        return (*relevance(self.source).needs, "keys")

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are the attention."""
        attention = relevance(self.source)(pictures)
        return Scores(values=attention, chooser=partial(self._choose, pictures, attention))

    def _choose(
        self, pictures: Pictures, attention: Float[Tensor, "picture visual"], budget: Int[Tensor, " picture"]
    ) -> Selection:
        chosen = best(attention, pictures.valid, budget - 1)
        return taken_in(pictures, attention, chosen)


@SCORERS.register("prumerge_plus")
@dataclass(frozen=True)
class PruMergePlus:
    """As `prumerge`, with evenly spaced tokens beside those that stand out.

    The paper adds every (1 / 3r)-th token to a share r that stands out: three times as many. Of a fixed
    budget that is a quarter by attention and three evenly spaced over what is left, where none comes twice.
    https://arxiv.org/abs/2403.15388
    """

    selector: ClassVar[str] = "own"
    positional: ClassVar[bool] = True
    source: str | Relevance = "cls"
    """What says how much the tower looks at a token: a name in `RELEVANCE`, or a source of its own."""
    spaced: float = 0.75
    """Share of the budget that is evenly spaced."""

    def __post_init__(self) -> None:
        relevance(self.source)
        if not 0.0 <= self.spaced <= 1.0:
            raise ValueError(f"spaced must lie in [0, 1], got {self.spaced}")

    @property
    def needs(self) -> tuple[str, ...]:
        """What is read of the vision tower."""
        return (*relevance(self.source).needs, "keys")

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are the attention."""
        attention = relevance(self.source)(pictures)
        return Scores(values=attention, chooser=partial(self._choose, pictures, attention))

    def _choose(
        self, pictures: Pictures, attention: Float[Tensor, "picture visual"], budget: Int[Tensor, " picture"]
    ) -> Selection:
        n_spaced = (self.spaced * (budget - 1)).round().long()
        outstanding = best(attention, pictures.valid, budget - 1 - n_spaced)
        rest = pictures.valid & ~outstanding
        step = rest.sum(1).div(n_spaced.clamp(min=1), rounding_mode="floor")
        return taken_in(pictures, attention, outstanding | strided(rest, n_spaced, step))


def taken_in(
    pictures: Pictures, attention: Float[Tensor, "picture visual"], chosen: Bool[Tensor, "picture visual"]
) -> Selection:
    """The chosen tokens with what is near them, and one with what was not chosen, weighed by attention."""
    rest = pictures.valid & ~chosen
    slot = nth(attention, rest, torch.zeros_like(pictures.count))
    keys = pictures.tap("keys").flatten(2)
    others = pictures.valid[:, None, :] & ~torch.eye(rest.shape[1], dtype=torch.bool, device=rest.device)
    alike = cosines(keys, keys).masked_fill(~others, -torch.inf)
    near = alike.argsort(dim=2, descending=True, stable=True)[..., :NEIGHBOURS]
    weights = torch.zeros_like(alike).scatter_(2, near, 1.0) * others * attention[:, None, :]
    weights = torch.where(slot[..., None], (rest * attention)[:, None, :], weights)
    own = torch.where(chosen[..., None], pictures.tokens, 0.0)
    merged = torch.where((chosen | slot)[..., None], own + weights @ pictures.tokens, 0.0)
    return Selection(keep=chosen | slot, merged=merged)
