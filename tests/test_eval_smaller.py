"""Fewer pixels as a control: what the processor is shown, and that no more is kept than by a selector."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from arr_coc.eval.answer import answer
from arr_coc.eval.config import RunConfig
from arr_coc.eval.method import Method
from arr_coc.eval.models import Loaded, load
from arr_coc.eval.prompt import Prompt, prompt
from arr_coc.eval.run import evaluate
from arr_coc.eval.smaller import as_shown, shrunk, tokens_wanted
from arr_coc.scorers import SCORERS
from tests.tiny_llava import folder

SMALL, QUESTION = Method("downsample"), "what color is the square ?"


def picture(side: int = 96) -> Image.Image:
    draw = torch.randint(0, 255, (side, side, 3), generator=torch.Generator().manual_seed(0))
    return Image.fromarray(draw.byte().numpy())


def prepared(visual: list[int]) -> Prompt:
    width = max(visual)
    shown = torch.arange(width) < torch.tensor(visual)[:, None]
    return Prompt({}, shown, shown, [])


@pytest.fixture(scope="module")
def llava() -> Loaded:
    return load(str(folder()))


@pytest.mark.parametrize(("size", "share", "smaller"), [((96, 64), 1 / 4, (48, 32)), ((10, 3), 0.01, (1, 1))])
def test_a_share_of_pixels_is_its_root_of_each_side(
    size: tuple[int, int], share: float, smaller: tuple[int, int]
) -> None:
    assert shrunk(Image.new("RGB", size), share).size == smaller


def test_a_picture_that_may_keep_all_is_shown_as_it_is() -> None:
    image = picture()
    assert shrunk(image, 1.0) is image


def test_tokens_wanted_are_those_of_each_picture_of_a_row() -> None:
    shown = prepared([576, 100, 8])
    assert tokens_wanted(0.25, shown, [1, 2, 1]) == [144, 12, 2]
    assert tokens_wanted(16, shown, [1, 2, 1]) == [16, 16, 8]
    with pytest.raises(ValueError, match="downsample needs a ratio or a count, got 'iqr'"):
        tokens_wanted("iqr", shown, [1, 2, 1])


def test_a_tower_of_one_size_sees_a_blurred_picture_and_its_tokens_are_pooled(llava: Loaded) -> None:
    image = picture()
    blurred = image.resize((16, 16), Image.Resampling.BICUBIC)

    shown = prompt(llava, [[image]], [QUESTION])
    small = answer(llava, *as_shown(llava, (SMALL, 16), shown, [[image]], [QUESTION], seed=0), 3)
    oracle = answer(
        llava, prompt(llava, [[blurred]], [QUESTION]), Method("pool").allocator(16, 0), 3
    )  # 16 of 576 tokens, and 16 x 16 of 96 x 96 pixels

    assert int(small.keep[0].sum()) == 16
    assert small.texts == oracle.texts
    assert small.allocation is not None
    assert oracle.allocation is not None
    assert small.allocation.embeds is not None
    assert torch.equal(small.allocation.embeds, oracle.allocation.embeds)


def test_a_processor_that_makes_fewer_tokens_of_it_keeps_them_all(
    llava: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def fewer(loaded: Loaded, pictures: Any, questions: Any) -> Prompt:
        seen.append(pictures[0][0].size)
        return prompt(loaded, pictures, questions)

    image = picture()
    monkeypatch.setattr("arr_coc.eval.smaller.prompt", fewer)
    # As if the whole picture made four times as many tokens as the small one does.
    many = prepared([4 * 576])
    small = answer(llava, *as_shown(llava, (SMALL, 0.25), many, [[image]], [QUESTION], seed=0), 3)

    assert seen == [(48, 48)]
    assert int(small.keep[0].sum()) == 576
    assert small.allocation is not None
    assert small.allocation.embeds is None


def test_an_evaluation_counts_tokens_in_layers_and_of_the_whole_picture(tmp_path: Path) -> None:
    config = RunConfig(
        model=str(folder()), out=str(tmp_path), methods=("downsample", "tome"), budgets=(0.25,), limit=2,
        batch_size=2, examples=0,
    )  # fmt: skip

    results = evaluate(config)

    assert results is not None
    layers = load(str(folder())).model.config.text_config.num_hidden_layers
    for row, kept in zip(results["rows"], [0, 576, 144, 144], strict=True):
        assert (row["kept_tokens"], row["visual_tokens"]) == (kept, 576)
        assert row["token_layers"] == kept * layers


def test_downsample_is_pool_where_nobody_shows_a_smaller_picture() -> None:
    assert SCORERS["downsample"]().selector == SCORERS["pool"]().selector
    assert SMALL.shrinks
    assert not Method("pool").shrinks
    assert not Method("full").shrinks
