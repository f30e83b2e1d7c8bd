"""Where kept tokens stand: the model, fed by hand with positions worked out one token after another."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import pytest
import torch
from torch import Tensor

from arr_coc.adapters.tiny import Row, Tiny
from arr_coc.allocate import Allocator
from arr_coc.allocation import Allocation
from arr_coc.attach import attached
from arr_coc.cache import CACHE
from arr_coc.family import FAMILIES
from arr_coc.positions import POSITIONS
from arr_coc.types import Context
from tests.contexts import context
from tests.runs import (
    ROWS,
    STEPS,
    Inputs,
    apart,
    decoder_of,
    even,
    generated,
    joined,
    longer,
    positions,
    tiny_model,
)
from tests.stubs import Some, blind

CLOSE = 1e-4
NAMES = ["llava", "qwen2_5_vl", "qwen3_vl", "gemma3", "idefics3", "internvl"]


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(params=NAMES)
def tiny(request: pytest.FixtureRequest) -> Tiny:
    return tiny_model(request.param, "sdpa")


@dataclass(frozen=True)
class Placing:
    """A stub's choice at the positions of a policy."""

    policy: str
    stub: Any = Some()  # noqa: RUF009 (frozen)

    def __call__(self, context: Context) -> Allocation:
        chosen = self.stub(context)
        placed = POSITIONS[self.policy](context, chosen.keep, None)
        return replace(chosen, positions=placed.positions, shift=placed.shift)


def closed_up(context: Context, keep: Tensor) -> Tensor:
    """Compact positions, counted token by token; 0 at what is dropped."""
    at = torch.zeros_like(context.positions)
    for row in range(len(keep)):
        columns = context.valid[row].nonzero()[:, 0].tolist()
        following = int(context.positions[0, row, columns[0]])
        for picture, group in groupby(columns, key=lambda c: int(context.picture[row, c])):
            kept = [c for c in group if keep[row, c]]
            old = context.positions[:, row, kept].tolist()
            for axis, taken in enumerate(old):
                if picture < 0:
                    new = [following + n for n in range(len(kept))]
                else:
                    new = [following + sorted(set(taken)).index(where) for where in taken]
                at[axis, row, kept] = torch.tensor(new, dtype=torch.long)
            if kept:
                following = int(at[:, row, kept].max()) + 1
    return at


def prompts(tiny: Tiny) -> Iterator[Inputs]:
    yield tiny.inputs(ROWS)
    yield tiny.inputs(ROWS, side="right")
    yield tiny.inputs([Row(8, (3, "image", "image", 4)), Row(9, ("image", 2, "image"))])
    if "video" in tiny.shown:
        yield tiny.inputs([Row(5, (4, "video", 6)), Row(6, (2, "image", 3, "video", 5))])


@pytest.mark.parametrize("stub", [Some(), blind], ids=["some", "none"])
def test_compact_is_the_model_fed_by_hand_with_what_is_left_numbered_anew(tiny: Tiny, stub: Any) -> None:
    for inputs in prompts(tiny):
        shown: list[Context] = []

        def look(context: Context) -> Allocation:
            shown.append(context)  # noqa: B023
            return Placing("compact", stub)(context)

        with attached(tiny.model, look) as trace:
            pruned = tiny.model(**inputs).logits
        keep = trace[0].keep
        at = closed_up(shown[0], keep)

        assert torch.equal(trace[0].positions[:, keep], at[:, keep])
        ids = at if len(at) > 1 else at[0]
        full = tiny.model(**inputs | {"position_ids": ids, "attention_mask": keep.long()}).logits
        assert apart(pruned[keep], full[keep]) < CLOSE
        hidden = tiny.model(**inputs | positions(tiny, inputs) | {"attention_mask": keep.long()}).logits
        assert apart(pruned[keep], hidden[keep]) > 1e-3, "as with the original positions"


