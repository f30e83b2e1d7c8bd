"""Qwen3-VL with a mixture of experts."""

import transformers

from arr_coc.adapters.qwen2_vl import IDS, ROPE, tiny_of
from arr_coc.adapters.qwen3_vl import DEEPSTACK, FRAMES, PLANES, VISION, grids
from arr_coc.adapters.tiny import Tiny, decoder, randomised
from arr_coc.adapters.towers import qwen
from arr_coc.family import FAMILIES, Family

EXPERTS = {"num_experts": 2, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
"""All of them, or the least rounding may send a token to another one."""


def tiny() -> Tiny:
    """See `qwen2_vl.tiny_of`."""
    config = transformers.Qwen3VLMoeConfig(
        vision_config=VISION | {"deepstack_visual_indexes": [0, 1]},
        text_config=decoder("qwen3_vl_moe_text", head_dim=16, rope_parameters=ROPE, **EXPERTS),
        **IDS,
    )
    return tiny_of(randomised(transformers.Qwen3VLMoeForConditionalGeneration, config), FRAMES)


FAMILIES.add("qwen3_vl_moe", Family(grids=grids, tiny=tiny, visual_rows=DEEPSTACK, taps=qwen, note=PLANES))
