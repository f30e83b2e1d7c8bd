"""Which picture a visual token belongs to, and on what grid."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from arr_coc.adapters import llava
from arr_coc.layout import lay_out

TOUCHING = torch.tensor([[0, 1, 1, 1, 1, 1, 1, 0], [0, 0, 1, 1, 1, 1, 0, 0]]).bool()
LINE = torch.arange(8).expand(1, 2, 8)


def test_pictures_that_touch_are_parted_by_their_counts() -> None:
    picture, grid = lay_out(TOUCHING, LINE, [(1, 1, 2), (1, 2, 2), (1, 2, 2)])

    assert picture.tolist() == [[-1, 0, 0, 1, 1, 1, 1, -1], [-1, -1, 0, 0, 0, 0, -1, -1]]
    assert grid.tolist() == [[[1, 1, 2], [1, 2, 2]], [[1, 2, 2], [0, 0, 0]]]


@pytest.mark.parametrize(
    "grids", [None, [], [(1, 2, 2)] * 2, [(1, 5, 2)], [(1, 2, 2)] * 3, [(1, 2, 3), (1, 2, 2), (1, 1, 1)]]
)
def test_grids_that_do_not_fit_the_rows_are_not_used(grids: Any) -> None:
    picture, grid = lay_out(TOUCHING, LINE, grids)

    assert picture.amax(1).tolist() == [0, 0]
    assert not grid.any()


def test_a_row_without_picture_has_none() -> None:
    picture, grid = lay_out(torch.zeros(2, 4, dtype=torch.bool), LINE[..., :4], [])

    assert picture.eq(-1).all()
    assert grid.shape == (2, 0, 3)


def test_rotary_positions_tell_the_grid_of_a_run() -> None:
    time, height, width = (
        axis.reshape(-1) for axis in torch.meshgrid(*map(torch.arange, (2, 3, 4)), indexing="ij")
    )
    inside = torch.stack([50 * time, height, width]) + 7  # time in some unit of its own
    positions = torch.cat([torch.arange(7).expand(3, -1), inside, torch.arange(40, 42).expand(3, -1)], 1)[
        :, None
    ]
    visual = torch.arange(33)[None].sub(7).ge(0) & torch.arange(33)[None].lt(31)

    picture, grid = lay_out(visual, positions, None)

    assert grid.tolist() == [[[2, 3, 4]]]
    assert picture.eq(0).sum() == 24


def test_runs_with_plain_positions_have_no_grid_on_three_axes_either() -> None:
    _, grid = lay_out(TOUCHING, LINE.expand(3, -1, -1), None)

    assert not grid.any()


def llava_config(**vision: Any) -> Any:
    return SimpleNamespace(vision_config=SimpleNamespace(patch_size=14, **vision), image_token_id=9)


def test_a_square_tower_gives_every_picture_the_same_grid() -> None:
    config = llava_config(model_type="clip_vision_model", image_size=336)
    encoded = {"image": SimpleNamespace(pooler_output=[torch.zeros(576, 8)] * 3)}

    assert llava.grids(config, {"pixel_values": torch.zeros(2, 3, 336, 336)}) == [(1, 24, 24)] * 2
    assert llava.grids(config, {"mm_encoder_outputs": encoded}) == [(1, 24, 24)] * 3


def test_a_pixtral_tower_takes_its_grids_from_the_sizes_or_from_the_breaks_between_rows() -> None:
    config = llava_config(model_type="pixtral")
    sizes = torch.tensor([[28, 42], [14, 28]])
    ids = torch.tensor([[1, 9, 9, 9, 3, 9, 9, 9, 4, 9, 9, 4]])  # 3 ends a row, 4 a picture
    encoded = {"image": SimpleNamespace(pooler_output=[torch.zeros(6, 8), torch.zeros(2, 8)])}

    assert llava.grids(config, {"pixel_values": torch.zeros(2), "image_sizes": sizes}) == [
        (1, 2, 3),
        (1, 1, 2),
    ]
    assert llava.grids(config, {"mm_encoder_outputs": encoded, "input_ids": ids}) == [(1, 2, 3), (1, 1, 2)]
    assert llava.grids(config, {"pixel_values": torch.zeros(2), "input_ids": ids}) is None
