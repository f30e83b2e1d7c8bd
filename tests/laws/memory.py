"""What the cache remembers: with it, everything is as without it."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch

from arr_coc.adapters.tiny import Row, Tiny
from arr_coc.attach import attached, parts_of
from arr_coc.cache import CACHE
from tests.laws import CLOSE, law
from tests.runs import ROWS, STEPS, apart, even, generated, joined, longer, positions
from tests.stubs import Some, blind


def cached_against_repeated(tiny: Tiny, stub: Callable[..., Any], prompts: list[Row]) -> float:
    inputs = tiny.inputs(prompts)
    with attached(tiny.model, stub):
        run = generated(tiny, inputs)
        words = run.sequences[:, -STEPS:]
        again = [
            tiny.model(**longer(tiny, inputs, words[:, :n]), use_cache=False).logits[:, -1]
            for n in range(STEPS)
        ]
        worst = max(map(apart, run.logits, again))
        static = generated(tiny, inputs, cache_implementation="static", disable_compile=True)
        uncached = generated(tiny, inputs, use_cache=False)
        for other in (static, uncached):
            worst = max([worst, *map(apart, run.logits, other.logits)])
        # Not the row with two pictures: transformers 5.17 deals them out to the wrong beams, attached or not.
        few = tiny.inputs([row for row in prompts if row.parts.count("image") < 2])
        beams = [
            generated(tiny, few, num_beams=3, output_scores=True, use_cache=use) for use in (True, False)
        ]
    same = torch.equal(beams[0].sequences, beams[1].sequences)
    return max(worst, apart(beams[0].sequences_scores, beams[1].sequences_scores)) if same else float("inf")


@law(CLOSE)
def cached(tiny: Tiny) -> float:
    """3. Greedy and beam search with a cache, also a static one, are step-by-step recomputation without."""
    cases = [(Some(), ROWS), (Some(), even(tiny)), (blind, ROWS)]
    return max(cached_against_repeated(tiny, stub, prompts) for stub, prompts in cases)


@law(CLOSE)
def next_turn(tiny: Tiny) -> float:
    """3b. A second question with a new picture on the pruned cache is the whole conversation at once."""
    worst = 0.0
    # The second turn of two rows is padded in the middle; a log-precision goes on from the first.
    cases = [(Some(by_question=0), 1), (Some(by_question=0), 2), (Some(by_question=0, precision=True), 2)]
    if parts_of(tiny.model).family.recurrent:
        cases = cases[:1]  # padding in the middle is refused there: see test_attach
    for stub, batch in cases:
        first, second = ROWS[:batch], even(tiny)[:batch]
        one, two = tiny.inputs(first), tiny.inputs(second)
        whole = joined(tiny, first, second)
        at = positions(tiny, whole)
        n = one["input_ids"].shape[1]
        start = {name: value[..., :n] for name, value in at.items()}
        then = {name: value[..., n:] for name, value in at.items()}
        with attached(tiny.model, stub):
            once = tiny.model(**whole | at).logits[:, -1]
            past = tiny.model(**one | start, use_cache=True)[CACHE]
            kept = deepcopy(past)
            turn = two | then | {"attention_mask": whole["attention_mask"]}
            for memory in (past, kept):
                worst = max(worst, apart(tiny.model(**turn, **{CACHE: memory}).logits[:, -1], once))
    return worst
