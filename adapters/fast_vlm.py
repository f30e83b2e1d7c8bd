"""FastVLM: a tower of convolutions with few tokens, from timm."""

import torch
import transformers

from arr_coc.adapters.grids import squares
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, picture, randomised
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """36 tokens a picture: the tower makes one of 32 x 32 pixels."""
    config = transformers.FastVlmConfig(
        vision_config={
            "model_type": "timm_wrapper",
            "architecture": "fastvit_mci0",
            "hidden_size": 128,
            "model_args": {
                "layers": [1, 1, 1, 1],
                "embed_dims": [8, 16, 32, 64],
                "layer_scale_init_value": 1.0,
                "inference_mode": True,
            },
        },
        text_config=decoder("qwen2"),
        image_token_index=PICTURE,
    )
    model = randomised(transformers.FastVlmForConditionalGeneration, config)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.model.vision_tower.parameters():
        if parameter.ndim == 4:  # each sees few numbers: what pictures differ in would fade on the way
            torch.nn.init.kaiming_normal_(parameter, generator=generator)
    return Tiny(model, {"image": picture({"pixel_values": (1, 3, 192, 192)}, 36)})


FAMILIES.add("fast_vlm", Family(grids=squares, tiny=tiny, modalities=(IMAGE,), needs=("timm",)))
