"""The laws of attaching, one function each: it returns the largest difference that it found, in logits.

`python -m tests.laws [PATH]` writes the table of all families as JSON. The oracles are models without hooks.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import arr_coc.adapters  # noqa: F401  (registers the families)
from arr_coc.adapters.tiny import WORDS, Row, Tiny
from arr_coc.attach import attached
from arr_coc.family import FAMILIES
from tests.stubs import Some, blind, keep_all

EXACT, CLOSE, FELT = 0.0, 1e-4, 1e-3
STEPS = 5
ROWS = [Row(1, (4, "image", 9)), Row(2, (2, "image", 1, "image", 5)), Row(3, (7,)), Row(4, (3, "image", 12))]
EVEN = [Row(5, (4, "image", 9)), Row(6, (4, "image", 9))]
"""No padding: then `generate` passes no mask on."""
Inputs = dict[str, Tensor]
Law = Callable[[Tiny], float]
LAWS: dict[str, tuple[Law, float]] = {}
"""Every law with the largest difference that it allows."""


@cache
def tiny_model(family: str, attention: str) -> Tiny:
    """The model of a family; laws leave it as they found it, so it is built once."""
    tiny: Tiny = FAMILIES[family].tiny()
    tiny.model.set_attn_implementation(attention)
    return tiny


def law(allowed: float) -> Callable[[Law], Law]:
    """Decorator: file a law under its name."""

    def file(function: Law) -> Law:
        LAWS[function.__name__] = function, allowed
        return function

    return file


def apart(a: Tensor, b: Tensor) -> float:
    """Largest difference; infinite if the shapes differ."""
    return float((a - b).abs().max()) if a.shape == b.shape else float("inf")


def positions(tiny: Tiny, inputs: Inputs) -> Inputs:
    """Original positions where the model would derive others from a mask with holes."""
    if not tiny.types:
        return {}
    named = {name: value for name, value in inputs.items() if "pixel" not in name}
    return {"position_ids": tiny.model.model.get_rope_index(**named)[0]}


def longer(inputs: Inputs, words: Tensor) -> Inputs:
    """The same prompts with words after them."""
    more = {
        "input_ids": words,
        "attention_mask": torch.ones_like(words),
        "mm_token_type_ids": torch.zeros_like(words),
    }
    return {k: torch.cat([v, more[k].to(v.dtype)], 1) if k in more else v for k, v in inputs.items()}


@contextmanager
def watched(module: Any) -> Iterator[list[dict[str, Any]]]:
    """The keyword arguments that a module is really called with."""
    calls: list[dict[str, Any]] = []
    hook = module.register_forward_pre_hook(lambda _, args, kwargs: calls.append(kwargs), with_kwargs=True)
    try:
        yield calls
    finally:
        hook.remove()


def generated(tiny: Tiny, inputs: Inputs, **options: Any) -> Any:
    """Greedy, with the logits of every step. Only words: a written placeholder would ask for a picture."""
    settings = {
        "max_new_tokens": STEPS,
        "do_sample": False,
        "output_logits": True,
        "return_dict_in_generate": True,
    }
    return tiny.model.generate(**inputs, **settings, **options, suppress_tokens=list(range(WORDS.start)))


def visual_of(tiny: Tiny, inputs: Inputs) -> Tensor:
    """Columns of pictures, read from the prompt."""
    ids = {token for shown in tiny.shown.values() for token in shown.ids if shown.ids.count(token) > 2}
    return torch.isin(inputs["input_ids"], torch.tensor(sorted(ids)))


def batches(tiny: Tiny) -> Iterator[Inputs]:
    """Rows with 0, 1 and 2 pictures, padded on either side; one row alone; films where there are."""
    yield tiny.inputs(ROWS)
    yield tiny.inputs(ROWS, side="right")
    yield tiny.inputs(ROWS[:1])
    if "video" in tiny.shown:
        yield tiny.inputs([Row(5, (4, "video", 6)), Row(6, (2, "image", 3, "video", 5))])


@law(EXACT)
def off_is_off(tiny: Tiny) -> float:
    """1. Keep-all is the untouched model to the last bit: logits, `generate`, beams."""
    worst = 0.0
    for inputs in batches(tiny):
        plain = tiny.model(**inputs).logits
        with attached(tiny.model, keep_all) as trace:
            worst = max(worst, apart(tiny.model(**inputs).logits, plain))
        assert trace[0].seen == plain.shape[1]
    inputs = tiny.inputs(ROWS)
    for options in ({}, {"num_beams": 3}, {"cache_implementation": "static", "disable_compile": True}):
        run = partial(generated, tiny, inputs, **options)
        plain = run()
        with attached(tiny.model, keep_all):
            on = run()
        worst = max([worst, *map(apart, on.logits, plain.logits)])
        worst = worst if torch.equal(on.sequences, plain.sequences) else float("inf")
    return worst


def _against_hidden(tiny: Tiny, stub: Callable[..., Any], oracle: Callable[..., Tensor]) -> float:
    worst = 0.0
    for inputs in batches(tiny):
        with attached(tiny.model, stub) as trace:
            pruned = tiny.model(**inputs).logits
        keep = trace[0].keep
        worst = max(worst, apart(pruned[keep], oracle(tiny, inputs, trace[0])[keep]))
    return worst


def _hidden(tiny: Tiny, inputs: Inputs, allocation: Any) -> Tensor:
    logits: Tensor = tiny.model(
        **inputs | positions(tiny, inputs) | {"attention_mask": allocation.keep.long()}
    ).logits
    return logits


@law(CLOSE)
def oracle(tiny: Tiny) -> float:
    """2. Pruned logits are those of the full model with the dropped tokens hidden by its padding mask."""
    return max(_against_hidden(tiny, stub, _hidden) for stub in (Some(), blind))


@law(CLOSE)
def merged(tiny: Tiny) -> float:
    """2b. Replaced embeddings reach the decoder where their tokens stand."""

    def replaced(tiny: Tiny, inputs: Inputs, allocation: Any) -> Tensor:
        visual = visual_of(tiny, inputs)[..., None]

        def swap(_: Any, args: Any, kwargs: Any) -> Any:
            return args, kwargs | {
                "inputs_embeds": torch.where(visual, allocation.embeds, kwargs["inputs_embeds"])
            }

        hook = tiny.model.model.language_model.register_forward_pre_hook(swap, with_kwargs=True)
        try:
            return _hidden(tiny, inputs, allocation)
        finally:
            hook.remove()

    return _against_hidden(tiny, Some(merged=True), replaced)


@law(CLOSE)
def precision(tiny: Tiny) -> float:
    """2c. A log-precision is what a float 4-D mask adds to the attention logits, also with a cache."""

    def weighed(tiny: Tiny, inputs: Inputs, allocation: Any) -> Tensor:
        seq = inputs["input_ids"].shape[1]
        seen = allocation.keep[:, None, None] & torch.ones(seq, seq, dtype=torch.bool).tril()
        lowest = torch.finfo(torch.float32).min
        mask = torch.where(seen, allocation.bias[:, None, None], lowest)
        at = positions(tiny, inputs) or {"position_ids": torch.arange(seq)[None]}
        return tiny.model(**inputs | at | {"attention_mask": mask}).logits

    stub, uneven = Some(precision=True), Some(by_question=0, by_row=2, precision=True)
    cached = [_cached_against_repeated(tiny, stub, ROWS), _cached_against_repeated(tiny, uneven, EVEN)]
    cached.append(_cached_against_repeated(tiny, stub, EVEN))
    return max(_against_hidden(tiny, stub, weighed), *cached)


def _cached_against_repeated(tiny: Tiny, stub: Callable[..., Any], prompts: list[Row]) -> float:
    inputs = tiny.inputs(prompts)
    with attached(tiny.model, stub):
        run = generated(tiny, inputs)
        words = run.sequences[:, -STEPS:]
        again = [
            tiny.model(**longer(inputs, words[:, :n]), use_cache=False).logits[:, -1] for n in range(STEPS)
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
    ragged = [_cached_against_repeated(tiny, stub, ROWS) for stub in (Some(), blind)]
    return max(*ragged, _cached_against_repeated(tiny, Some(by_question=0, by_row=2), EVEN))


@law(CLOSE)
def next_turn(tiny: Tiny) -> float:
    """3b. A second question with a new picture on the pruned cache is the whole conversation at once."""
    worst = 0.0
    # Ragged rows (the second turn is padded in the middle) and a log-precision that goes on.
    for stub, first in (
        (Some(by_question=0), ROWS[:1]),
        (Some(by_question=0, by_row=2), ROWS[:2]),
        (Some(by_question=0, by_row=2, precision=True), ROWS[:2]),
    ):
        one = tiny.inputs(first)
        two = tiny.inputs([Row(9 + n, (3, "image", 6)) for n in range(len(first))])
        whole = _joined(one, two)
        at = positions(tiny, whole)
        n = one["input_ids"].shape[1]
        start = {name: value[..., :n] for name, value in at.items()}
        then = {name: value[..., n:] for name, value in at.items()}
        with attached(tiny.model, stub):
            once = tiny.model(**whole | at).logits[:, -1]
            past = tiny.model(**one | start, use_cache=True).past_key_values
            kept = deepcopy(past)
            turn = two | then | {"attention_mask": whole["attention_mask"]}
            for memory in (past, kept):
                worst = max(worst, apart(tiny.model(**turn, past_key_values=memory).logits[:, -1], once))
    return worst


def _joined(one: Inputs, two: Inputs) -> Inputs:
    """Two turns as one prompt; pictures in reading order, row by row."""
    along = {"input_ids", "attention_mask", "mm_token_type_ids"}
    joined = {name: torch.cat([one[name], two[name]], 1) for name in one if name in along}
    return joined | {name: _dealt(one, two, name) for name in one if name not in along}


def _dealt(one: Inputs, two: Inputs, name: str) -> Tensor:
    per_row = [1, 2, 0, 1][: len(one["input_ids"])]
    size = len(two[name]) // len(per_row)
    first, second = one[name].split([size * n for n in per_row]), two[name].split(size)
    return torch.cat([part for pair in zip(first, second, strict=True) for part in pair])


@law(CLOSE)
def rows(tiny: Tiny) -> float:
    """4. A row of a batch is the row alone, padded left or right; without a picture, the plain model's."""
    worst = 0.0
    for side in ("left", "right"):
        inputs = tiny.inputs(ROWS, side)
        with attached(tiny.model, Some()) as trace:
            together = tiny.model(**inputs).logits
        for n, row in enumerate(ROWS):
            alone_inputs = tiny.inputs([row])
            with attached(tiny.model, Some()) as single:
                alone = tiny.model(**alone_inputs).logits
            if "image" not in row.parts:
                assert not single
                alone, kept = (
                    tiny.model(**alone_inputs).logits[0],
                    torch.ones(alone.shape[1], dtype=torch.bool),
                )
            else:
                kept = single[0].keep[0]
                alone = alone[0]
            worst = max(worst, apart(together[n][trace[0].keep[n]], alone[kept]))
    return worst


