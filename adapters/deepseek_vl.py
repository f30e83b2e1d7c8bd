"""DeepSeek-VL: a SigLIP tower over LLaMA."""

import transformers

from arr_coc.adapters.grids import squares
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, picture, randomised, tower
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """36 tokens a picture."""
    config = transformers.DeepseekVLConfig(
        vision_config=tower("siglip_vision_model", vision_use_head=False),
        text_config=decoder("llama"),
        image_token_id=PICTURE,
    )
    model = randomised(transformers.DeepseekVLForConditionalGeneration, config)
    return Tiny(model, {"image": picture({"pixel_values": (1, 3, 24, 24)}, 36)})


FAMILIES.add("deepseek_vl", Family(grids=squares, tiny=tiny, modalities=(IMAGE,)))
