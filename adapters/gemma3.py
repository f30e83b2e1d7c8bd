"""Gemma 3: the tokens of a picture see each other in both directions; most layers slide."""

from dataclasses import replace
from typing import Any

import transformers

from arr_coc.adapters.grids import squares
from arr_coc.adapters.tiny import END, PICTURE, START, Tiny, decoder, picture, randomised, tower
from arr_coc.adapters.towers import siglip
from arr_coc.family import FAMILIES, IMAGE, Family, Tower

SLIDES = (
    "A sliding window counts the tokens that are kept, so what a pruned prompt sees reaches further back."
)
LAYERS = ["sliding_attention", "full_attention", "sliding_attention"]


def taps(config: Any) -> Tower:
    """Squares of patches are averaged, so that so many tokens remain."""
    patches = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
    return replace(siglip(config), unit=patches // config.mm_tokens_per_image)


def tiny() -> Tiny:
    """36 tokens a picture."""
    config = transformers.Gemma3Config(
        vision_config=tower("siglip_vision_model", vision_use_head=False),
        text_config=decoder(
            "gemma3_text", head_dim=16, sliding_window=4096, query_pre_attn_scalar=16, layer_types=LAYERS
        ),
        mm_tokens_per_image=36,
        image_token_index=PICTURE,
        boi_token_index=START,
        eoi_token_index=END,
    )
    model = randomised(transformers.Gemma3ForConditionalGeneration, config)
    image = picture({"pixel_values": (1, 3, 24, 24)}, 36)
    return Tiny(model, {"image": image}, types="token_type_ids")


FAMILIES.add("gemma3", Family(grids=squares, tiny=tiny, modalities=(IMAGE,), taps=taps, note=SLIDES))
