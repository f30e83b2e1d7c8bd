"""PaliGemma 1 and 2: the prompt is a prefix whose tokens all see each other."""

import transformers

from arr_coc.adapters.grids import squares
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, picture, randomised, tower
from arr_coc.adapters.towers import siglip
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """36 tokens a picture."""
    config = transformers.PaliGemmaConfig(
        vision_config=tower("siglip_vision_model", projection_dim=64, vision_use_head=False),
        text_config=decoder("gemma", head_dim=16, num_key_value_heads=1),
        image_token_index=PICTURE,
        projection_dim=64,
        hidden_size=64,
    )
    model = randomised(transformers.PaliGemmaForConditionalGeneration, config)
    return Tiny(
        model,
        {"image": picture({"pixel_values": (1, 3, 24, 24)}, 36)},
        types="token_type_ids",
        type_of={"text": 0, "image": 0, "video": 0, "answer": 1},
    )


FAMILIES.add(
    "paligemma",
    Family(
        grids=squares,
        tiny=tiny,
        modalities=(IMAGE,),
        taps=siglip,
        note="A prompt sees itself in both directions: a later turn is not the whole conversation at once.",
    ),
)
