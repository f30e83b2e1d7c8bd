"""LightOnOCR: a Pixtral tower over Qwen3."""

import transformers

from arr_coc.adapters.llava import pixtral
from arr_coc.adapters.mistral3 import rows_of
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, randomised, tower
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """36 tokens a picture."""
    config = transformers.LightOnOcrConfig(
        vision_config=tower("pixtral", 48, head_dim=8),
        text_config=decoder("qwen3", head_dim=16),
        image_token_id=PICTURE,
    )
    model = randomised(transformers.LightOnOcrForConditionalGeneration, config)
    return Tiny(model, {"image": rows_of(6)})


FAMILIES.add("lighton_ocr", Family(grids=pixtral, tiny=tiny, modalities=(IMAGE,)))
