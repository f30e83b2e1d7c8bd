"""Command A Vision: every tile is a square of its own; three of four layers slide."""

from functools import partial

import transformers

from arr_coc.adapters.gemma3 import LAYERS, SLIDES
from arr_coc.adapters.grids import squares
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, picture, randomised, tower
from arr_coc.adapters.towers import siglip
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """36 tokens a tile."""
    config = transformers.Cohere2VisionConfig(
        vision_config=tower("siglip_vision_model", 48, vision_use_head=False),
        text_config=decoder("cohere2", sliding_window=4096, layer_types=LAYERS),
        image_token_id=PICTURE,
        alignment_intermediate_size=64,
    )
    model = randomised(transformers.Cohere2VisionForConditionalGeneration, config)
    return Tiny(model, {"image": picture({"pixel_values": (1, 3, 48, 48)}, 36)})


TAPS = partial(siglip, merged="downsample_factor")
FAMILIES.add("cohere2_vision", Family(grids=squares, tiny=tiny, modalities=(IMAGE,), taps=TAPS, note=SLIDES))
