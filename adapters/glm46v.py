"""GLM-4.6V: GLM-4V's tower over a decoder of choice."""

import transformers

from arr_coc.adapters.glm4v import IDS, MODALITIES, VISION, WHOLE_ROPE, pictures_only
from arr_coc.adapters.qwen3_vl import grids
from arr_coc.adapters.tiny import Tiny, decoder, randomised
from arr_coc.family import FAMILIES, Family


def tiny() -> Tiny:
    """36 tokens a picture."""
    config = transformers.Glm46VConfig(
        vision_config={"model_type": "glm4v_vision"} | VISION,
        text_config=decoder("glm4v_text", head_dim=16, rope_parameters=WHOLE_ROPE),
        **IDS,
    )
    return pictures_only(randomised(transformers.Glm46VForConditionalGeneration, config))


FAMILIES.add("glm46v", Family(grids=grids, tiny=tiny, modalities=MODALITIES))
