"""The picture of what was kept shows exactly that."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from arr_coc.eval.nano.build import processor
from arr_coc.eval.pictures import Panel, as_seen, dimmed, kept_picture


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_kept_patches_are_untouched_and_dropped_ones_are_grey_and_darker() -> None:
    image, keep = noise(384, 384), torch.arange(16) % 3 == 0

    shown = np.asarray(dimmed(image, keep, (4, 4)))

    inside = keep.reshape(4, 4).numpy().repeat(96, 0).repeat(96, 1)
    assert (shown[inside] == np.asarray(image)[inside]).all()
    assert (np.ptp(shown[~inside].astype(int), axis=-1) == 0).all()
    assert shown[~inside].mean() < 0.5 * np.asarray(image)[~inside].mean()


def test_a_wide_picture_keeps_its_proportions() -> None:
    assert dimmed(noise(200, 100), torch.ones(8, dtype=torch.bool), (2, 4)).size == (384, 192)


def test_a_grid_that_is_not_the_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="5 visual tokens cannot be a grid of 2 x 3"):
        dimmed(noise(60, 60), torch.ones(5, dtype=torch.bool), (2, 3))


def test_the_picture_that_the_tower_got_is_the_one_that_is_drawn() -> None:
    side = processor().image_processor.size["height"]
    image = noise(side, side)
    pixels = processor().image_processor(images=image, return_tensors="pt")["pixel_values"][0]

    assert np.abs(np.asarray(as_seen(image, pixels, processor())).astype(int) - np.asarray(image)).max() <= 1


def test_patches_in_a_row_are_no_picture() -> None:
    image = noise(20, 10)

    assert as_seen(image, torch.zeros(64, 1176), processor()).size == (20, 10)
    assert as_seen(image, None, processor()).size == (20, 10)


def test_long_questions_and_answers_stay_inside_the_picture(tmp_path: Path) -> None:
    keep = torch.ones(4, dtype=torch.bool)
    panels = [Panel("efe 0.11", keep, "word " * 200), Panel("full 1.0", keep, "")]

    kept_picture(tmp_path / "kept.png", noise(50, 50), (2, 2), "why " * 300, panels, gold="because")

    with Image.open(tmp_path / "kept.png") as picture:
        assert picture.width < 900
        assert picture.height < 700
