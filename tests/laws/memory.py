"""What the cache remembers: with it, everything is as without it."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch

from arr_coc.adapters.tiny import Row, Tiny
from arr_coc.attach import attached
from arr_coc.cache import CACHE
from arr_coc.parts import parts_of
from tests.laws import CLOSE, law
from tests.runs import ROWS, STEPS, apart, even, generated, joined, longer, positions
from tests.stubs import Some, blind


def drift(a: Any, b: Any) -> float:
    """Difference of two generations in logits, while a row says the same: one word off changes the rest."""
    n = len(a.logits)
    same = (a.sequences == b.sequences)[:, -n:].long().cumprod(1).bool()
    said = torch.nn.functional.pad(same, (1, -1), value=True)
    return max(apart(x[rows], y[rows]) for x, y, rows in zip(a.logits, b.logits, said.T, strict=True))


def cached_against_repeated(
    tiny: Tiny, stub: Callable[..., Any], prompts: list[Row], static: bool = True
) -> float:
    inputs = tiny.inputs(prompts)
    with attached(tiny.model, stub):
        run = generated(tiny, inputs)
        words = run.sequences[:, -STEPS:]
        again = [
            tiny.model(**longer(tiny, inputs, words[:, :n]), use_cache=False).logits[:, -1]
            for n in range(STEPS)
        ]
        worst = max(map(apart, run.logits, again))
        if static:
            roomy = generated(tiny, inputs, cache_implementation="static", disable_compile=True)
            worst = max(worst, drift(run, roomy))
    return worst


def searched(tiny: Tiny, stub: Callable[..., Any]) -> float:
    # Not the row with two pictures: transformers 5.17 deals them out to the wrong beams, attached or not.
    inputs = tiny.inputs([row for row in ROWS if row.parts.count("image") < 2])
    with attached(tiny.model, stub):
        greedy = [generated(tiny, inputs, use_cache=use) for use in (True, False)]
        beams = [
            generated(tiny, inputs, num_beams=3, output_scores=True, use_cache=use) for use in (True, False)
        ]
    scores = apart(*(run.sequences_scores for run in beams))
    # In bfloat16 two beams may be as good as each other.
    exact = tiny.model.dtype == torch.float32
    same = not exact or all(torch.equal(a.sequences, b.sequences) for a, b in (greedy, beams))
    return max(drift(*greedy), scores) if same else float("inf")


@law(CLOSE)
def cached(tiny: Tiny) -> float:
    """3. Greedy and beam search with a cache, also a static one, are step-by-step recomputation without."""
    cases = [(Some(), ROWS), (Some(), even(tiny)), (blind, ROWS)]
    worst = max(cached_against_repeated(tiny, stub, prompts) for stub, prompts in cases)
    return max(worst, searched(tiny, Some()))


def turns(tiny: Tiny, stub: Callable[..., Any], batch: int) -> float:
    first, second = ROWS[:batch], even(tiny)[:batch]
    one, two = tiny.inputs(first), tiny.inputs(second)
    whole = joined(tiny, first, second)
    at = positions(tiny, whole)
    n = one["input_ids"].shape[1]
    start = {name: value[..., :n] for name, value in at.items()}
    then = {name: value[..., n:] for name, value in at.items()}
    worst = 0.0
    with attached(tiny.model, stub):
        once = tiny.model(**whole | at).logits[:, -1]
        past = tiny.model(**one | start, use_cache=True)[CACHE]
        kept = deepcopy(past)
        turn = two | then | {"attention_mask": whole["attention_mask"]}
        for memory in (past, kept):
            worst = max(worst, apart(tiny.model(**turn, **{CACHE: memory}).logits[:, -1], once))
    return worst


@law(CLOSE)
def next_turn(tiny: Tiny) -> float:
    """3b. A second question with a new picture on the pruned cache is the whole conversation at once."""
    # The second turn of two rows is padded in the middle; a log-precision goes on from the first.
    cases = [(Some(by_question=0), 1), (Some(by_question=0), 2), (Some(by_question=0, precision=True), 2)]
    if parts_of(tiny.model).family.recurrent:
        cases = cases[:1]  # padding in the middle is refused there: see test_attach
    return max(turns(tiny, stub, batch) for stub, batch in cases)
