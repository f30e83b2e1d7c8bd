"""Where the vision towers that several families share keep their attention, keys and features."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from arr_coc.family import Tower


def encoder(config: Any) -> Tower | None:
    """CLIP, SigLIP or Pixtral before a projector that makes one token of every patch; None for another tower.

    CLIP has a class token, the others have none.
    """
    kind = config.vision_config.model_type
    layer = config.vision_feature_layer
    if not isinstance(layer, int):
        return None  # features of several layers: which attention goes with them nobody says
    # hidden_states[0] is what the first layer is given.
    layer = layer if layer < 0 else layer - 1
    cut = int(config.vision_feature_select_strategy == "default")
    projector = "multi_modal_projector"
    if kind == "clip_vision_model":
        return Tower("vision_tower", projector, "encoder.layers", layer, cls=True, dropped=cut)
    if kind == "siglip_vision_model":
        return Tower("vision_tower", projector, "encoder.layers", layer, dropped=cut)
    if kind == "pixtral" and not cut:
        return Tower("vision_tower", projector, "transformer.layers", layer, attention="attention")
    return None


def siglip(
    config: Any,
    merged: str | None = None,
    module: str = "vision_tower",
    projector: str = "multi_modal_projector",
) -> Tower:
    """SigLIP and its kin, all layers and no class token, before something that makes one token of a square of
    patches. `merged`: what the config calls the number of patches along its side; None: one."""
    side = config.vision_config.image_size // config.vision_config.patch_size
    unit = 1 if merged is None else int(getattr(config, merged)) ** 2
    return Tower(module, projector, "encoder.layers", unit=unit, side=side)


def qwen(config: Any) -> Tower:
    """The tower of Qwen2-VL and its kin, whose merger makes one token of a square of patches."""
    unit = config.vision_config.spatial_merge_size**2
    return Tower(
        "visual",
        "visual.merger",
        "blocks",
        middle=0.5,
        attention="attn",
        queries="qkv",
        keys="qkv",
        unit=unit,
    )


def windows(config: Any, arguments: Mapping[str, Any]) -> Int[Tensor, " tokens"]:
    """The order in which Qwen2.5-VL's tower takes the tokens: window after window, row by row in each."""
    side = config.window_size // config.spatial_merge_size // config.patch_size
    order, start = [], 0
    for time, height, width in arguments["grid_thw"].tolist():
        high, wide = height // config.spatial_merge_size, width // config.spatial_merge_size
        t, y, x = (
            axis.flatten() for axis in torch.meshgrid(*map(torch.arange, (time, high, wide)), indexing="ij")
        )
        key = (t * high + y // side) * wide + x // side
        order.append(start + key.argsort(stable=True))
        start += time * high * wide
    return torch.cat(order).to(arguments["grid_thw"].device)
