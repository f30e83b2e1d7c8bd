"""GLM-OCR: GLM-4V for pages."""

import transformers

from arr_coc.adapters.glm4v import IDS, MODALITIES, VISION, WHOLE_ROPE, pictures_only
from arr_coc.adapters.qwen3_vl import grids
from arr_coc.adapters.tiny import Tiny, decoder, randomised
from arr_coc.family import FAMILIES, Family


def tiny() -> Tiny:
    """36 tokens a picture."""
    text = decoder("glm_ocr_text", head_dim=16, rope_parameters=WHOLE_ROPE)
    config = transformers.GlmOcrConfig(
        vision_config=VISION,
        text_config=text,
        **IDS,
    )
    return pictures_only(randomised(transformers.GlmOcrForConditionalGeneration, config))


FAMILIES.add("glm_ocr", Family(grids=grids, tiny=tiny, modalities=MODALITIES))
