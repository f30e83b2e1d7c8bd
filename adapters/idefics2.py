"""Idefics2: a resampler makes a few tokens of every picture, without a place in it."""

import transformers

from arr_coc.adapters.grids import unknown
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, per_row, picture, randomised, tower
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """24 tokens a picture."""
    config = transformers.Idefics2Config(
        vision_config=tower("idefics2_vision", patch_size=8, side=48),
        perceiver_config={
            "hidden_size": 64,
            "resampler_n_latents": 24,
            "resampler_depth": 1,
            "resampler_n_heads": 4,
            "resampler_head_dim": 16,
            "num_key_value_heads": 2,
        },
        text_config=decoder("mistral", sliding_window=None),
        image_token_id=PICTURE,
    )
    model = randomised(transformers.Idefics2ForConditionalGeneration, config)
    return Tiny(model, {"image": picture({"pixel_values": (1, 3, 48, 48)}, 24)}, collate=per_row)


FAMILIES.add(
    "idefics2",
    Family(
        grids=unknown,
        tiny=tiny,
        language_model="text_model",
        modalities=(IMAGE,),
        note="A resampler's tokens have no place in the picture.",
    ),
)
