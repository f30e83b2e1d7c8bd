"""GLM-4V: as Qwen2-VL, with its own marks around pictures; the frames of a film are pictures of their own."""

from dataclasses import replace
from typing import Any

import transformers

from arr_coc.adapters.qwen2_vl import PATCH, ROPE, tiny_of
from arr_coc.adapters.qwen3_vl import grids
from arr_coc.adapters.tiny import CLIP, END, PICTURE, START, Tiny, decoder, randomised
from arr_coc.family import FAMILIES, IMAGE, VIDEO, Family

VISION: dict[str, Any] = {
    "depth": 2,
    "hidden_size": 32,
    "out_hidden_size": 64,
    "intermediate_size": 48,
    "num_heads": 4,
    "patch_size": PATCH,
    "image_size": 48,
}
IDS = {
    "image_token_id": PICTURE,
    "video_token_id": CLIP,
    "image_start_token_id": START,
    "image_end_token_id": END,
    "video_start_token_id": 14,
    "video_end_token_id": 15,
}
WHOLE_ROPE = ROPE | {"partial_rotary_factor": 1.0}
MODALITIES = (IMAGE, replace(VIDEO, token_id="image_token_id"))
"""The frames of a film stand in the prompt as pictures do."""


def pictures_only(model: Any) -> Tiny:
    """36 tokens a picture. A film's placeholders are those of pictures, so a batch has one or the other."""
    tiny = tiny_of(model, ())
    return replace(tiny, shown={"image": tiny.shown["image"]})


def tiny() -> Tiny:
    """36 tokens a picture."""
    text = decoder("glm4v_text", head_dim=16, rope_parameters=WHOLE_ROPE)
    config = transformers.Glm4vConfig(
        vision_config=VISION,
        text_config=text,
        **IDS,
    )
    return pictures_only(randomised(transformers.Glm4vForConditionalGeneration, config))


FAMILIES.add("glm4v", Family(grids=grids, tiny=tiny, modalities=MODALITIES))
