"""Fine where the question looks and the picture changes, coarse elsewhere: the best cut of a quadtree."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.centring import centred
from arr_coc.preference import Preference, needs_of, preference
from arr_coc.quadtree import best_cut, curve_of, on_curve
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores, Selection


@SCORERS.register("quadtree")
@dataclass(frozen=True)
class Quadtree:
    """Cells of one, two, four, eight ... tokens, each their mean: the cut that loses the fewest nats.

    A cell of tokens v_t with mean m, precision omega = N pi and variance s2 per token loses
    W / 2 ln(1 + V / (W s2)) nats, W = sum omega_t, V = sum omega_t |v_t - m|^2: what knowing them apart would
    tell. Section 5.1 of the project's theory. Means are weighted by omega. With `+ln_n` a cell weighs as much
    in attention as its tokens did; with `+centroid` it stands in their middle, else where its middle token
    did. A film, or a picture whose grid is not known, is cut as a line.
    """

    selector: ClassVar[str] = "own"
    positional: ClassVar[bool] = True
    preference: str | Preference = "words"
    """What the question would like to see: a name in `PREFERENCES`, or one with settings of its own."""
    sigma2: float = 0.05
    """Noise of reading a token, as a share of the mean token energy."""

    def __post_init__(self) -> None:
        preference(self.preference)  # says what there is
        if self.sigma2 <= 0:
            raise ValueError(f"sigma2 must be above 0, got {self.sigma2}: without noise any loss is infinite")

    @property
    def needs(self) -> tuple[str, ...]:
        """What the preference reads of the vision tower."""
        return needs_of(self.preference)

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are the nats that are lost with a token of which nothing but the mean of all is known."""
        log_preference = preference(self.preference)(pictures)
        omega = log_preference.exp() * pictures.valid
        tokens = centred(pictures.tokens, pictures.valid)
        energy = tokens.square().sum((1, 2)) / pictures.count.clamp(min=1)
        tokens = tokens * energy.clamp(min=1e-12).rsqrt()[:, None, None]
        away = tokens.square().sum(2)
        return Scores(
            values=0.5 * omega * torch.log1p(away / self.sigma2),
            pragmatic=log_preference,
            chooser=partial(self._choose, pictures, tokens, omega),
        )

    def _choose(
        self,
        pictures: Pictures,
        tokens: Float[Tensor, "picture visual dim"],
        omega: Float[Tensor, "picture visual"],
        budget: Int[Tensor, " picture"],
    ) -> Selection:
        valid, n = pictures.valid, pictures.valid.shape[1]
        place, line, depth = curve_of(pictures.count, pictures.grid, n)
        each = torch.cat(
            [omega[..., None], (omega * tokens.square().sum(2))[..., None], omega[..., None] * tokens], dim=2
        )
        there = on_curve(valid[..., None].float(), place, valid, depth)[..., 0] > 0
        label = best_cut(on_curve(each, place, valid, depth), there, line, budget, self._lost)
        cell = label.gather(1, place.masked_fill(~valid, 0)).masked_fill(~valid, label.shape[1])
        across = torch.where(line, 1, pictures.grid[:, 2]).clamp(min=1)
        return _as_means(pictures, cell, omega, across, label.shape[1] + 1)

    def _lost(self, sums: Float[Tensor, "picture part stats"]) -> Float[Tensor, "picture part"]:
        weight = sums[..., 0].clamp(min=1e-12)
        spread = (sums[..., 1] - sums[..., 2:].square().sum(-1) / weight).clamp(min=0.0)
        return 0.5 * weight * torch.log1p(spread / (weight * self.sigma2))


def _as_means(
    pictures: Pictures,
    cell: Int[Tensor, "picture visual"],
    omega: Float[Tensor, "picture visual"],
    across: Int[Tensor, " picture"],
    n_cells: int,
) -> Selection:
    """The token nearest to the middle of each cell stands for it, with the mean of its tokens."""
    tokens, valid = pictures.tokens, pictures.valid
    width = tokens.shape[1]
    number = torch.arange(width, device=cell.device).expand_as(cell)
    row, column = number.div(across[:, None], rounding_mode="floor"), number % across[:, None]

    def total(x: Float[Tensor, "picture visual stats"]) -> Float[Tensor, "picture visual stats"]:
        """Of its cell, at every token."""
        index = cell[..., None].expand_as(x)
        return x.new_zeros(len(x), n_cells, x.shape[2]).scatter_add(1, index, x).gather(1, index)

    size = total(torch.ones_like(tokens[..., :1]))
    where = torch.stack([row, column], dim=2).float()
    away = (where - total(where) / size).square().sum(2)
    # The first of the nearest; in whole numbers, so that rounding does not tell apart what is as near.
    rank = (1024 * away).round().long() * width + number
    best = rank.new_full((len(cell), n_cells), torch.iinfo(rank.dtype).max)
    best = best.scatter_reduce(1, cell, rank, "amin").gather(1, cell)
    keep = (rank == best) & valid
    heir = number.new_full((len(cell), n_cells), -1)
    heir = heir.scatter(1, torch.where(keep, cell, n_cells - 1), torch.where(keep, number, -1))
    mean = total(omega[..., None] * tokens) / total(omega[..., None]).clamp(min=1e-12)
    return Selection(
        keep=keep,
        merged=torch.where(keep[..., None], mean, 0.0),
        mass=torch.where(keep, size[..., 0], 0.0),
        speaker=heir.gather(1, cell).masked_fill(~valid, -1),
    )
