"""Video-LLaVA: pictures, and films whose frames go through a tower of their own."""

import inspect
from dataclasses import replace

import transformers

from arr_coc.adapters.grids import unknown
from arr_coc.adapters.tiny import CLIP, PICTURE, Tiny, decoder, picture, randomised, tower
from arr_coc.family import FAMILIES, IMAGE, VIDEO, Family


def tiny() -> Tiny:
    """36 tokens a picture."""
    config = transformers.VideoLlavaConfig(
        vision_config=tower("clip_vision_model", projection_dim=32),
        text_config=decoder("llama"),
        image_token_index=PICTURE,
        video_token_index=CLIP,
    )
    # The name changed in transformers 5.23.
    names = inspect.signature(transformers.VideoLlavaModel.forward).parameters
    pixels = "pixel_values" if "pixel_values" in names else "pixel_values_images"
    model = randomised(transformers.VideoLlavaForConditionalGeneration, config)
    return Tiny(model, {"image": picture({pixels: (1, 3, 24, 24)}, 36)})


FAMILIES.add(
    "video_llava",
    Family(grids=unknown, tiny=tiny, modalities=(IMAGE, replace(IMAGE, pixels="pixel_values_images"), VIDEO)),
)