@law(EXACT)
def original_positions(tiny: Tiny) -> float:
    """5. What is kept stays at its position in the full prompt; DeepStack planes are cut alike."""
    worst = 0.0
    decoder = tiny.model.model.language_model
    for inputs in batches(tiny):
        at = positions(tiny, inputs) or {"position_ids": torch.arange(inputs["input_ids"].shape[1])[None]}
        with watched(decoder) as full:
            tiny.model(**inputs | at)
        with attached(tiny.model, Some()) as trace, watched(decoder) as cut:
            tiny.model(**inputs | at)
        keep, before, after = trace[0].keep, full[0], cut[0]
        new = after["position_ids"].reshape(-1, *after["position_ids"].shape[-2:])
        old = before["position_ids"].reshape(len(new), -1, keep.shape[1]).expand(-1, len(keep), -1)
        real = (
            after["attention_mask"].bool() if after["attention_mask"].ndim == 2 else torch.ones_like(new[0])
        )
        worst = max(worst, apart(new[:, real], old[:, keep]))
        planes = before.get("deepstack_visual_embeds") or []
        for whole, part in zip(planes, after.get("deepstack_visual_embeds") or [], strict=True):
            worst = max(worst, apart(part, whole[keep[before["visual_pos_masks"]]]))
    return worst


