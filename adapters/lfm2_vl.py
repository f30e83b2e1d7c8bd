"""LFM2-VL: pictures of any size, over layers of convolution."""

import torch
import transformers

from arr_coc.adapters.grids import unknown
from arr_coc.adapters.qwen3_5 import RECURRENT
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, picture, randomised
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """36 tokens a picture."""
    config = transformers.Lfm2VlConfig(
        vision_config={
            "model_type": "siglip2_vision_model",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_patches": 144,
            "patch_size": 2,
            "vision_use_head": False,
        },
        text_config=decoder("lfm2", layer_types=["conv", "full_attention", "conv"], block_multiple_of=8),
        image_token_id=PICTURE,
    )
    model = randomised(transformers.Lfm2VlForConditionalGeneration, config)
    image = picture(
        {"pixel_values": (1, 144, 12)},
        36,
        spatial_shapes=torch.tensor([[12, 12]]),
        pixel_attention_mask=torch.ones(1, 144, dtype=torch.long),
    )
    return Tiny(model, {"image": image})


FAMILIES.add("lfm2_vl", Family(grids=unknown, tiny=tiny, modalities=(IMAGE,), recurrent=True, note=RECURRENT))
