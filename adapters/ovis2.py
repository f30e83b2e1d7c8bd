"""Ovis2: a picture's tokens are mixtures of a visual vocabulary."""

import transformers

from arr_coc.adapters.grids import squares
from arr_coc.adapters.tiny import PICTURE, VOCABULARY, Tiny, decoder, picture, randomised, tower
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """36 tokens a picture."""
    config = transformers.Ovis2Config(
        vision_config=tower("", 24, vocab_size=64, num_visual_indicator_tokens=5, hidden_stride=1),
        text_config=decoder("qwen2"),
        image_token_id=PICTURE,
        visual_indicator_token_ids=[20, 21, 22, 23, 24],
        vocab_size=VOCABULARY,
        hidden_size=64,
    )
    model = randomised(transformers.Ovis2ForConditionalGeneration, config)
    return Tiny(model, {"image": picture({"pixel_values": (1, 3, 24, 24)}, 36)})


FAMILIES.add("ovis2", Family(grids=squares, tiny=tiny, modalities=(IMAGE,)))
