"""Ratings that are handed over: spread by area, put where the tokens stand, read by scorers at any layer."""

import sys
from dataclasses import dataclass, replace
from math import gcd, prod
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d
from torch.testing import assert_close

from arr_coc.adapters.tiny import Row, Tiny
from arr_coc.allocate import Allocator
from arr_coc.allocation import Allocation, Stage
from arr_coc.attach import attached
from arr_coc.clip import load_clip
from arr_coc.preference import ClipPreference
from arr_coc.rated import Rated, by_area, over_tokens
from arr_coc.relevance import RELEVANCE
from arr_coc.scorers.cdpruner import CDPruner
from arr_coc.scorers.efe import ExpectedFreeEnergy
from arr_coc.scorers.fastervlm import FasterVLM
from arr_coc.scorers.saccade import Saccade
from arr_coc.scorers.trim import Trim
from arr_coc.types import Context, Pictures, Scores
from tests.contexts import context
from tests.pictures import picture_of, pictures
from tests.stubs import keep_all

GRIDS = [[(1, 2, 3), (1, 4, 2)], [(2, 3, 1)], []]
"""Of the pictures of three rows."""


def ratings(seed: int = 0, sides: tuple[int, int] = (5, 7)) -> list[list[Tensor]]:
    draw = torch.Generator().manual_seed(seed)
    return [[torch.randn(grid[0], *sides, generator=draw) for grid in row] for row in GRIDS]


def prompt(left: bool = False) -> Context:
    """Rows with those pictures, between words."""
    rows = [[3, *(n for grid in row for n in (prod(grid), 2))] for row in GRIDS]
    made = context(rows, left=left)
    grid = torch.zeros_like(made.grid)
    for i, row in enumerate(GRIDS):
        grid[i, : len(row)] = torch.tensor(row).reshape(-1, 3)
    return replace(made, grid=grid, taps=None)


def test_a_coarser_grid_is_given_means_by_area() -> None:
    line = torch.tensor([[[0.0, 1.0, 2.0]]])

    assert_close(by_area(line, (1, 1, 2)), torch.tensor([[[0.5 / 1.5, 2.5 / 1.5]]]))
    assert_close(by_area(line.mT, (1, 2, 2)), torch.tensor([[[1 / 3, 1 / 3], [5 / 3, 5 / 3]]]))
    assert torch.equal(by_area(line, (1, 1, 3)), line)


