"""The laws of attaching, one function each: it returns the largest difference that it found, in logits.

`python -m tests.laws [PATH]` writes the table of all families as JSON. The oracles are models without hooks.
"""

from collections.abc import Callable
from importlib import import_module

import torch
from transformers import PaliGemmaForConditionalGeneration

from arr_coc.adapters.tiny import Tiny

EXACT, CLOSE = 0.0, 1e-4
ROUGH = 0.125
"""What is allowed in bfloat16 where float32 has to be close: the same sums are made in another order.

Eight of its steps at the size of the largest logits (2 to 4, steps of 1/64); `FELT` is four times as much.
"""
ROUGHER = {"gemma3n": 0.25, "gemma4": 0.5}
"""Gemma 4 amplifies rounding ten times as much as the others: in float32 too, where it is off by 3e-5 and not
by 3e-6. What pruning changes there is 2.4. Gemma 3n's tower is eighty layers deep: without arr-coc, a row is
off by 0.15 from the same row in a batch. What pruning changes there is 2.7."""
Law = Callable[[Tiny], float]
LAWS: dict[str, tuple[Law, float]] = {}
"""Every law with the largest difference that it allows in float32."""
EXCUSED = {
    ("paligemma", "next_turn"): "both turns are one prefix whose tokens all see each other",
    ("molmo2", "next_turn"): "the pictures of both turns see each other",
}
"""What does not hold without arr-coc either, with the reason: a test checks that it does not."""
if "_update_model_kwargs_for_generation" not in vars(PaliGemmaForConditionalGeneration):
    EXCUSED["paligemma", "cached"] = "without a cache, what was answered counts as prefix"
BROKEN = {
    "llama4": "Llama 4 itself fails: static caches in transformers 5.16, beams in 5.23, every call in 5.24.0",
}
"""Models that cannot be run through the laws, with the reason."""


def law(allowed: float) -> Callable[[Law], Law]:
    """Decorator: file a law under its name."""

    def file(function: Law) -> Law:
        LAWS[function.__name__] = function, allowed
        return function

    return file


def allowed(name: str, family: str, dtype: torch.dtype) -> float:
    """Largest difference that a law allows."""
    in_float32 = LAWS[name][1]
    return ROUGHER.get(family, ROUGH) if dtype == torch.bfloat16 and in_float32 else in_float32


for _module in ("pruning", "memory", "precision", "structure"):
    import_module(f"{__name__}.{_module}")
