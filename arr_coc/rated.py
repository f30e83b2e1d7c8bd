"""Hand over what was said of the pictures before the prefill: scorers find it as the source `clip`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.allocation import Allocation
from arr_coc.tower import GIVEN, Taps
from arr_coc.types import Context

Rating = Float[Tensor, "_ _ _"]
"""A score of every part of a picture: (time, height, width), covering it evenly. Time is 1, but of a film."""


@dataclass(frozen=True, eq=False)
class Rated:
    """An allocator whose scorer may read ratings of the pictures and the question, in one prompt.

        ratings = load_clip("ViT-L-14-336-quickgelu", "openai").rates(pictures, questions)
        with attached(model, Rated(Allocator(scorer=CDPruner(source="clip")), ratings)): ...

    They are spread over the tokens of each picture by area, whatever the two grids are. Another prompt needs
    other ratings.
    """

    allocate: Callable[[Context], Allocation]
    """An `Allocator`, or any other."""
    ratings: Sequence[Sequence[Rating]]
    """For each row of the prompt: of each of its pictures, in reading order."""

    @property
    def needs(self) -> tuple[str, ...]:
        """What is left for the vision tower to say."""
        return tuple(name for name in getattr(self.allocate, "needs", ()) if name not in GIVEN)

    def __call__(self, context: Context) -> Allocation:
        """Decide. Raises ValueError where the ratings are of other pictures or their grid is not known."""
        return _told(self.allocate, over_tokens(self.ratings, context), context)


def over_tokens(ratings: Sequence[Sequence[Rating]], context: Context) -> Float[Tensor, "batch seq"]:
    """What is said of each visual token, 0 elsewhere. Beams repeat every row, with all of its pictures."""
    # A host sync: how many pictures each row shows, and their grids.
    shown = (context.picture.masked_fill(~context.visual, -1).amax(1) + 1).tolist()
    grids = context.grid.tolist()
    if not ratings or len(shown) % len(ratings):
        raise ValueError(f"{len(ratings)} rows were rated, and the prompt has {len(shown)}: rate all of them")
    times = len(shown) // len(ratings)
    spread = [context.embeds.new_zeros(0, dtype=torch.float)]
    for row, n in enumerate(shown):
        rated = ratings[row // times]
        if len(rated) != n:
            raise ValueError(
                f"{len(rated)} pictures of row {row} were rated, and it shows {n}: rate each of them"
            )
        for nth, (rating, grid) in enumerate(zip(rated, grids[row], strict=False)):
            if prod(grid) == 0:
                raise ValueError(
                    f"it is not known where in picture {nth} of row {row} the tokens stand, so that no "
                    "rating can be spread over them: the model's family does not say its grid; choose "
                    "another source"
                )
            spread.append(by_area(rating.to(spread[0]), (grid[0], grid[1], grid[2])).flatten())
    said = torch.zeros(context.visual.shape, device=context.visual.device)
    return said.masked_scatter(context.visual, torch.cat(spread))


def by_area(rating: Rating, grid: tuple[int, int, int]) -> Rating:
    """Its mean over each cell of another grid on the same picture; the mean over all cells stays."""
    time, height, width = (
        _shares(there, here).to(rating) for there, here in zip(rating.shape, grid, strict=True)
    )
    return torch.einsum("tT,hH,wW,THW->thw", time, height, width, rating)


@lru_cache(maxsize=64)
def _shares(there: int, here: int) -> Float[Tensor, "here there"]:
    """How much of each of `here` equal cells of a line lies in each of `there`; every row sums to 1."""
    # In units of 1 / (here there) of the line, so that the ends of cells are whole numbers.
    ours, theirs = torch.arange(here)[:, None] * there, torch.arange(there) * here
    common = torch.minimum(ours + there, theirs + here) - torch.maximum(ours, theirs)
    return common.clamp(min=0) / there


def _told(
    decide: Callable[[Context], Allocation], said: Float[Tensor, "batch seq"], context: Context
) -> Allocation:
    """What is decided by one who knows: now, between layers, and after a glimpse."""
    allocation = decide(replace(context, taps=replace(context.taps or Taps(), clip=said)))
    then, glimpse = allocation.then, allocation.glimpse
    if then is not None:
        allocation = replace(allocation, then=replace(then, decide=partial(_told, then.decide, said)))
    if glimpse is not None:
        allocation = replace(
            allocation, glimpse=replace(glimpse, decide=partial(_told, glimpse.decide, said))
        )
    return allocation
