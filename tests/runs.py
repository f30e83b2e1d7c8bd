"""Tiny models, prompts for them, and what happens when they run: shared by laws and tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

import arr_coc.adapters  # noqa: F401  (registers the families)
from arr_coc.adapters.tiny import WORDS, Row, Tiny
from arr_coc.family import FAMILIES

STEPS = 5
FELT = 1e-3
"""What pruning must change at least, in logits, for a law to say something."""
ROWS = [Row(1, (4, "image", 9)), Row(2, (2, "image", 1, "image", 5)), Row(3, (7,)), Row(4, (3, "image", 12))]
Inputs = dict[str, Tensor]


@cache
def tiny_model(family: str, attention: str) -> Tiny:
    """The model of a family; laws leave it as they found it, so it is built once."""
    tiny: Tiny = FAMILIES[family].tiny()
    tiny.model.set_attn_implementation(attention)
    return tiny


def even(tiny: Tiny, seed: int = 5) -> list[Row]:
    """A row with a picture and one with words in its place: no padding, until tokens are dropped."""
    return [Row(seed, (4, "image", 9)), Row(seed + 1, (13 + len(tiny.shown["image"].ids),))]


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
    return tiny.model.generate(**inputs, **settings | options, suppress_tokens=list(range(WORDS.start)))


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


def joined(*turns: tuple[list[Row], Inputs]) -> Inputs:
    """Turns as one prompt; pictures in reading order, row by row."""
    joined = {}
    for name, tensor in turns[0][1].items():
        if len(tensor) == len(turns[0][0]) and "pixel" not in name and "grid" not in name:
            joined[name] = torch.cat([inputs[name] for _, inputs in turns], 1)
            continue
        dealt = []
        for rows, inputs in turns:
            counts = [row.parts.count("image") for row in rows]
            dealt.append(inputs[name].split([len(inputs[name]) // sum(counts) * count for count in counts]))
        joined[name] = torch.cat([part for row in zip(*dealt, strict=True) for part in row])
    return joined