def test_compact_is_a_prompt_that_never_had_the_rest(llava: Tiny) -> None:
    inputs = llava.inputs(ROWS[:1])
    decoder = llava.model.model.language_model
    fed: list[Tensor] = []
    hook = decoder.register_forward_pre_hook(
        lambda _, args, kwargs: fed.append(kwargs["inputs_embeds"]), with_kwargs=True
    )
    llava.model(**inputs)
    hook.remove()

    with attached(llava.model, Placing("compact")) as trace:
        pruned = llava.model.model(**inputs).last_hidden_state[trace[0].keep if trace else slice(None)]
    left = decoder(inputs_embeds=fed[0][trace[0].keep][None]).last_hidden_state[0]

    assert apart(pruned[0][trace[0].keep[0]] if pruned.ndim == 3 else pruned, left) < CLOSE


@pytest.mark.parametrize(
    "rows", [ROWS, ROWS[:1], [Row(9, (3, "image"))]], ids=["ragged", "one", "picture last"]
)
def test_what_is_written_goes_on_from_the_compact_prompt(tiny: Tiny, rows: list[Row]) -> None:
    inputs = tiny.inputs(rows)

    with attached(tiny.model, Placing("compact")) as trace:
        run = generated(tiny, inputs)
        words = run.sequences[:, -STEPS:]
        again = [
            tiny.model(**longer(tiny, inputs, words[:, :n]), use_cache=False).logits[:, -1]
            for n in range(STEPS)
        ]
        others = [
            generated(tiny, inputs, use_cache=False),
            generated(tiny, inputs, cache_implementation="static", disable_compile=True),
        ]
        few = tiny.inputs([row for row in rows if row.parts.count("image") < 2])
        beams = [
            generated(tiny, few, num_beams=3, output_scores=True, use_cache=use) for use in (True, False)
        ]

    for n in range(STEPS):
        for other in (again[n], *(other.logits[n] for other in others)):
            assert apart(run.logits[n], other) < CLOSE
    assert torch.equal(beams[0].sequences, beams[1].sequences)
    assert apart(beams[0].sequences_scores, beams[1].sequences_scores) < CLOSE
    assert trace[0].shift is not None


def test_a_later_turn_goes_on_from_a_compact_one(tiny: Tiny) -> None:
    first, second = ROWS[:2], even(tiny)
    one, two = tiny.inputs(first), tiny.inputs(second)
    whole = joined(tiny, first, second)
    at = positions(tiny, whole)
    n = one["input_ids"].shape[1]
    start = {name: value[..., :n] for name, value in at.items()}
    then = {name: value[..., n:] for name, value in at.items()}

    with attached(tiny.model, Placing("compact", Some(by_question=0))):
        once = tiny.model(**whole | at).logits[:, -1]
        past = tiny.model(**one | start, use_cache=True)[CACHE]
        turn = two | then | {"attention_mask": whole["attention_mask"], CACHE: past}
        later = tiny.model(**turn).logits[:, -1]

    assert apart(later, once) < CLOSE


@pytest.mark.parametrize("scorer", ["efe", "random"])
def test_the_centroid_of_what_was_not_merged_is_where_it_stood(tiny: Tiny, scorer: str) -> None:
    inputs = tiny.inputs(ROWS)
    logits = []

    for policy in ("original", "centroid"):
        with attached(tiny.model, Allocator(scorer=scorer, budget=7, positions=policy)):
            logits.append(tiny.model(**inputs).logits)

    assert torch.equal(logits[0], logits[1])


