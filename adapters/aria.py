"""Aria: a resampler makes a few tokens of every picture; the decoder is a mixture of experts."""

import transformers

from arr_coc.adapters.grids import unknown
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, picture, randomised, tower
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """40 tokens a picture."""
    config = transformers.AriaConfig(
        vision_config=tower("idefics3_vision", 48),
        text_config=decoder(
            "aria_text", moe_num_experts=2, moe_topk=2, moe_num_shared_experts=1, intermediate_size=32
        ),
        image_token_index=PICTURE,
        projector_patch_to_query_dict={144: 40},
    )
    model = randomised(transformers.AriaForConditionalGeneration, config)
    return Tiny(model, {"image": picture({"pixel_values": (1, 3, 48, 48)}, 40)})


FAMILIES.add(
    "aria",
    Family(
        grids=unknown,
        tiny=tiny,
        modalities=(IMAGE,),
        note="A resampler's tokens have no place in the picture.",
    ),
)
