"""SmolVLM: Idefics3, smaller."""

import transformers

from arr_coc.adapters.idefics3 import TAPS, grids, tiny_of
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, randomised, tower
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """See `idefics3.tiny_of`."""
    config = transformers.SmolVLMConfig(
        vision_config=tower("smolvlm_vision", 48),
        text_config=decoder("llama"),
        image_token_id=PICTURE,
        scale_factor=2,
    )
    return tiny_of(randomised(transformers.SmolVLMForConditionalGeneration, config))


FAMILIES.add(
    "smolvlm",
    Family(grids=grids, tiny=tiny, language_model="text_model", modalities=(IMAGE,), taps=TAPS),
)
