"""ViP-LLaVA: LLaVA that sees several layers of its tower."""

import transformers

from arr_coc.adapters.grids import squares
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, picture, randomised, tower
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """36 tokens a picture."""
    config = transformers.VipLlavaConfig(
        vision_config=tower("clip_vision_model", projection_dim=32),
        text_config=decoder("llama"),
        image_token_index=PICTURE,
        vision_feature_layers=[-1, -2, 1],
    )
    model = randomised(transformers.VipLlavaForConditionalGeneration, config)
    return Tiny(model, {"image": picture({"pixel_values": (1, 3, 24, 24)}, 36)})


FAMILIES.add("vipllava", Family(grids=squares, tiny=tiny, modalities=(IMAGE,)))
