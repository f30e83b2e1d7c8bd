"""Share a budget between the pictures of one prompt: every token goes where it adds most."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.budgets import BUDGETS
from arr_coc.climb import walked
from arr_coc.types import Pictures, Scores, Spending


@BUDGETS.register("shared")
@dataclass(frozen=True)
class Shared:
    """`mean` tokens a picture on average over the pictures of each row, spent by marginal value.

    Water-filling: one threshold a row on what the steps of the greedy climb add, in nats for `efe`; what adds
    more is kept, in whatever picture. That is the best of all splits where no step adds more than the one
    before it; a curve that bends upwards is taken as its least concave majorant, and the split is then the
    best one up to part of one straight piece. Among equals the earlier step, then the earlier picture.
    Without a value of sets the value of a set is the sum of its scores, as for `top_k`.
    """

    mean: int | float
    """Over the pictures of a row: a whole number of tokens, or a fraction in (0, 1] of all their tokens."""

    def __post_init__(self) -> None:
        whole = isinstance(self.mean, int)
        if isinstance(self.mean, bool) or not (self.mean >= 1 if whole else 0.0 < self.mean <= 1.0):
            raise ValueError(
                f"mean must be a number of tokens from 1 up or a fraction in (0, 1], got {self.mean!r}"
            )

    def __call__(self, pictures: Pictures, scores: Scores) -> Spending:
        """At least one token of every picture. Raises ValueError if a row has not so many tokens, and for a
        scorer that chooses in a way of its own: what a token adds is then not known."""
        # A host sync: an impossible request must not reach the selector, and the rest is done in float64.
        rows, count = pictures.row.cpu(), pictures.count.cpu()
        members = [(rows == row).nonzero()[:, 0] for row in sorted(set(rows.tolist()))]
        totals = [self._total(int(rows[these[0]]), count[these]) for these in members]
        most = count.clone()
        for these, total in zip(members, totals, strict=True):
            most[these] = most[these].clamp(max=total - len(these) + 1)
        path = None
        if all(len(these) == 1 for these in members) or torch.equal(most, torch.ones_like(most)):
            return Spending(most.to(pictures.row.device))
        if scores.of_sets is not None:
            path = walked(scores.of_sets, pictures.valid, most.to(pictures.row.device))
            gains = path.path.gains
        elif scores.chooser is None:
            ranked = scores.values.float().masked_fill(~pictures.valid, -torch.inf).sort(1, descending=True)
            gains = ranked.values[:, : int(most.max())]
        else:
            raise ValueError(
                "budget='shared' needs to know what a token adds, and this scorer chooses in a way of its "
                "own: use one with a value of sets, such as 'efe', or one that ranks, such as 'fastervlm'"
            )
        curves, tokens = gains.cpu().double(), torch.empty_like(count)
        for these, total in zip(members, totals, strict=True):
            tokens[these] = water_filled(curves[these], most[these], total)
        return Spending(tokens.to(pictures.row.device), of_sets=path)

    def _total(self, row: int, count: Int[Tensor, " picture"]) -> int:
        there, n = int(count.sum()), len(count)
        wanted = self.mean * n if isinstance(self.mean, int) else max(n, round(self.mean * there))
        if wanted > there:
            raise ValueError(
                f"budget='shared:{self.mean}' is more than the {there} visual tokens that the {n} pictures "
                f"of row {row} have: ask for fewer, or for a ratio; budget=1.0 keeps all"
            )
        return wanted


def water_filled(
    gains: Float[Tensor, "picture steps"], most: Int[Tensor, " picture"], total: int
) -> Int[Tensor, " picture"]:
    """How many steps of each curve to take, `total` in all, the first of each among them and `most` at most.

    `gains` are undefined past `most`. Equals are settled by step, then by picture.
    """
    pictures, steps = gains.shape
    real = torch.arange(steps) < most[:, None]
    slopes = concave(torch.where(real, gains, -torch.inf))
    slopes[:, 0] = torch.inf
    # By step before picture, so that a stable sort settles equals by step first.
    best = slopes.masked_fill(~real, -torch.inf).T.flatten().argsort(descending=True, stable=True)[:total]
    return torch.bincount(best % pictures, minlength=pictures)


def concave(gains: Float[Tensor, "picture steps"]) -> Float[Tensor, "picture steps"]:
    """Slopes of the least concave majorant of the curves that add these gains; -inf past their ends.

    The slope of step k is the least, over the i before it, of the steepest rise from i to a j not before k.
    """
    n = gains.shape[1]
    if bool((gains[:, 1:] <= gains[:, :-1]).all()):
        return gains.clone()
    there = gains > -torch.inf
    reached = torch.nn.functional.pad(gains.masked_fill(~there, 0.0).cumsum(1), (1, 0))
    start, end = torch.arange(n), torch.arange(1, n + 1)
    rise = (reached[:, None, 1:] - reached[:, :-1, None]) / (end - start[:, None]).clamp(min=1)
    rise = rise.masked_fill((end <= start[:, None]) | ~there[:, None, :], -torch.inf)
    steepest = rise.flip(2).cummax(2).values.flip(2)  # (picture, start, step)
    steepest = steepest.masked_fill(end <= start[:, None], torch.inf)
    return steepest.amin(1).masked_fill(~there, -torch.inf)
