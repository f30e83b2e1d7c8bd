"""Grids that several families share."""

from collections.abc import Callable, Mapping
from math import isqrt
from typing import Any

from arr_coc.family import Grids


def unknown(config: Any, inputs: Mapping[str, Any]) -> Grids | None:
    """Every run of placeholders is a picture of unknown shape: tiles, thumbnails, line ends, resamplers."""
    return None


def squares(config: Any, inputs: Mapping[str, Any]) -> Grids | None:
    """One square a picture, all of one size: the placeholders are dealt out evenly."""
    encoded = (inputs.get("mm_encoder_outputs") or {}).get("image")
    pictures = inputs.get("pixel_values") if encoded is None else encoded.pooler_output
    if pictures is None or inputs.get("input_ids") is None:
        return None
    # A host sync, as laying out needs one anyway.
    tokens = int((inputs["input_ids"] == config.image_token_id).sum()) // max(len(pictures), 1)
    side = isqrt(tokens)
    return [(1, side, side)] * len(pictures) if side * side == tokens else None


def square_runs(side: Callable[[Any], int]) -> Callable[[Any, Mapping[str, Any]], Grids | None]:
    """As `squares`, where the config says how long a `side` is, but the inputs not how many there are."""

    def grids(config: Any, inputs: Mapping[str, Any]) -> Grids | None:
        if inputs.get("input_ids") is None:
            return None
        tokens = int((inputs["input_ids"] == config.image_token_id).sum())
        return [(1, side(config), side(config))] * (tokens // side(config) ** 2)

    return grids
