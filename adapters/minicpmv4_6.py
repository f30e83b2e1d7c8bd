"""MiniCPM-V 4.6: pictures of any size laid out in one strip of patches, over layers of linear attention."""

import torch
import transformers
from torch import Tensor

from arr_coc.adapters.grids import unknown
from arr_coc.adapters.qwen3_5 import LINEAR, RECURRENT
from arr_coc.adapters.tiny import CLIP, PICTURE, Tiny, decoder, picture, randomised, tower
from arr_coc.family import FAMILIES, Family


def strip(rows: list[list[dict[str, Tensor]]]) -> dict[str, Tensor]:
    """Patches of all pictures one after another in the last axis."""
    every = [shown for row in rows for shown in row]
    if not every:
        return {}
    return {
        "pixel_values": torch.cat([shown["pixel_values"] for shown in every], dim=-1),
        "target_sizes": torch.cat([shown["target_sizes"] for shown in every]),
    }


def tiny() -> Tiny:
    """16 tokens a picture."""
    config = transformers.MiniCPMV4_6Config(
        vision_config=tower("minicpmv4_6_vision", 96, num_hidden_layers=3),
        text_config=decoder("qwen3_5_text", **LINEAR),
        image_token_id=PICTURE,
        video_token_id=CLIP,
        insert_layer_id=1,
        image_size=96,
    )
    model = randomised(transformers.MiniCPMV4_6ForConditionalGeneration, config)
    image = picture(
        {"pixel_values": (1, 3, 4, 4 * 256)}, 16, target_sizes=torch.tensor([[16, 16]], dtype=torch.int32)
    )
    return Tiny(model, {"image": image}, collate=strip)


FAMILIES.add("minicpmv4_6", Family(grids=unknown, tiny=tiny, recurrent=True, note=RECURRENT))
