"""EXAONE 4.5: Qwen2.5-VL's pictures and films over a decoder with one axis of positions."""

from dataclasses import replace

import transformers

from arr_coc.adapters.gemma3 import LAYERS, SLIDES
from arr_coc.adapters.grids import unknown
from arr_coc.adapters.qwen2_vl import FILM, PATCH, tiny_of
from arr_coc.adapters.tiny import CLIP, PICTURE, Tiny, decoder, randomised
from arr_coc.family import FAMILIES, Family


def tiny() -> Tiny:
    """See `qwen2_vl.tiny_of`."""
    config = transformers.Exaone4_5_Config(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "out_hidden_size": 64,
            "intermediate_size": 48,
            "num_heads": 4,
            "num_key_value_heads": 4,
            "patch_size": PATCH,
            "window_size": 16,
            "fullatt_block_indexes": [1],
        },
        text_config=decoder("exaone4", head_dim=16, sliding_window=4096, layer_types=LAYERS),
        image_token_id=PICTURE,
        video_token_id=CLIP,
    )
    model = randomised(transformers.Exaone4_5_ForConditionalGeneration, config)
    return replace(tiny_of(model, FILM), types="")


FAMILIES.add("exaone4_5", Family(grids=unknown, tiny=tiny, note=SLIDES))
