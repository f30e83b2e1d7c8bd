"""LLaVA-NeXT: a thumbnail, then tiles with a line end after every row."""

import torch
import transformers

from arr_coc.adapters.grids import unknown
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, picture, randomised, tower
from arr_coc.family import FAMILIES, IMAGE, Family

TILES = [[16, 32], [32, 16], [32, 32]]
PIXELS, SIZES = (1, 5, 3, 16, 16), torch.tensor([[32, 32]])
TOKENS = 16 + 8 * 9
"""A thumbnail of 4 x 4, then 8 rows of 8 with a line end each."""


def tiny() -> Tiny:
    """88 tokens a picture, among them 8 line ends."""
    config = transformers.LlavaNextConfig(
        vision_config=tower("clip_vision_model", 16, projection_dim=32),
        text_config=decoder("mistral", sliding_window=None),
        image_token_index=PICTURE,
        image_grid_pinpoints=TILES,
    )
    model = randomised(transformers.LlavaNextForConditionalGeneration, config)
    return Tiny(model, {"image": picture({"pixel_values": PIXELS}, TOKENS, image_sizes=SIZES)})


FAMILIES.add(
    "llava_next",
    Family(
        grids=unknown, tiny=tiny, modalities=(IMAGE,), note="Line ends are visual tokens and can be dropped."
    ),
)
