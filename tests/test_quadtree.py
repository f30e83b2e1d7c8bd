"""The best cut of a quadtree: by hand, against every other cut, and on grids that are no power of two."""

import math
from functools import cache
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.allocate import Allocator
from arr_coc.preference import Indifferent
from arr_coc.quadtree import best_cut, curve_of, on_curve
from arr_coc.scorers.quadtree import Quadtree
from arr_coc.types import Context, Pictures, Selection
from tests.contexts import context
from tests.pictures import alone, picture_of, pictures

Cell = frozenset[tuple[int, int]]
FLAT = Quadtree(Indifferent())


def chosen(these: Pictures, budget: int, scorer: Quadtree = FLAT) -> Selection:
    chooser = scorer(these).chooser
    assert chooser is not None
    return chooser(torch.full((len(these.count),), budget))


def cells_of(selection: Selection, wide: int, i: int = 0) -> set[Cell]:
    """The tokens that share a speaker, by row and column."""
    assert selection.speaker is not None
    spoken = selection.speaker[i].tolist()
    return {
        frozenset((t // wide, t % wide) for t, said in enumerate(spoken) if said == speaker)
        for speaker in set(spoken) - {-1}
    }


@cache
def cuts(top: int, left: int, high: int, wide: int) -> frozenset[frozenset[Cell]]:
    """Every way to cut a square of the grid, or a half of one."""
    whole = frozenset({frozenset(product(range(top, top + high), range(left, left + wide)))})
    found = {whole}
    if high > 1 and high >= wide:
        pairs = product(cuts(top, left, high // 2, wide), cuts(top + high // 2, left, high // 2, wide))
        found |= {one | other for one, other in pairs}
    if wide > 1 and wide >= high:
        pairs = product(cuts(top, left, high, wide // 2), cuts(top, left + wide // 2, high, wide // 2))
        found |= {one | other for one, other in pairs}
    return frozenset(found)


def lost(these: Pictures, cell: Cell, omega: Tensor, wide: int, sigma2: float = 0.05) -> float:
    """Nats, from the definition, in float64."""
    tokens = these.tokens[0].double()
    tokens = tokens - tokens.mean(0)
    tokens = tokens / tokens.square().sum(1).mean().sqrt()
    at = torch.tensor([row * wide + column for row, column in cell])
    own, weight = tokens[at], omega[at].double()[:, None]
    mean = (weight * own).sum(0) / weight.sum()
    spread = float((weight * (own - mean).square()).sum())
    total = float(weight.sum())
    return 0.5 * total * math.log1p(spread / (total * sigma2))


def test_of_four_unlike_quarters_the_one_that_changes_is_cut_first() -> None:
    # 4 x 4: three flat quarters of 1, 2 and 3, and one with a 9 in its corner.
    picture = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 9]]
    these = picture_of([[float(x)] for line in picture for x in line], grid=(4, 4))

    seven = chosen(these, 7)

    assert cells_of(seven, 4) == {
        frozenset(product((0, 1), (0, 1))),
        frozenset(product((0, 1), (2, 3))),
        frozenset(product((2, 3), (0, 1))),
        *(frozenset({(row, column)}) for row in (2, 3) for column in (2, 3)),
    }
    # Middles, the first of four as near; what they stand for, and how much of it.
    kept = [0, 2, 8, 10, 11, 14, 15]
    assert seven.keep[0].nonzero()[:, 0].tolist() == kept
    assert seven.merged is not None
    assert seven.mass is not None
    assert seven.merged[0, kept, 0].tolist() == [1, 2, 3, 4, 4, 4, 9]
    assert seven.mass[0, kept].tolist() == [4, 4, 4, 1, 1, 1, 1]
    # With two fewer the 1 and the 2 become one: a smaller loss than the 9 beside a 4.
    assert cells_of(chosen(these, 5), 4) == {
        frozenset(product((0, 1), range(4))),
        frozenset(product((2, 3), (0, 1))),
        frozenset({(2, 2), (2, 3)}),
        frozenset({(3, 2)}),
        frozenset({(3, 3)}),
    }


@pytest.mark.parametrize("seed", range(3))
def test_no_cut_of_a_four_by_four_grid_loses_less(seed: int) -> None:
    these = pictures([16], seed=seed)
    scorer = Quadtree()
    scores = scorer(these)
    assert scores.pragmatic is not None
    omega = scores.pragmatic[0].exp()
    loss: dict[Cell, float] = {}
    least = [math.inf] * 17
    for cut in cuts(0, 0, 4, 4):
        total = sum(loss.setdefault(cell, lost(these, cell, omega, 4)) for cell in cut)
        least[len(cut)] = min(least[len(cut)], total)

    for k in range(1, 17):
        cut = cells_of(chosen(these, k, scorer), 4)
        assert frozenset(cut) in cuts(0, 0, 4, 4)
        assert len(cut) == k
        assert_close(sum(loss[cell] for cell in cut), least[k], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("high", "wide"), [(1, 1), (1, 7), (5, 3), (6, 6), (9, 2)])
def test_a_grid_of_any_shape_is_tiled_by_exactly_so_many_rectangles(high: int, wide: int) -> None:
    draw = torch.Generator().manual_seed(high)
    these = picture_of(torch.randn(high * wide, 5, generator=draw).tolist(), grid=(high, wide))
    for k in range(1, high * wide + 1):
        selection = chosen(these, k)
        cut = cells_of(selection, wide)
        assert len(cut) == k == int(selection.keep.sum())
        assert sum(len(cell) for cell in cut) == high * wide
        for cell in cut:
            rows, columns = {row for row, _ in cell}, {column for _, column in cell}
            assert len(cell) == len(rows) * len(columns)
            assert max(rows) - min(rows) + 1 == len(rows)
            assert max(columns) - min(columns) + 1 == len(columns)


def test_the_mean_of_a_cell_is_what_its_tokens_average_to_and_its_speaker_one_of_them() -> None:
    these = pictures([36, 20, 13], seed=4)
    scores = Quadtree()(these)
    selection = chosen(these, 7, Quadtree())
    assert selection.speaker is not None
    assert selection.merged is not None
    assert selection.mass is not None
    assert scores.pragmatic is not None
    omega = scores.pragmatic.exp()
    for i, n in enumerate(these.count.tolist()):
        for speaker in selection.keep[i].nonzero()[:, 0]:
            members = (selection.speaker[i] == speaker).nonzero()[:, 0]
            weight = omega[i, members][:, None]
            assert speaker in members
            assert selection.mass[i, speaker] == len(members)
            expected = (weight * these.tokens[i, members]).sum(0) / weight.sum()
            assert_close(selection.merged[i, speaker], expected, atol=1e-5, rtol=1e-5)
        assert (selection.speaker[i, :n] >= 0).all()
        assert (selection.speaker[i, n:] == -1).all()


def test_a_film_and_a_picture_without_a_grid_are_cut_as_lines() -> None:
    line = torch.linspace(0, 1, 12).square()[:, None].tolist()
    unknown, film = picture_of(line), picture_of(line)
    film.grid[:] = torch.tensor([[3, 2, 2]])
    for these in (unknown, film):
        speaker = chosen(these, 5).speaker
        assert speaker is not None
        assert (speaker[0].diff() >= 0).all()
        assert len(speaker[0].unique()) == 5


def test_beside_a_larger_picture_the_cut_is_the_same() -> None:
    these = pictures([16, 144, 9], seed=2)
    together = chosen(these, 6)
    for i, n in enumerate(these.count.tolist()):
        single = chosen(alone(these, i), 6)
        assert together.speaker is not None
        assert single.speaker is not None
        assert torch.equal(together.speaker[i, :n], single.speaker[0])


def test_a_square_is_a_run_of_the_curve() -> None:
    place, line, depth = curve_of(torch.tensor([12, 5]), torch.tensor([[1, 3, 4], [0, 0, 0]]), 12)
    assert depth == 2
    assert line.tolist() == [False, True]
    assert place[0].tolist() == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13]
    assert place[1].tolist() == list(range(12))


def test_one_cell_and_all_cells_need_no_choice() -> None:
    there = torch.tensor([[True] * 3 + [False]])
    sums = on_curve(torch.ones(1, 3, 1), torch.arange(3)[None], there[:, :3], 1)
    for k, expected in ((1, [0, 0, 0]), (3, [0, 1, 2])):
        cell = best_cut(sums, there, torch.tensor([False]), torch.tensor([k]), lambda x: x[..., 0])
        assert cell[0, :3].tolist() == expected


def test_cells_stand_in_their_middle_where_positions_are_centroids() -> None:
    prompt = context([[2, 16, 1]], dim=12)
    grid = torch.tensor([[[1, 4, 4]]])
    square = Context(**{**vars(prompt), "grid": grid})

    got = Allocator(FLAT, 1, precision=True, positions="centroid")(square)

    assert got.positions is not None
    assert got.bias is not None
    assert got.keep[0].nonzero()[:, 0].tolist() == [0, 1, 2 + 5, 18]
    assert_close(got.positions[0, 0, 2 + 5], torch.tensor(2 + 7.5))
    assert_close(got.bias[0, 2 + 5], torch.tensor(16.0).log())


def test_noise_is_above_nothing() -> None:
    with pytest.raises(ValueError, match="sigma2 must be above 0"):
        Quadtree(sigma2=0.0)
