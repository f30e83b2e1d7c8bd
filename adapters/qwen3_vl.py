"""Qwen3-VL: DeepStack planes are added in the first layers; every frame of a film is a picture of its own."""

from collections.abc import Mapping
from typing import Any

import transformers

from arr_coc.adapters import qwen2_vl
from arr_coc.adapters.qwen2_vl import IDS, PATCH, ROPE, tiny_of
from arr_coc.adapters.tiny import CLIP, END, START, Tiny, decoder, randomised
from arr_coc.adapters.towers import qwen
from arr_coc.family import FAMILIES, Family, Grids

VISION = {
    "depth": 3,
    "hidden_size": 32,
    "out_hidden_size": 64,
    "intermediate_size": 48,
    "num_heads": 4,
    "patch_size": PATCH,
    "num_position_embeddings": 144,
}
FRAMES = (START, *[CLIP] * 16, END) * 2
DEEPSTACK = (("visual_pos_masks", "deepstack_visual_embeds"),)
PLANES = "DeepStack planes are cut with the tokens; merging replaces input embeddings, not planes."


def grids(config: Any, inputs: Mapping[str, Any]) -> Grids | None:
    """As Qwen2-VL, but time stamps part the frames of a film."""
    whole = qwen2_vl.grids(config, inputs)
    return whole and [(1, height, width) for time, height, width in whole for _ in range(time)]


def tiny() -> Tiny:
    """See `qwen2_vl.tiny_of`."""
    config = transformers.Qwen3VLConfig(
        vision_config=VISION | {"deepstack_visual_indexes": [0, 1]},
        text_config=decoder("qwen3_vl_text", head_dim=16, rope_parameters=ROPE),
        **IDS,
    )
    return tiny_of(randomised(transformers.Qwen3VLForConditionalGeneration, config), FRAMES)


FAMILIES.add("qwen3_vl", Family(grids=grids, tiny=tiny, visual_rows=DEEPSTACK, taps=qwen, note=PLANES))
