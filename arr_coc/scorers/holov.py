"""Share the budget out over strips of the picture, and keep in each what the tower looks at (HoloV)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.diversity import cosines
from arr_coc.relevance import Relevance, relevance
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores, Selection


@SCORERS.register("holov")
@dataclass(frozen=True)
class HoloV:
    """A strip gets a share of the budget by the mean of A + gamma V over it; inside, the largest A stay.

    A is the attention of the class token, or received where there is none; V_i is the variance of a token's
    cosines with the others of its strip; gamma = mean A / mean V over the picture. Strips are runs of tokens
    in reading order, not windows. https://arxiv.org/abs/2510.02912

    That is the paper's weight; its released code multiplies V by 0.09 gamma besides, and counts a zero for a
    token's likeness to itself. A strip that is full passes on what is left to the next best.
    """

    selector: ClassVar[str] = "own"
    positional: ClassVar[bool] = True
    source: str | Relevance = "cls"
    """What says how much the tower looks at a token: a name in `RELEVANCE`, or a source of its own."""
    strips: int = 16

    def __post_init__(self) -> None:
        relevance(self.source)
        if self.strips < 1:
            raise ValueError(f"strips must be at least 1, got {self.strips}")

    @property
    def needs(self) -> tuple[str, ...]:
        """What is read of the vision tower."""
        return relevance(self.source).needs

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are A + gamma V."""
        attention, strip = relevance(self.source)(pictures), self._strip(pictures)
        mine = (strip[:, :, None] == strip[:, None, :]) & pictures.valid[:, None, :]
        mine = mine & ~torch.eye(mine.shape[1], dtype=torch.bool, device=mine.device)
        alike = torch.where(mine, cosines(pictures.tokens, pictures.tokens), 0.0)
        others = mine.sum(2).clamp(min=1)
        mean = alike.sum(2) / others
        variance = (torch.where(mine, alike - mean[..., None], 0.0).square().sum(2) / others) * pictures.valid
        total = variance.sum(1, keepdim=True)
        gamma = torch.where(total > 0, attention.sum(1, keepdim=True) / total.clamp(min=1e-12), 0.0)
        holistic = attention + gamma * variance
        return Scores(values=holistic, chooser=partial(self._choose, pictures, attention, holistic, strip))

    def _strip(self, pictures: Pictures) -> Int[Tensor, "picture visual"]:
        """Which strip each token lies in; `strips` at padding."""
        n = pictures.count.clamp(min=1)[:, None]
        place = torch.arange(pictures.valid.shape[1], device=n.device)
        strip = (place * n.clamp(max=self.strips)).div(n, rounding_mode="floor")
        return strip.masked_fill(~pictures.valid, self.strips)

    def _choose(
        self,
        pictures: Pictures,
        attention: Float[Tensor, "picture visual"],
        holistic: Float[Tensor, "picture visual"],
        strip: Int[Tensor, "picture visual"],
        budget: Int[Tensor, " picture"],
    ) -> Selection:
        member = (strip[..., None] == torch.arange(self.strips, device=strip.device)).float()
        size = member.sum(1)
        weight = (holistic[:, None] @ member)[:, 0] / size.clamp(min=1)
        quota = shared_out(weight, size.long(), budget)
        order = attention.argsort(dim=1, descending=True, stable=True)
        order = order.gather(1, strip.gather(1, order).argsort(dim=1, stable=True))
        rank = order.argsort(dim=1)  # strip after strip, by attention in each
        start = torch.nn.functional.pad(size.cumsum(1), (1, 0)).long()
        limit = torch.nn.functional.pad(quota, (0, 1))
        keep = rank - start.gather(1, strip) < limit.gather(1, strip)
        return Selection(keep=keep & pictures.valid)


def shared_out(
    weight: Float[Tensor, "picture strip"],
    size: Int[Tensor, "picture strip"],
    budget: Int[Tensor, " picture"],
) -> Int[Tensor, "picture strip"]:
    """Whole shares of the budget in proportion to the weights, none above the size of its strip.

    Rounded down; what is left goes one by one to the strips of largest weight that have room.
    """
    share = weight / weight.sum(1, keepdim=True).clamp(min=1e-12)
    quota = torch.minimum((share * budget[:, None]).floor().long(), size)
    order = weight.argsort(dim=1, descending=True, stable=True)
    # A host sync a round: full strips are few.
    while (left := budget - quota.sum(1)).any():
        room = (quota < size).gather(1, order)
        given = room & (room.cumsum(1) <= left[:, None])
        quota = quota.scatter_add(1, order, given.long())
    return quota
