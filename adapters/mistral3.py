"""Mistral 3 (Small 3.1 and later): a Pixtral tower, of whose patches a merger makes one token each few."""

from dataclasses import replace

import torch
import transformers

from arr_coc.adapters.llava import pixtral
from arr_coc.adapters.tiny import END, PICTURE, Shown, Tiny, decoder, picture, randomised, tower
from arr_coc.family import FAMILIES, IMAGE, Family

BREAK = 14


def rows_of(side: int) -> Shown:
    """A square of that many tokens a side, with a break after every row of them as the processor puts it."""
    shown = picture({"pixel_values": (1, 3, 48, 48)}, 0, image_sizes=torch.tensor([[48, 48]]))
    rows = [*[PICTURE] * side, BREAK] * side
    return replace(shown, ids=(*rows[:-1], END))


def tiny() -> Tiny:
    """36 tokens a picture."""
    config = transformers.Mistral3Config(
        vision_config=tower("pixtral", 48, head_dim=8),
        text_config=decoder("mistral", head_dim=16, sliding_window=None),
        image_token_index=PICTURE,
    )
    model = randomised(transformers.Mistral3ForConditionalGeneration, config)
    return Tiny(model, {"image": rows_of(6)})


FAMILIES.add("mistral3", Family(grids=pixtral, tiny=tiny, modalities=(IMAGE,)))
