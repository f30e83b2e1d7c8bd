"""GLM-OCR: GLM-4V for pages."""

import transformers

from arr_coc.adapters.glm4v import IDS, VISION, WHOLE_ROPE
from arr_coc.adapters.qwen2_vl import tiny_of
from arr_coc.adapters.qwen3_vl import grids
from arr_coc.adapters.tiny import Tiny, decoder
from arr_coc.family import FAMILIES, Family


def tiny() -> Tiny:
    """See `qwen2_vl.tiny_of`; pictures only."""
    text = decoder("glm_ocr_text", head_dim=16, rope_parameters=WHOLE_ROPE)
    config = transformers.GlmOcrConfig(
        vision_config=VISION,
        text_config=decoder("glm_ocr_text", head_dim=16, rope_parameters=WHOLE_ROPE),
        **IDS,
    )
    return tiny_of(transformers.GlmOcrForConditionalGeneration(config), ())


FAMILIES.add("glm_ocr", Family(grids=grids, tiny=tiny))
