"""A model that nobody declared is tried on its first prompt, and is pruned only if nothing changes there."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn.functional import pad

from arr_coc.adapters.tiny import Tiny
from arr_coc.attach import attached
from arr_coc.cache import CACHE
from arr_coc.family import FAMILIES, REFUSED
from arr_coc.parts import parts_of
from arr_coc.trial import TRUSTED
from tests.runs import ROWS, apart, decoder_of, generated, tiny_model
from tests.stubs import Some, keep_all


@pytest.fixture(autouse=True)
def _untried() -> Iterator[None]:
    TRUSTED.clear()
    with torch.no_grad():
        yield
    TRUSTED.clear()


@pytest.fixture
def unlisted(llava: Tiny, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """LLaVA under a name that is not in the registry."""
    monkeypatch.delitem(FAMILIES._parts, "llava")
    return llava


# With planes for DeepStack, another place of the decoder, masks from token types, a recurrent decoder.
@pytest.mark.parametrize("family", ["llava", "qwen3_vl", "smolvlm", "gemma3", "lfm2_vl"])
def test_a_listed_family_under_an_unlisted_name_is_pruned_alike(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = tiny_model(family, "sdpa")
    inputs = tiny.inputs(ROWS)
    with attached(tiny.model, Some()) as trace:
        listed = tiny.model(**inputs).logits
        words = generated(tiny, inputs).sequences
    monkeypatch.delitem(FAMILIES._parts, family)

    with attached(tiny.model, Some()) as again:
        unlisted = tiny.model(**inputs).logits
        others = generated(tiny, inputs).sequences

    assert [step.seen for step in again] == [step.seen for step in trace]
    assert apart(unlisted, listed) == 0
    assert torch.equal(others, words)


def test_a_model_is_tried_once(unlisted: Tiny) -> None:
    inputs = unlisted.inputs(ROWS[:1])
    calls = []
    hook = decoder_of(unlisted).register_forward_hook(lambda *_: calls.append(1))

    for _ in range(2):
        with attached(unlisted.model, keep_all):
            unlisted.model(**inputs)
    hook.remove()

    assert len(calls) == 2 + 1 + 1


def test_a_decoder_that_knows_tokens_by_their_column_is_refused(unlisted: Tiny) -> None:
    def count_columns(_: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        at = torch.arange(kwargs["position_ids"].shape[-1])[None]
        return args, kwargs | {"position_ids": at}

    hook = decoder_of(unlisted).rotary_emb.register_forward_pre_hook(count_columns, with_kwargs=True)

    try:
        with (
            pytest.raises(ValueError, match=r"changes its hidden states.*FAMILIES\.add\('llava', Family"),
            attached(unlisted.model, keep_all),
        ):
            unlisted.model(**unlisted.inputs(ROWS))
    finally:
        hook.remove()
    assert unlisted.model.base_model not in TRUSTED


@pytest.mark.parametrize("planes", [[torch.zeros(64, 64)], torch.zeros(64, 64)])
def test_a_decoder_with_arguments_of_unknown_meaning_is_refused(unlisted: Tiny, planes: Any) -> None:
    def more(_: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        return args, kwargs | {"planes": planes}

    hook = decoder_of(unlisted).register_forward_pre_hook(more, with_kwargs=True)

    try:
        with pytest.raises(ValueError, match="given 'planes'"), attached(unlisted.model, keep_all):
            unlisted.model(**unlisted.inputs(ROWS))
    finally:
        hook.remove()


def test_a_first_call_that_goes_on_from_a_cache_is_refused(unlisted: Tiny) -> None:
    first, second = unlisted.inputs(ROWS[:1]), unlisted.inputs(ROWS[:1])
    past = unlisted.model(**first, use_cache=True)[CACHE]
    second["attention_mask"] = pad(second["attention_mask"], (first["attention_mask"].shape[1], 0), value=1)

    with pytest.raises(ValueError, match="no whole prompt"), attached(unlisted.model, keep_all):
        unlisted.model(**second, **{CACHE: past})


def test_what_cannot_be_pruned_is_refused_with_the_reason(
    llava: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REFUSED._parts, "llava", REFUSED["mllama"])

    with (
        pytest.raises(ValueError, match="cannot be pruned here: its pictures enter by cross-attention"),
        attached(llava.model, keep_all),
    ):
        pass


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_not_declared(name: str) -> None:
    assert name not in FAMILIES


def test_parts_are_those_that_the_family_names() -> None:
    parts = parts_of(tiny_model("smolvlm", "sdpa").model)

    assert parts.declared
    assert parts.decoder is parts.base.text_model
    assert parts.first_layer is parts.base.text_model.layers[0]
