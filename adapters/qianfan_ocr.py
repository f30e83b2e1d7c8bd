"""Qianfan-OCR: InternVL's tower over Qwen3."""

import transformers

from arr_coc.adapters.grids import squares
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, picture, randomised
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """36 tokens a tile."""
    config = transformers.QianfanOCRConfig(
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "image_size": [48, 48],
            "patch_size": [4, 4],
        },
        text_config=decoder("qwen3", head_dim=16),
        image_token_id=PICTURE,
        image_seq_length=36,
    )
    model = randomised(transformers.QianfanOCRForConditionalGeneration, config)
    return Tiny(model, {"image": picture({"pixel_values": (1, 3, 48, 48)}, 36)})


FAMILIES.add("qianfan_ocr", Family(grids=squares, tiny=tiny, modalities=(IMAGE,)))
