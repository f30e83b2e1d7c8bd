"""Selectors: which tokens to keep, given how many. Deterministic; among equals the first one."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.climb import climb
from arr_coc.pooling import cells
from arr_coc.ranking import best
from arr_coc.registry import Registry
from arr_coc.types import Pictures, Scores, Selection, Selector

SELECTORS: Registry[type[Selector]] = Registry("selector")
"""A `positional` one looks at places and does not follow a permutation; an `empty` one keeps nothing."""


@SELECTORS.register("top_k")
@dataclass(frozen=True)
class TopK:
    """Keep the highest scores."""

    positional: ClassVar[bool] = False

    def __call__(self, pictures: Pictures, scores: Scores, budget: Int[Tensor, " picture"]) -> Selection:
        """The `budget` best of each picture."""
        return Selection(keep=best(scores.values, pictures.valid, budget))


@SELECTORS.register("greedy")
@dataclass(frozen=True)
class Greedy:
    """Climb the scorer's value of sets, one token after another."""

    positional: ClassVar[bool] = False

    def __call__(self, pictures: Pictures, scores: Scores, budget: Int[Tensor, " picture"]) -> Selection:
        """The greedy set of each picture, with the value that every step added."""
        if scores.of_sets is None:
            raise ValueError(
                "the selector 'greedy' climbs a value of sets, and this scorer has none (of_sets is None): "
                "use selector='top_k', or a scorer such as 'efe' or 'divprune'"
            )
        path = climb(scores.of_sets, pictures.valid, budget)
        return Selection(keep=path.keep, gains=path.gains)


@SELECTORS.register("own")
@dataclass(frozen=True)
class Own:
    """Let the scorer choose, where its method is no ranking and no climb; it may merge what it drops."""

    positional: ClassVar[bool] = False

    def __call__(self, pictures: Pictures, scores: Scores, budget: Int[Tensor, " picture"]) -> Selection:
        """What the scorer's chooser says."""
        if scores.chooser is None:
            raise ValueError(
                "the selector 'own' leaves the choice to the scorer, and this one has no way of its own "
                "(chooser is None): use selector='top_k', or a scorer such as 'visionzip'"
            )
        return scores.chooser(budget)


@SELECTORS.register("stride")
@dataclass(frozen=True)
class Stride:
    """Keep evenly spaced tokens, the i-th of k at (i + 1/2) n / k, whatever their scores."""

    positional: ClassVar[bool] = True

    def __call__(self, pictures: Pictures, scores: Scores, budget: Int[Tensor, " picture"]) -> Selection:
        """Every (n / k)-th token of each picture."""
        n, k = pictures.count[:, None], budget[:, None]
        # Picks that lie before the end of a token: i + 1/2 < k end / n, in whole numbers.
        end = torch.arange(pictures.valid.shape[1] + 1, device=k.device)
        picks = (2 * k * end + n - 1).div(2 * n, rounding_mode="floor")
        return Selection(keep=(picks.diff(dim=1) > 0) & pictures.valid)


@SELECTORS.register("pool")
@dataclass(frozen=True)
class Pool:
    """Average the tokens over as many cells as the budget has; the middle one stands for its cell."""

    positional: ClassVar[bool] = True

    def __call__(self, pictures: Pictures, scores: Scores, budget: Int[Tensor, " picture"]) -> Selection:
        """Cells of nearly equal size that tile the picture: their middles, means and sizes."""
        cell, middle = cells(pictures.count, pictures.grid, budget, pictures.valid.shape[1])
        keep = middle & pictures.valid
        width = int(budget.max()) if len(budget) else 0
        slot = torch.arange(width, device=cell.device)
        member = ((cell[..., None] == slot) & pictures.valid[..., None]).float()  # (picture, visual, cell)
        chosen = (member * keep[..., None]).argmax(1)  # (picture, cell)
        size = member.sum(1)
        mean = member.transpose(1, 2) @ pictures.tokens / size.clamp(min=1)[..., None]
        return Selection(
            keep=keep,
            merged=_at(keep, member @ mean),
            mass=_at(keep, member @ size[..., None])[..., 0],
            speaker=chosen.gather(1, cell.clamp(0, max(width - 1, 0))).masked_fill(~member.any(2), -1),
        )


@SELECTORS.register("none")
@dataclass(frozen=True)
class Nothing:
    """Keep no token, whatever the budget: the control that answers without looking."""

    positional: ClassVar[bool] = False
    empty: ClassVar[bool] = True

    def __call__(self, pictures: Pictures, scores: Scores, budget: Int[Tensor, " picture"]) -> Selection:
        """The empty set."""
        return Selection(keep=torch.zeros_like(pictures.valid))


def _at(keep: Tensor, x: Float[Tensor, "picture visual dim"]) -> Float[Tensor, "picture visual dim"]:
    return torch.where(keep[..., None], x, 0.0)
