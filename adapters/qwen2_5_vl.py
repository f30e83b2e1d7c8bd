"""Qwen2.5-VL: as Qwen2-VL, with windows in the tower and time in seconds."""

from dataclasses import replace
from typing import Any

import transformers

from arr_coc.adapters.qwen2_vl import FILM, IDS, PATCH, ROPE, grids, tiny_of
from arr_coc.adapters.tiny import Tiny, decoder, randomised
from arr_coc.adapters.towers import qwen, windows
from arr_coc.family import FAMILIES, Family, Tower


def tiny() -> Tiny:
    """See `qwen2_vl.tiny_of`."""
    config = transformers.Qwen2_5_VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "out_hidden_size": 64,
            "intermediate_size": 48,
            "num_heads": 4,
            "patch_size": PATCH,
            "window_size": 16,
            "fullatt_block_indexes": [1],
        },
        text_config=decoder("qwen2_5_vl_text", rope_parameters=ROPE),
        **IDS,
    )
    return tiny_of(randomised(transformers.Qwen2_5_VLForConditionalGeneration, config), FILM)


def taps(config: Any) -> Tower:
    """As Qwen2-VL, in the order of the windows."""
    return replace(qwen(config), order=windows)


FAMILIES.add("qwen2_5_vl", Family(grids=grids, tiny=tiny, taps=taps))
