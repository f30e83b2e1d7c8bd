"""Qwen3.5 with a mixture of experts."""

import transformers

from arr_coc.adapters.qwen2_vl import IDS, tiny_of
from arr_coc.adapters.qwen3_5 import LINEAR, RECURRENT
from arr_coc.adapters.qwen3_vl import FRAMES, VISION, grids
from arr_coc.adapters.qwen3_vl_moe import EXPERTS
from arr_coc.adapters.tiny import Tiny, decoder, randomised
from arr_coc.adapters.towers import qwen
from arr_coc.family import FAMILIES, Family


def tiny() -> Tiny:
    """See `qwen2_vl.tiny_of`."""
    text = decoder("qwen3_5_moe_text", shared_expert_intermediate_size=32, **LINEAR, **EXPERTS)
    config = transformers.Qwen3_5MoeConfig(vision_config=VISION, text_config=text, **IDS)
    return tiny_of(randomised(transformers.Qwen3_5MoeForConditionalGeneration, config), FRAMES)


FAMILIES.add("qwen3_5_moe", Family(grids=grids, tiny=tiny, recurrent=True, taps=qwen, note=RECURRENT))
