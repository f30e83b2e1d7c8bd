"""Qwen2-VL: pictures and films of any size, M-RoPE positions."""

from collections.abc import Mapping
from typing import Any

import torch
import transformers

from arr_coc.adapters.tiny import CLIP, END, PICTURE, START, Shown, Tiny, decoder, randomised
from arr_coc.adapters.towers import qwen
from arr_coc.family import FAMILIES, Family, Grids

ROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
IDS = {
    "image_token_id": PICTURE,
    "video_token_id": CLIP,
    "vision_start_token_id": START,
    "vision_end_token_id": END,
}
PATCH = 4
FILM = (START, *[CLIP] * 32, END)
FILM = (START, *[CLIP] * 32, END)


def grids(config: Any, inputs: Mapping[str, Any]) -> Grids | None:
    """From `image_grid_thw` or `video_grid_thw`, in patches, of which the merger makes one token each few.

    generate() hands over neither, and with both at once the order is not known: None, and the positions tell.
    """
    given = [inputs[name] for name in ("image_grid_thw", "video_grid_thw") if inputs.get(name) is not None]
    if len(given) != 1:
        return None
    merge = config.vision_config.spatial_merge_size
    return [(time, height // merge, width // merge) for time, height, width in given[0].tolist()]


def tiny_of(model: Any, film: tuple[int, ...]) -> Tiny:
    """36 tokens a picture; a film of two frames of 16, standing in the prompt as `film`."""
    area = 3 * 2 * PATCH * PATCH

    def image(generator: torch.Generator) -> dict[str, torch.Tensor]:
        pixels = torch.randn(12 * 12, area, generator=generator)
        return {"pixel_values": pixels, "image_grid_thw": torch.tensor([[1, 12, 12]])}

    def video(generator: torch.Generator) -> dict[str, torch.Tensor]:
        pixels = torch.randn(2 * 8 * 8, area, generator=generator)
        return {"pixel_values_videos": pixels, "video_grid_thw": torch.tensor([[2, 8, 8]])}

    shown = {"image": Shown(image, (START, *[PICTURE] * 36, END)), "video": Shown(video, film)}
    return Tiny(model, shown, types="mm_token_type_ids")


def tiny() -> Tiny:
    """See `tiny_of`."""
    config = transformers.Qwen2VLConfig(
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 64,
            "num_heads": 4,
            "patch_size": PATCH,
            "mlp_ratio": 2,
        },
        text_config=decoder("qwen2_vl_text", rope_parameters=ROPE),
        **IDS,
    )
    return tiny_of(randomised(transformers.Qwen2VLForConditionalGeneration, config), FILM)


FAMILIES.add("qwen2_vl", Family(grids=grids, tiny=tiny, taps=qwen))
