"""Qwen3.5: as Qwen3-VL without DeepStack, over layers of linear attention."""

from typing import Any

import transformers

from arr_coc.adapters.qwen2_vl import IDS, tiny_of
from arr_coc.adapters.qwen3_vl import FRAMES, VISION, grids
from arr_coc.adapters.tiny import Tiny, decoder, randomised
from arr_coc.adapters.towers import qwen
from arr_coc.family import FAMILIES, Family

RECURRENT = (
    "Recurrent layers skip what is dropped: a pruned prompt equals the same decoder given the kept tokens "
    "alone, not the full prompt with the rest masked. In later turns all rows must keep the same number."
)
LINEAR: dict[str, Any] = {
    "head_dim": 32,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "rope_parameters": {
        "rope_type": "default",
        "mrope_section": [2, 1, 1],
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.25,
    },
}


def tiny() -> Tiny:
    """See `qwen2_vl.tiny_of`."""
    config = transformers.Qwen3_5Config(
        vision_config=VISION, text_config=decoder("qwen3_5_text", **LINEAR), **IDS
    )
    return tiny_of(randomised(transformers.Qwen3_5ForConditionalGeneration, config), FRAMES)


FAMILIES.add("qwen3_5", Family(grids=grids, tiny=tiny, recurrent=True, taps=qwen, note=RECURRENT))