@pytest.mark.parametrize("grid", [(1, 1, 1), (1, 3, 7), (2, 5, 4), (3, 24, 24), (4, 10, 2)])
def test_spreading_by_area_is_the_mean_on_a_grid_that_both_divide(grid: tuple[int, int, int]) -> None:
    rating = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    fine, block = rating, []
    for axis, (there, here) in enumerate(zip(rating.shape, grid, strict=True)):
        fine = fine.repeat_interleave(here // gcd(there, here), dim=axis)
        block.append(there // gcd(there, here))

    got = by_area(rating, grid)

    assert_close(got, avg_pool3d(fine[None], block)[0])
    assert_close(got.mean(), rating.mean())


@pytest.mark.parametrize("left", [False, True])
def test_every_token_gets_what_its_part_of_its_picture_was_rated(left: bool) -> None:
    made, rated = prompt(left), ratings()

    said = over_tokens(rated, made)

    assert (said[~made.visual] == 0).all()
    for i, row in enumerate(GRIDS):
        for nth, grid in enumerate(row):
            here = made.picture[i] == nth
            assert_close(said[i, here], by_area(rated[i][nth], grid).flatten())


def test_beams_repeat_every_row_with_its_ratings() -> None:
    made = prompt()
    tensors = ("embeds", "visual", "text", "valid", "picture", "grid")
    beams = replace(
        made,
        positions=made.positions.repeat_interleave(2, 1),
        **{name: getattr(made, name).repeat_interleave(2, 0) for name in tensors},
    )

    assert torch.equal(over_tokens(ratings(), beams), over_tokens(ratings(), made).repeat_interleave(2, 0))


@pytest.mark.parametrize(
    ("rated", "message"),
    [
        (ratings()[:2], "2 rows were rated, and the prompt has 3"),
        ([], "0 rows were rated, and the prompt has 3"),
        ([ratings()[0][:1], *ratings()[1:]], "1 pictures of row 0 were rated, and it shows 2"),
        ([*ratings()[:2], ratings()[1]], "1 pictures of row 2 were rated, and it shows 0"),
    ],
)
def test_ratings_of_other_pictures_are_refused(rated: list[list[Tensor]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        over_tokens(rated, prompt())


def test_tokens_without_a_known_place_cannot_be_rated() -> None:
    made = prompt()
    with pytest.raises(ValueError, match="not known where in picture 0 of row 0"):
        over_tokens(ratings(), replace(made, grid=torch.zeros_like(made.grid)))


SCORERS: list[Any] = [
    CDPruner("clip"), Trim("clip"), FasterVLM("clip"), ExpectedFreeEnergy(preference="clip"),
]  # fmt: skip


@pytest.mark.parametrize("scorer", SCORERS, ids=lambda scorer: type(scorer).__name__)
def test_a_row_is_decided_as_if_it_were_alone_and_by_its_ratings(scorer: Any) -> None:
    made, rated = prompt(), ratings()
    keep = Rated(Allocator(scorer, budget=3), rated)(made).keep

    for i in range(len(GRIDS)):
        seen = made.valid[i]
        one = {
            name: getattr(made, name)[i : i + 1, seen]
            for name in ("embeds", "visual", "text", "valid", "picture")
        }
        pictured = made.grid[i : i + 1, : max(len(GRIDS[i]), 1)]
        alone = replace(made, positions=made.positions[:, i : i + 1, seen], grid=pictured, **one)
        assert torch.equal(Rated(Allocator(scorer, budget=3), rated[i : i + 1])(alone).keep[0], keep[i, seen])
    others = [Rated(Allocator(scorer, budget=3), ratings(seed))(made).keep for seed in range(1, 6)]
    assert any(not torch.equal(keep, other) for other in others)


def test_what_is_wanted_of_a_rated_picture_is_the_floored_softmax_of_its_ratings() -> None:
    these = picture_of([[1.0], [2.0], [3.0]], clip=[0.1, 0.2, 0.6])
    z = torch.tensor([-0.2, -0.1, 0.3]) / torch.tensor(0.14 / 3).sqrt()

    wanted = ClipPreference(gamma=2.0, eps=0.2)(these)[0]

    assert_close(wanted, (0.8 * 3 * (2 * z).softmax(0) + 0.2).log())
    assert ClipPreference(gamma=-1.0)(these)[0].argmax() == 0
    with pytest.raises(ValueError, match=r"eps must lie in \[0, 1\]"):
        ClipPreference(eps=-0.1)


def test_the_source_is_what_was_said_and_nobody_needs_it_unless_it_is_read() -> None:
    these = pictures([7, 4])
    assert these.taps is not None

    assert RELEVANCE["clip"]()(these) is these.taps.clip
    assert CDPruner("clip").needs == ("clip",)
    assert ExpectedFreeEnergy(preference="clip").needs == ("clip",)
    assert ExpectedFreeEnergy().needs == ()


@dataclass(frozen=True)
class Both:
    """Reads the tower and the ratings."""

    selector: ClassVar[str] = "top_k"
    needs: ClassVar[tuple[str, ...]] = ("attention", "clip")

    def __call__(self, pictures: Pictures) -> Scores:
        return Scores(pictures.tap("attention") * 0 + pictures.tap("clip"))


def test_a_model_keeps_what_is_rated_best_in_every_beam(llava: Tiny) -> None:
    inputs = llava.inputs([Row(1, (4, "image", 9)), Row(2, (2, "image", 5))])
    maps = [[torch.randn(1, 7, 11, generator=torch.Generator().manual_seed(i))] for i in range(2)]
    visual = inputs["input_ids"] == llava.model.config.image_token_id
    side = round((visual[0].sum().item()) ** 0.5)

    with attached(llava.model, Rated(Allocator(Both(), budget=3), maps)) as trace:
        llava.model.generate(**inputs, max_new_tokens=2, num_beams=2)

    (allocation,) = trace
    for i in range(2):
        best = by_area(maps[i][0], (1, side, side)).flatten().topk(3).indices.sort().values
        for beam in (2 * i, 2 * i + 1):
            assert torch.equal(allocation.keep[beam, visual[i]].nonzero()[:, 0], best)


def test_a_scorer_that_reads_ratings_says_so_where_nobody_gave_any(llava: Tiny) -> None:
    with (
        pytest.raises(
            ValueError, match=r"needs 'clip', which no vision tower says.*Rated\(allocator, ratings\)"
        ),
        attached(llava.model, Allocator(CDPruner("clip"))),
    ):
        pass


def test_decisions_between_layers_know_the_same_ratings() -> None:
    heard: list[Tensor] = []

    def listen(shown: Context) -> Allocation:
        assert shown.taps is not None
        assert shown.taps.clip is not None
        heard.append(shown.taps.clip)
        deeper = replace(keep_all(shown), then=Stage(shown.layer + 1, listen))
        return deeper if shown.layer < 2 else keep_all(shown)

    made = prompt()
    allocation = Rated(listen, ratings())(made)
    for layer in (1, 2):
        assert allocation.then is not None
        allocation = allocation.then.decide(replace(made, grid=torch.zeros_like(made.grid), layer=layer))

    assert allocation.then is None
    assert len(heard) == 3
    assert all(torch.equal(said, over_tokens(ratings(), made)) for said in heard)


def test_what_is_decided_after_a_glimpse_knows_the_ratings_too(llava: Tiny) -> None:
    inputs = llava.inputs([Row(1, (4, "image", 9))])
    maps = [[torch.randn(1, 7, 11, generator=torch.Generator().manual_seed(0))]]
    visual = inputs["input_ids"][0] == llava.model.config.image_token_id
    side = round(visual.sum().item() ** 0.5)
    rated = ExpectedFreeEnergy(epistemic="modular", preference="clip")
    # Of two layers both read the glimpse: 4 token-layers each, 2 tokens, for both looks.
    saccade = Saccade(first=rated, then=rated, share=0.5)

    with attached(llava.model, Rated(Allocator(saccade, budget=4), maps)) as trace, torch.no_grad():
        llava.model(**inputs)

    (allocation,) = trace
    best = by_area(maps[0][0], (1, side, side)).flatten().topk(2).indices.sort().values
    assert len(allocation.glimpses) == 1
    for look in (*allocation.glimpses, allocation):
        assert torch.equal(look.keep[0, visual].nonzero()[:, 0], best)


@pytest.mark.parametrize("package", ["open_clip", "torchvision"])
def test_without_the_package_the_extra_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "open_clip"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(ModuleNotFoundError, match=r"is not installed: pip install 'arr-coc\[clip\]'"):
        load_clip("ViT-B-32", "openai")
