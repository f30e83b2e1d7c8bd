"""PaddleOCR-VL: pages of any size, M-RoPE positions."""

import torch
import transformers

from arr_coc.adapters.qwen2_vl import IDS, ROPE, grids
from arr_coc.adapters.tiny import Tiny, decoder, picture, randomised, tower
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """36 tokens a page."""
    config = transformers.PaddleOCRVLConfig(
        vision_config=tower("paddleocr_vl_vision", 48),
        text_config=decoder("paddleocr_vl_text", head_dim=16, rope_parameters=ROPE),
        **IDS,
    )
    model = randomised(transformers.PaddleOCRVLForConditionalGeneration, config)
    image = picture({"pixel_values": (144, 3, 4, 4)}, 36, image_grid_thw=torch.tensor([[1, 12, 12]]))
    return Tiny(model, {"image": image}, types="mm_token_type_ids")


FAMILIES.add("paddleocr_vl", Family(grids=grids, tiny=tiny, modalities=(IMAGE,)))
