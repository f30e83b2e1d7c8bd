"""Idefics3: every tile is a square of its own; what stands between tiles is text and stays."""

from functools import partial
from typing import Any

import transformers

from arr_coc.adapters.grids import square_runs
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, per_row, picture, randomised, tower
from arr_coc.adapters.towers import siglip
from arr_coc.family import FAMILIES, IMAGE, Family


@square_runs
def grids(config: Any) -> int:
    """Patches on a side, of which the connector makes one token each few."""
    return config.vision_config.image_size // config.vision_config.patch_size // config.scale_factor


def tiny_of(model: Any) -> Tiny:
    """36 tokens a tile."""
    return Tiny(model, {"image": picture({"pixel_values": (1, 3, 48, 48)}, 36)}, collate=per_row)


def tiny() -> Tiny:
    """See `tiny_of`."""
    config = transformers.Idefics3Config(
        vision_config=tower("idefics3_vision", 48),
        text_config=decoder("llama"),
        image_token_id=PICTURE,
        scale_factor=2,
    )
    return tiny_of(randomised(transformers.Idefics3ForConditionalGeneration, config))


TAPS = partial(siglip, merged="scale_factor", module="vision_model", projector="connector")
FAMILIES.add(
    "idefics3",
    Family(grids=grids, tiny=tiny, language_model="text_model", modalities=(IMAGE,), taps=TAPS),
)
