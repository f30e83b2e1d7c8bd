"""Vision towers, and what they say of their patches when they are run eagerly, with all their outputs."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from arr_coc.adapters.tiny import PICTURE, Shown, Tiny, decoder, randomised
from arr_coc.allocation import Allocation
from arr_coc.taps import TAPS
from arr_coc.tower import Taps
from arr_coc.types import Context
from tests.runs import Inputs, apart
from tests.stubs import Some

CLOSE = 1e-5


@dataclass
class Looking:
    """Some tokens, and everything that was seen of the tower."""

    needs: tuple[str, ...] = TAPS
    by_question: int = 7

    def __post_init__(self) -> None:
        self.seen: list[Context] = []

    def __call__(self, context: Context) -> Allocation:
        self.seen.append(context)
        return Some(by_question=self.by_question)(context)

    @property
    def taps(self) -> Taps:
        taps = self.seen[-1].taps
        assert taps is not None
        return taps


def llava_over(vision: dict[str, Any], tokens: int, size: int, **options: Any) -> Tiny:
    sizes = {"image_sizes": torch.tensor([[size, size]])} if vision["model_type"] == "pixtral" else {}
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=decoder("llama"), image_token_index=PICTURE, **options
    )
    model = randomised(transformers.LlavaForConditionalGeneration, config)
    shown = Shown(
        lambda draw: {"pixel_values": torch.randn(1, 3, size, size, generator=draw)} | sizes,
        (PICTURE,) * tokens,
    )
    return Tiny(model, {"image": shown})


def towers() -> dict[str, Callable[[], Tiny]]:
    common = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
    }
    full: dict[str, Any] = {"vision_feature_select_strategy": "full"}
    clip, siglip, pixtral = (
        common | {"model_type": name} for name in ("clip_vision_model", "siglip_vision_model", "pixtral")
    )
    siglip["vision_use_head"] = False
    pixtral["head_dim"] = 8
    return {
        "clip": lambda: llava_over(clip, 16, 32),
        "clip, class token kept": lambda: llava_over(clip, 17, 32, **full),
        "clip, third state": lambda: llava_over(clip, 16, 32, vision_feature_layer=2),
        "siglip": lambda: llava_over(siglip, 16, 32, vision_feature_layer=-1, **full),
        "pixtral": lambda: llava_over(pixtral, 16, 32, vision_feature_layer=-1, **full),
    }


def said(tiny: Tiny, inputs: Inputs) -> dict[str, Tensor]:
    """Attention, keys and features of LLaVA's tower by its own account, picture after picture."""
    tower, config = tiny.model.model.vision_tower, tiny.model.config
    before = tower.config._attn_implementation
    tower.set_attn_implementation("eager")
    sizes = {"image_sizes": inputs["image_sizes"]} if "image_sizes" in inputs else {}
    layer = config.vision_feature_layer
    number = layer if layer < 0 else layer - 1
    layers = tower.transformer.layers if sizes else tower.encoder.layers
    halfway = int(0.375 * len(layers))
    attention = layers[number].attention if sizes else layers[number].self_attn
    keys: list[Tensor] = []
    hook = attention.k_proj.register_forward_hook(lambda module, args, output: keys.append(output))
    out = tower(inputs["pixel_values"], output_attentions=True, output_hidden_states=True, **sizes)
    hook.remove()
    tower.set_attn_implementation(before)
    cut = int(config.vision_feature_select_strategy == "default")
    weights = out.attentions[number].mean(1)  # (pictures, queries, patches), over heads
    # Pixtral's pictures stand in one sequence.
    received = weights.sum(1) / (16 if sizes else weights.shape[1])
    first = weights[:, 0] if config.vision_config.model_type == "clip_vision_model" else received
    return {
        "attention": first[:, cut:].flatten(),
        "received": received[:, cut:].flatten(),
        "keys": keys[0][:, cut:].flatten(0, 1).unflatten(1, (4, -1)),
        "features": out.hidden_states[layer][:, cut:].flatten(0, 1),
        "middle": out.attentions[halfway].mean(1).sum(1)[:, cut:].flatten(),
    }


def same(taps: Taps, where: Tensor, oracle: dict[str, Tensor]) -> None:
    for name, each in oracle.items():
        got = getattr(taps, name)
        assert apart(got[where], each) < CLOSE, name
        assert not got[~where].any(), name


def eager(tiny: Tiny, inputs: Inputs, prefix: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """The same of Qwen's tower: its last layer's weights, caught in the function that makes them."""
    visual = tiny.model.model.visual
    module = import_module(type(visual).__module__)
    caught: list[tuple[Any, Tensor]] = []
    plain = module.eager_attention_forward

    def catch(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output, weights = plain(layer, *args, **kwargs)
        caught.append((layer, weights))
        return output, weights

    before = visual.config._attn_implementation
    visual.set_attn_implementation("eager")
    states: list[Tensor] = []
    made: list[Tensor] = []
    hooks = [
        visual.merger.register_forward_pre_hook(lambda module, args: states.append(args[0])),
        visual.blocks[-1].attn.qkv.register_forward_hook(lambda module, args, output: made.append(output)),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(module, "eager_attention_forward", catch)
        visual(inputs[f"pixel_values{prefix}"], grid_thw=inputs[f"{'video' if prefix else 'image'}_grid_thw"])
    for hook in hooks:
        hook.remove()
    visual.set_attn_implementation(before)
    weights = [each for layer, each in caught if layer is visual.blocks[-1].attn]
    halfway = visual.blocks[len(visual.blocks) // 2].attn
    whole = {
        "attention": torch.cat([each.mean((0, 1, 2)) for each in weights]),
        "received": torch.cat([each.mean((0, 1, 2)) for each in weights]),
        "keys": made[0].chunk(3, dim=-1)[1].unflatten(1, (4, -1)),
        "features": states[0],
        "middle": torch.cat([each.mean((0, 1)).sum(0) for layer, each in caught if layer is halfway]),
    }
    pooled = {name: each.unflatten(0, (-1, 4)).mean(1) for name, each in whole.items()}
    if tiny.model.config.model_type != "qwen2_5_vl":
        return pooled
    return {name: each[unwindowed(tiny, inputs, prefix)] for name, each in pooled.items()}


def unwindowed(tiny: Tiny, inputs: Inputs, prefix: str) -> Tensor:
    """Where Qwen2.5-VL's merged rows go: told by the merger's own output and the tower's."""
    visual = tiny.model.model.visual
    merged: list[Tensor] = []
    hook = visual.merger.register_forward_hook(lambda module, args, output: merged.append(output))
    grid = inputs[f"{'video' if prefix else 'image'}_grid_thw"]
    ordered = visual(inputs[f"pixel_values{prefix}"], grid_thw=grid).pooler_output
    hook.remove()
    place = (ordered[:, None] == merged[0][None]).all(-1)
    assert (place.sum(1) == 1).all()
    return place.long().argmax(1)
