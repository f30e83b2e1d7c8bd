"""GLM-4.6V: GLM-4V's tower over a decoder of choice."""

import transformers

from arr_coc.adapters.glm4v import IDS, VISION, WHOLE_ROPE
from arr_coc.adapters.qwen2_vl import tiny_of
from arr_coc.adapters.qwen3_vl import grids
from arr_coc.adapters.tiny import Tiny, decoder
from arr_coc.family import FAMILIES, Family


def tiny() -> Tiny:
    """See `qwen2_vl.tiny_of`; pictures only."""
    config = transformers.Glm46VConfig(
        vision_config={"model_type": "glm4v_vision"} | VISION,
        text_config=decoder("glm4v_text", head_dim=16, rope_parameters=WHOLE_ROPE),
        **IDS,
    )
    return tiny_of(transformers.Glm46VForConditionalGeneration(config), ())


FAMILIES.add("glm46v", Family(grids=grids, tiny=tiny))
