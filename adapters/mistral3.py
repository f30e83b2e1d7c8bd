"""Mistral 3 (Small 3.1 and later): a Pixtral tower, of whose patches a merger makes one token each few."""

import torch
import transformers

from arr_coc.adapters.llava import pixtral
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, picture, randomised, tower
from arr_coc.family import FAMILIES, IMAGE, Family

IMAGE_48 = {"pixel_values": (1, 3, 48, 48)}, 36
SIZES = torch.tensor([[48, 48]])


def tiny() -> Tiny:
    """36 tokens a picture."""
    config = transformers.Mistral3Config(
        vision_config=tower("pixtral", 48, head_dim=8),
        text_config=decoder("mistral", head_dim=16, sliding_window=None),
        image_token_index=PICTURE,
    )
    model = randomised(transformers.Mistral3ForConditionalGeneration(config))
    return Tiny(model, {"image": picture(*IMAGE_48, image_sizes=SIZES)})


FAMILIES.add("mistral3", Family(grids=pixtral, tiny=tiny, modalities=(IMAGE,)))
