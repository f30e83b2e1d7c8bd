"""LLaVA 1.5 and its kin: `LlavaForConditionalGeneration` over a CLIP, SigLIP or Pixtral tower."""

from collections.abc import Mapping
from typing import Any

import torch
import transformers

from arr_coc.adapters.tiny import PICTURE, Shown, Tiny, decoder, randomised
from arr_coc.adapters.towers import encoder
from arr_coc.family import FAMILIES, IMAGE, Family, Grids

SQUARE = ("clip_vision_model", "siglip_vision_model")
"""Towers with one size of picture."""


def grids(config: Any, inputs: Mapping[str, Any]) -> Grids | None:
    """A square of patches, the same for every picture; with a Pixtral tower, as many as fit its size."""
    vision = config.vision_config
    if vision.model_type == "pixtral":
        return pixtral(config, inputs)
    encoded = (inputs.get("mm_encoder_outputs") or {}).get("image")
    if vision.model_type not in SQUARE:
        return None
    pictures = inputs["pixel_values"] if encoded is None else encoded.pooler_output
    side = vision.image_size // vision.patch_size
    return [(1, side, side)] * len(pictures)


def pixtral(config: Any, inputs: Mapping[str, Any]) -> Grids | None:
    """As many patches as fit the size of the picture; a merger may make one token each few."""
    if inputs.get("image_sizes") is not None:
        patch = config.vision_config.patch_size * getattr(config, "spatial_merge_size", 1)
        return [
            (1, height // patch, width // patch)
            for height, width in torch.as_tensor(inputs["image_sizes"]).tolist()
        ]
    encoded = (inputs.get("mm_encoder_outputs") or {}).get("image")
    if encoded is None or inputs.get("input_ids") is None:
        return None
    # generate() keeps the sizes to itself, but a break stands after every row of patches: rows are runs.
    visual = inputs["input_ids"] == config.image_token_id
    starts = (visual & ~torch.nn.functional.pad(visual, (1, -1)))[visual]
    tokens = [len(picture) for picture in encoded.pooler_output]
    if sum(tokens) != len(starts):
        return None
    rows = [int(part.sum()) for part in starts.split(tokens)]
    return [(1, height, count // height) for height, count in zip(rows, tokens, strict=True)]


def tiny() -> Tiny:
    """64 tokens a picture."""
    config = transformers.LlavaConfig(
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 4,
            "projection_dim": 32,
        },
        text_config=decoder("llama"),
        image_token_index=PICTURE,
    )
    model = randomised(transformers.LlavaForConditionalGeneration, config)
    image = Shown(
        lambda generator: {"pixel_values": torch.randn(1, 3, 32, 32, generator=generator)}, (PICTURE,) * 64
    )
    return Tiny(model, {"image": image})


FAMILIES.add("llava", Family(grids=grids, tiny=tiny, modalities=(IMAGE,), taps=encoder))