@law(EXACT)
def restored(tiny: Tiny) -> float:
    """6. After the block, also after an exception in it, no hook, attribute or class is left behind."""
    inputs = tiny.inputs(ROWS)

    def state() -> list[Any]:
        return [
            (
                name,
                type(module),
                sorted(vars(module)),
                len(module._forward_pre_hooks),
                len(module._forward_hooks),
            )
            for name, module in tiny.model.named_modules()
        ]

    plain = tiny.model(**inputs).logits
    before = state()
    with attached(tiny.model, Some()):
        tiny.model.generate(**inputs, max_new_tokens=2, do_sample=False)
    worst = apart(tiny.model(**inputs).logits, plain)
    try:
        with attached(tiny.model, lambda context: 1 / 0):
            tiny.model(**inputs)
    except ZeroDivisionError:
        worst = max(worst, apart(tiny.model(**inputs).logits, plain))
    return worst if state() == before else float("inf")


@law(EXACT)
def really_shorter(tiny: Tiny) -> float:
    """8. The first layer is given as many tokens as the longest row keeps, and the trace says so."""
    worst = 0
    first = tiny.model.model.language_model.layers[0].self_attn
    for inputs in batches(tiny):
        with attached(tiny.model, Some()) as trace, watched(first) as calls:
            tiny.model(**inputs)
        longest = int(trace[0].keep.sum(1).max())
        got = calls[0]["hidden_states"].shape[1]
        assert longest < inputs["input_ids"].shape[1]
        worst = max(worst, abs(got - longest), abs((trace[0].seen or 0) - got))
    return float(worst)


def felt(tiny: Tiny) -> float:
    """How much pruning changes the last logits: were it nothing, the laws would say nothing."""
    inputs = tiny.inputs(ROWS[:1])
    with attached(tiny.model, Some()):
        pruned = tiny.model(**inputs).logits[:, -1]
    return apart(pruned, tiny.model(**inputs).logits[:, -1])


def table() -> dict[str, Any]:
    """All laws over all families; the worse of eager and sdpa attention."""
    families = []
    for name in FAMILIES:
        models = [tiny_model(name, attention) for attention in ("eager", "sdpa")]
        worst = {called: max(map(function, models)) for called, (function, _) in LAWS.items()}
        passes = all(worst[called] <= allowed for called, (_, allowed) in LAWS.items())
        passes = passes and min(map(felt, models)) > FELT
        families.append({"model_type": name, "passes": passes, "laws": worst, "note": FAMILIES[name].note})
    return {"families": families}


if __name__ == "__main__":
    with torch.no_grad():
        text = json.dumps(table(), indent=2)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n")
    else:
        sys.stdout.write(text + "\n")
