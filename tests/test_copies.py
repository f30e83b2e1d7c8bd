"""A token merged from n copies, with ln n added to its logits, is the n copies: on every attention."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from arr_coc.adapters.tiny import PICTURE, Row, Tiny
from arr_coc.allocation import Allocation
from arr_coc.attach import attached
from arr_coc.family import FAMILIES
from arr_coc.types import Context
from tests.kernels import KERNELS, running
from tests.laws.memory import drift
from tests.runs import ROWS, Inputs, apart, generated, tiny_model
from tests.stubs import allocation

CLOSE = 1e-5


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@dataclass(frozen=True)
class Copies:
    """Makes the tokens of every picture copies of a few, and merges them or does not."""

    merged: bool
    sizes: Callable[[Tensor], Tensor]
    """Which of the few a token is a copy of, by its place in the picture."""

    def __call__(self, context: Context) -> Allocation:
        place = context.visual.cumsum(1) - 1
        of = torch.where(context.visual, self.sizes(place), -1)
        same = of[:, :, None] == of[:, None, :]
        # Words are alone; a copy stands where the first of its kind stands, as what it is.
        same = same & context.visual[:, :, None] | torch.eye(of.shape[1], dtype=torch.bool)
        first = same.byte().argmax(2)
        at = first.expand_as(context.positions)
        whole = allocation(
            context,
            context.valid,
            embeds=context.embeds.gather(1, first[..., None].expand_as(context.embeds)),
        )
        whole = replace(whole, positions=context.positions.gather(2, at))
        if not self.merged:
            return whole
        alone = first == torch.arange(of.shape[1])
        bias = torch.where(context.visual, same.sum(2).float().log(), 0.0)
        return replace(whole, keep=whole.keep & alone, bias=bias)


def both(tiny: Tiny, inputs: Inputs, sizes: Callable[[Tensor], Tensor], how: str) -> tuple[Any, Any]:
    """Generation from all the copies, on SDPA, and from those that stand for them."""
    with running(tiny, "sdpa"), attached(tiny.model, Copies(False, sizes)) as every:
        unmerged = generated(tiny, inputs)
    with running(tiny, how), attached(tiny.model, Copies(True, sizes)) as few:
        merged = generated(tiny, inputs)
    assert (every[0].seen or 0) > (few[0].seen or 0)
    return unmerged, merged


@pytest.mark.parametrize("how", KERNELS)
@pytest.mark.parametrize("family", ["llava", "qwen3_vl"])
def test_copies_merged_with_ln_n_are_the_copies_for_the_words_of_a_layer(family: str, how: str) -> None:
    whole = tiny_model(family, "sdpa")
    # In a deeper layer, copies are none any more: an earlier one saw less. Words see them all.
    tiny = replace(whole, model=shallow(whole.model))

    unmerged, merged = both(tiny, tiny.inputs(ROWS), lambda place: place.double().sqrt().long(), how)

    assert torch.equal(unmerged.sequences, merged.sequences)
    assert drift(unmerged, merged) < CLOSE


@pytest.mark.parametrize("how", KERNELS)
@pytest.mark.parametrize("family", ["llava", "qwen3_vl"])
def test_a_picture_of_copies_is_one_token_with_ln_n_in_any_depth(
    family: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = tiny_model(family, "sdpa")
    inputs = tiny.inputs([Row(1, ("image", 9))])
    # First in the prompt: what every copy sees is itself, however many times.
    start = int((inputs["input_ids"][0] == PICTURE).nonzero()[0])
    inputs |= {name: inputs[name][:, start:] for name in ("input_ids", "attention_mask", *types_of(tiny))}
    if family == "qwen3_vl":  # what DeepStack adds is copied too
        decoder = tiny.model.base_model.language_model
        monkeypatch.setattr(decoder, "_deepstack_process", lambda hidden, mask, planes: hidden)

    unmerged, merged = both(tiny, inputs, torch.zeros_like, how)

    assert torch.equal(unmerged.sequences, merged.sequences)
    assert drift(unmerged, merged) < CLOSE


@pytest.mark.parametrize("how", KERNELS[:3])
def test_copies_that_see_each_other_are_merged_with_ln_n_in_any_depth(how: str) -> None:
    tiny = tiny_model("gemma3", "sdpa")

    unmerged, merged = both(tiny, tiny.inputs(ROWS), lambda place: place.double().sqrt().long(), how)

    assert torch.equal(unmerged.sequences, merged.sequences)
    assert drift(unmerged, merged) < CLOSE


def test_copies_merged_without_ln_n_are_not_the_copies(llava: Tiny) -> None:
    tiny = replace(llava, model=shallow(llava.model))
    inputs = tiny.inputs(ROWS)

    def unweighed(context: Context) -> Allocation:
        return replace(Copies(True, lambda place: place // 8)(context), bias=None)

    with attached(tiny.model, Copies(False, lambda place: place // 8)):
        unmerged = tiny.model(**inputs).logits[:, -1]
    with attached(tiny.model, unweighed):
        merged = tiny.model(**inputs).logits[:, -1]

    assert apart(unmerged, merged) > 100 * CLOSE


def types_of(tiny: Tiny) -> tuple[str, ...]:
    return (tiny.types,) if tiny.types else ()


def shallow(model: Any) -> Any:
    """A model of the same class with one layer in its decoder."""
    tiny = FAMILIES[model.config.model_type].tiny()
    decoder = tiny.model.base_model.language_model
    decoder.layers = decoder.layers[:1]
    decoder.config.num_hidden_layers = 1
    tiny.model.set_attn_implementation("sdpa")
    return tiny.model