@pytest.mark.parametrize(
    "options", [{"scorer": "efe", "merge": True, "gate": 0.2}, {"scorer": "pool"}], ids=str
)
def test_the_centroid_is_the_mean_position_of_what_was_merged(tiny: Tiny, options: dict[str, Any]) -> None:
    inputs = tiny.inputs(ROWS)
    shown: list[Context] = []
    allocator = Allocator(budget=7, positions="centroid", **options)

    def look(context: Context) -> Allocation:
        shown.append(context)
        return allocator(context)

    with attached(tiny.model, look) as trace:
        pruned = tiny.model(**inputs).logits
    allocation, seen = trace[0], shown[0]
    visual = seen.visual[..., None]
    hook = decoder_of(tiny).register_forward_pre_hook(
        lambda _, args, kwargs: (
            args,
            kwargs | {"inputs_embeds": torch.where(visual, allocation.embeds, kwargs["inputs_embeds"])},
        ),
        with_kwargs=True,
    )
    at = allocation.positions
    full = inputs | {"position_ids": at if len(at) > 1 else at[0], "attention_mask": allocation.keep.long()}
    by_hand = tiny.model(**full).logits
    hook.remove()

    assert apart(pruned[allocation.keep], by_hand[allocation.keep]) < CLOSE
    kept = allocation.keep & seen.visual
    moved = (at != seen.positions).any(0)
    assert (moved & kept).any()
    assert not (moved & ~seen.visual).any()
    assert (at[:, kept] % 1 > 0).any()


def test_the_centroid_is_a_mean_or_the_member_nearest_to_it() -> None:
    row = context([[2, 6, 3]])
    # The third and the fifth token of the picture go into the second, the last into nothing, one stays alone.
    speaker = torch.full_like(row.picture, -1)
    speaker[0, [3, 4, 6]], speaker[0, 5] = 3, 5
    keep = row.valid & (~row.visual | (speaker == torch.arange(11)))

    mean = POSITIONS["centroid"](row, keep, speaker)
    nearest = POSITIONS["centroid"](replace(row, fractional=False), keep, speaker)

    assert mean.positions[0, 0, [0, 1, 3, 5, 8]].tolist() == pytest.approx([0, 1, 13 / 3, 5, 8])
    assert nearest.positions[0, 0, [0, 1, 3, 5, 8]].tolist() == [0, 1, 4, 5, 8]
    assert not nearest.positions.is_floating_point()
    assert mean.shift is None


def test_a_family_whose_positions_are_looked_up_gets_whole_ones(
    llava: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAMILIES._parts, "llava", replace(FAMILIES["llava"], fractional=False))

    with attached(llava.model, Allocator(budget=7, merge=True, positions="centroid")) as trace:
        llava.model(**llava.inputs(ROWS))

    assert not trace[0].positions.is_floating_point()


def test_positions_of_films_far_into_a_prompt_do_not_round() -> None:
    row = context([[2, 6, 3]])
    far = replace(row, positions=row.positions + 2**23)
    speaker = torch.where(row.visual, 4, -1)
    keep = row.valid & (~row.visual | (torch.arange(11) == 4))

    near_by = POSITIONS["centroid"](row, keep, speaker).positions[0, 0, 4]
    far_off = POSITIONS["centroid"](far, keep, speaker).positions[0, 0, 4]

    assert near_by == 4.5
    assert far_off == 2**23 + 4.5 or far_off == 2**23 + 4  # float32 holds no halves here


def test_keeping_everything_moves_nothing(tiny: Tiny) -> None:
    inputs = tiny.inputs(ROWS)
    plain = tiny.model(**inputs).logits

    with attached(tiny.model, Allocator(budget=1.0, positions="compact")):
        assert torch.equal(tiny.model(**inputs).logits, plain)


def test_an_unknown_policy_is_named_with_a_guess() -> None:
    with pytest.raises(KeyError, match="no position policy called 'compacted'; did you mean 'compact'"):
        Allocator(positions="compacted")


def test_positions_that_do_not_fit_the_prefill_are_refused(llava: Tiny) -> None:
    def wrong(context: Context) -> Allocation:
        decided = Some()(context)
        object.__setattr__(decided, "positions", context.positions[..., :-1])
        return decided

    with (
        pytest.raises(ValueError, match=r"Allocation\.positions must have the shape \(1, 1, \d+\)"),
        attached(llava.model, wrong),
    ):
        llava.model(**llava.inputs(ROWS[:1]))
