"""Taps where a token is made of a square of patches: which ones, the projector itself tells."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from arr_coc.adapters.gemma3 import LAYERS
from arr_coc.adapters.tiny import END, PICTURE, START, Tiny, decoder, picture, randomised, tower
from arr_coc.allocate import Allocator
from arr_coc.attach import attached
from arr_coc.family import FAMILIES
from arr_coc.scorers import SCORERS
from tests.runs import ROWS, Inputs, apart, generated, tiny_model, visual_of
from tests.towers import CLOSE, Looking

FAMILIES_OF_SQUARES = ["paligemma", "gemma3", "idefics3", "smolvlm", "aya_vision", "cohere2_vision"]


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def averaging_gemma() -> Tiny:
    """Four patches make one token; the family's own tiny model has one of each."""
    config = transformers.Gemma3Config(
        vision_config=tower("siglip_vision_model", 48, vision_use_head=False),
        text_config=decoder(
            "gemma3_text", head_dim=16, sliding_window=4096, query_pre_attn_scalar=16, layer_types=LAYERS
        ),
        mm_tokens_per_image=36, image_token_index=PICTURE, boi_token_index=START, eoi_token_index=END,
    )  # fmt: skip
    model = randomised(transformers.Gemma3ForConditionalGeneration, config)
    return Tiny(model, {"image": picture({"pixel_values": (1, 3, 48, 48)}, 36)}, types="token_type_ids")


def shown(family: str) -> Tiny:
    return averaging_gemma() if family == "gemma3" else tiny_model(family, "sdpa")


def said(tiny: Tiny, inputs: Inputs) -> tuple[dict[str, Tensor], Tensor]:
    """What the tower says of every patch, run eagerly; and which token each patch changes."""
    base = tiny.model.model
    where = FAMILIES[tiny.model.config.model_type].taps(tiny.model.config)
    vision, projector = base.get_submodule(where.module), base.get_submodule(where.projector)
    given: list[Tensor] = []
    weights: list[Tensor] = []
    keys: list[Tensor] = []
    layers = vision.encoder.layers
    before = vision.config._attn_implementation
    vision.set_attn_implementation("eager")
    hooks = [
        projector.register_forward_pre_hook(lambda module, args: given.append(args[0])),
        layers[-1].self_attn.k_proj.register_forward_hook(lambda module, args, output: keys.append(output)),
        *(
            layer.self_attn.register_forward_hook(lambda module, args, output: weights.append(output[1]))
            for layer in layers
        ),
    ]
    base.get_image_features(pixel_values=inputs["pixel_values"])
    for hook in hooks:
        hook.remove()
    vision.set_attn_implementation(before)
    features = given[0]
    said = {
        "attention": weights[-1].mean((1, 2)).flatten(),
        "received": weights[-1].mean((1, 2)).flatten(),
        "middle": weights[int(0.375 * len(layers))].mean(1).sum(1).flatten(),
        "keys": keys[0].flatten(0, 1).unflatten(1, (4, -1)),
        "features": features.flatten(0, 1),
    }
    return said, _changes(projector, features[:1])


def _changes(projector: Any, features: Tensor) -> Tensor:
    """(patches, tokens): whether a patch of one picture has a part in a token."""
    plain = projector(features).reshape(1, -1, projector(features).shape[-1])
    changed = []
    for patch in range(features.shape[1]):
        other = features.clone()
        other[:, patch] += 1
        changed.append((projector(other).reshape(plain.shape) - plain).abs().amax((0, 2)) > 1e-6)
    return torch.stack(changed)


@pytest.mark.parametrize("family", FAMILIES_OF_SQUARES)
def test_taps_are_the_means_of_the_patches_that_a_token_is_made_of(family: str) -> None:
    tiny = shown(family)
    inputs = tiny.inputs(ROWS)
    look = Looking()

    with attached(tiny.model, look):
        tiny.model(**inputs)
    by_patch, member = said(tiny, inputs)

    patches, tokens = member.shape
    assert (member.sum(1) == 1).all(), "a patch has a part in one token"
    share = member.float() / member.sum(0)
    where = visual_of(tiny, inputs)
    for name, each in by_patch.items():
        pictures = each.reshape(-1, patches, each[0].numel())
        expected = torch.einsum("pt,bpw->btw", share, pictures)
        got = getattr(look.taps, name)[where].reshape(-1, tokens, expected.shape[2])
        assert apart(got, expected) < CLOSE, name
    assert look.taps.attention[where].std() > 0


@pytest.mark.parametrize("family", FAMILIES_OF_SQUARES)
def test_a_method_that_reads_the_tower_works_there_with_and_without_a_cache(family: str) -> None:
    tiny = shown(family)
    inputs = tiny.inputs(ROWS)

    kept = []
    for options in ({}, {"use_cache": False}):
        with attached(tiny.model, Allocator(SCORERS["scope"](), budget=9)) as trace:
            generated(tiny, inputs, **options)
        kept.append(trace[0].keep)

    assert torch.equal(*kept)
    assert trace[0].budget.sum(1).tolist() == [9, 18, 0, 9]
    assert trace[0].token_layers is not None
    assert trace[0].token_layers.tolist() == [27, 54, 0, 27]


READING = [name for name in SCORERS if getattr(SCORERS[name](), "needs", ())]


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"])
def test_every_method_that_reads_the_tower_prunes_a_model_with_a_class_token_and_one_without(
    family: str, name: str
) -> None:
    tiny = tiny_model(family, "sdpa")
    inputs = tiny.inputs(ROWS)

    with attached(tiny.model, Allocator(name, budget=9, precision=True)) as trace:
        logits = tiny.model(**inputs).logits

    assert trace[0].budget.sum(1).tolist() == [9, 18, 0, 9]
    assert logits[trace[0].keep].isfinite().all()
