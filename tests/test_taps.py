"""What a vision tower says of its patches: as the tower itself says it, run eagerly, with all its outputs."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from arr_coc.adapters.tiny import Row, Tiny
from arr_coc.allocate import Allocator
from arr_coc.attach import attached
from arr_coc.encode import encoded
from arr_coc.family import FAMILIES
from arr_coc.taps import TAPS
from arr_coc.tower import Taps
from tests.contexts import context
from tests.runs import ROWS, Inputs, apart, generated, tiny_model, visual_of
from tests.stubs import ByAttention, Some
from tests.towers import CLOSE, Looking, eager, said, same, towers

QWEN = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"]
SAME_TOWER = ["qwen3_vl_moe", "qwen3_5", "qwen3_5_moe"]


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(params=towers())
def tower(request: pytest.FixtureRequest) -> Tiny:
    return towers()[request.param]()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_taps_of_llava_are_what_the_tower_says_run_eagerly(tower: Tiny, attention: str) -> None:
    tower.model.set_attn_implementation(attention)
    inputs = tower.inputs(ROWS)
    look = Looking()

    with attached(tower.model, look):
        tower.model(**inputs)

    same(look.taps, visual_of(tower, inputs), said(tower, inputs))
    assert look.taps.attention.std() > 0


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", [*QWEN, *SAME_TOWER])
def test_taps_of_qwen_are_those_of_the_tower_pooled_to_the_merged_grid(
    family: str, attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = tiny_model(family, attention)
    inputs = tiny.inputs(ROWS)
    look = Looking()

    with attached(tiny.model, look):
        tiny.model(**inputs)

    same(look.taps, visual_of(tiny, inputs), eager(tiny, inputs, "", monkeypatch))
    assert apart(look.taps.attention.sum(1), torch.tensor([1, 2, 0, 1]) / 4) < CLOSE


@pytest.mark.parametrize("family", QWEN)
def test_films_and_pictures_are_told_apart(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = tiny_model(family, "sdpa")
    inputs = tiny.inputs([Row(5, (4, "video", 6)), Row(6, (2, "image", 3, "video", 5))])
    look = Looking()

    with attached(tiny.model, look):
        tiny.model(**inputs)
        generated(tiny, inputs)

    for taps in (shown.taps for shown in look.seen):
        for prefix, token in (("", "image"), ("_videos", "video")):
            where = inputs["input_ids"] == getattr(tiny.model.config, f"{token}_token_id")
            for name, each in eager(tiny, inputs, prefix, monkeypatch).items():
                assert apart(getattr(taps, name)[where], each) < CLOSE


@pytest.mark.parametrize("family", ["llava", *QWEN])
@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({}, 1),
        ({"num_beams": 3}, 3),
        ({"do_sample": True, "num_return_sequences": 2}, 2),
        ({"use_cache": False}, 1),
    ],
    ids=str,
)
def test_taps_survive_until_the_decoder_is_called_and_beams_repeat_them(
    family: str, options: dict[str, Any], times: int
) -> None:
    tiny = tiny_model(family, "sdpa")
    # transformers 5.17 deals the pictures of rows with two of them out to the wrong beams, attached or not.
    inputs = tiny.inputs([row for row in ROWS if times == 1 or row.parts.count("image") < 2])
    once, look = Looking(), Looking()

    with attached(tiny.model, once):
        tiny.model(**inputs)
    with attached(tiny.model, look):
        generated(tiny, inputs, **options)

    for shown in look.seen:
        for name in TAPS:
            seq = inputs["input_ids"].shape[1]
            got = getattr(shown.taps, name)[:, :seq]
            assert apart(got, getattr(once.taps, name).repeat_interleave(times, 0)) < CLOSE


def test_two_calls_with_two_pictures_are_not_mixed_up(llava: Tiny) -> None:
    one, two = llava.inputs(ROWS[:1]), llava.inputs([Row(77, ROWS[0].parts)])
    alone = []
    for inputs in (one, two):
        look = Looking()
        with attached(llava.model, look):
            llava.model(**inputs)
        alone.append(look.taps.attention)

    look = Looking()
    with attached(llava.model, look):
        first, second = (encoded(llava.model, inputs) for inputs in (one, two))
        llava.model(**second.question(two))
        llava.model(**first.question(one))

    assert torch.equal(look.seen[0].taps.attention, alone[1])
    assert torch.equal(look.seen[1].taps.attention, alone[0])


@pytest.mark.parametrize("family", ["llava", *QWEN])
def test_pictures_encoded_beforehand_bring_their_taps_if_asked_to(family: str) -> None:
    tiny = tiny_model(family, "sdpa")
    inputs = tiny.inputs(ROWS)
    look, again = Looking(), Looking()
    with attached(tiny.model, look):
        tiny.model(**inputs)

    seen = encoded(tiny.model, inputs, taps=TAPS)
    with attached(tiny.model, again):
        for _ in range(2):
            generated(tiny, seen.question(inputs))

    for name in TAPS:
        for shown in again.seen:
            assert torch.equal(getattr(shown.taps, name), getattr(look.taps, name))
    with (
        pytest.raises(
            ValueError,
            match=r"encoded without the attention, keys, features, rec.*inputs, \('attention', ",
        ),
        attached(tiny.model, look),
    ):
        generated(tiny, encoded_outside(tiny, inputs))


def encoded_outside(tiny: Tiny, inputs: Inputs) -> Any:
    features = tiny.model.model.get_image_features(
        **{name: inputs[name] for name in ("pixel_values", "image_grid_thw") if name in inputs}
    )
    vars(features).pop("taps", None)
    words = {name: each for name, each in inputs.items() if name != "pixel_values"}
    return words | {"mm_encoder_outputs": {"image": features}}


def test_a_scorer_finds_them_by_picture_and_says_what_it_needs(llava: Tiny) -> None:
    inputs = llava.inputs(ROWS)

    with attached(llava.model, Allocator(scorer=ByAttention(), budget=9)) as trace:
        llava.model(**inputs)
    oracle = said(llava, inputs)["attention"].view(-1, 64)

    kept = trace[0].keep[visual_of(llava, inputs)].view(-1, 64)
    best = torch.zeros_like(kept).scatter(1, oracle.topk(9, dim=1).indices, True)
    assert torch.equal(kept, best)


def test_pictures_show_taps_in_their_own_rows_with_zeros_at_padding() -> None:
    rows = context([[2, 4, 1], [1, 2, 1, 3]])
    attention = torch.where(rows.visual, torch.arange(rows.visual.numel()).view_as(rows.visual) + 1.0, 0.0)
    keys = attention[..., None, None] * torch.ones(2, 3)
    seen = replace(rows, taps=Taps(attention, keys=keys)).pictures()

    assert seen.taps is not None
    assert seen.taps.attention.tolist() == [[3, 4, 5, 6], [9, 10, 0, 0], [12, 13, 14, 0]]
    assert torch.equal(seen.taps.keys, seen.taps.attention[..., None, None].expand(-1, -1, 2, 3))
    assert torch.equal(seen.tap("attention"), seen.taps.attention)
    assert seen.taps.features is None
    with pytest.raises(ValueError, match=r"reads the features of the vision tower.*attached\(\.\.\.\)"):
        seen.tap("features")
    assert replace(rows, taps=None).pictures().taps is None


def hooks(model: Any) -> list[tuple[int, ...]]:
    return [(len(m._forward_pre_hooks), len(m._forward_hooks)) for m in model.modules()]


@pytest.mark.parametrize("family", ["llava", *QWEN])
def test_nothing_is_hooked_where_nothing_is_needed_and_nothing_is_left_behind(family: str) -> None:
    tiny = tiny_model(family, "sdpa")
    inputs = tiny.inputs(ROWS)
    plain = tiny.model(**inputs).logits
    before = hooks(tiny.model)
    tower = next(module for name, module in tiny.model.model.named_children() if "vis" in name)

    with attached(tiny.model, Some()):
        assert hooks(tower) == hooks_of(tower, before, tiny.model)
    with attached(tiny.model, Looking()):
        assert hooks(tower) != hooks_of(tower, before, tiny.model)
        tiny.model(**inputs)
    with pytest.raises(ZeroDivisionError), attached(tiny.model, Looking()):
        1 / 0  # noqa: B018

    assert hooks(tiny.model) == before
    assert torch.equal(tiny.model(**inputs).logits, plain)


def hooks_of(tower: Any, before: list[tuple[int, ...]], model: Any) -> list[tuple[int, ...]]:
    inside = {id(module) for module in tower.modules()}
    return [each for each, module in zip(before, model.modules(), strict=True) if id(module) in inside]


def test_a_tap_that_a_family_lacks_is_an_error_that_names_it(
    llava: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        pytest.raises(
            ValueError,
            match=r"no tap called 'depth' on a vision tower\. Known: attention, keys, feat",
        ),
        attached(llava.model, Looking(needs=("depth",))),
    ):
        pass
    monkeypatch.setitem(FAMILIES._parts, "llava", replace(FAMILIES["llava"], taps=None))
    with (
        pytest.raises(
            ValueError, match=r"needs attention .*'llava' with a 'clip_vision_model' tower does not say"
        ),
        attached(llava.model, Allocator(scorer=ByAttention())),
    ):
        pass


def test_a_tower_that_does_not_fit_is_an_error_that_counts(
    llava: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(FAMILIES["llava"].taps(llava.model.config), dropped=0)
    monkeypatch.setitem(FAMILIES._parts, "llava", replace(FAMILIES["llava"], taps=lambda config: wrong))

    with (
        pytest.raises(ValueError, match="spoke of 65 tokens, and 64 stand in the prompt"),
        attached(llava.model, Looking()),
    ):
        llava.model(**llava.inputs(ROWS[:1]))


def test_a_long_sequence_is_attended_in_pieces(llava: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = towers()["siglip"]()
    inputs = tiny.inputs(ROWS)
    monkeypatch.setattr("arr_coc.received.QUERIES", 3)
    look = Looking()

    with attached(tiny.model, look):
        tiny.model(**inputs)

    same(look.taps, visual_of(tiny, inputs), said(tiny, inputs))
