"""Pictures made smaller before the processor sees them: the control `downsample`."""

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

from PIL import Image

from arr_coc.allocate import Allocator
from arr_coc.budgets.at_most import AtMost
from arr_coc.budgets.auto import Ledger
from arr_coc.eval.method import Budget, Method
from arr_coc.eval.models import Loaded
from arr_coc.eval.prompt import Prompt, prompt

Setting = tuple[Method, Budget]


def as_shown(
    loaded: Loaded,
    setting: Setting,
    shown: Prompt,
    pictures: Sequence[Sequence[Image.Image]],
    questions: Sequence[str],
    seed: int,
    ledger: Ledger | None = None,
) -> tuple[Prompt, Allocator | None]:
    """What `answer` is given in a setting. `shown` are the pictures and questions, prepared as they are.

    `ledger`: what a budget that holds a mean has spent.
    """
    method, budget = setting
    allocator = method.allocator(budget, seed, loaded.need, ledger, loaded.experts)
    if allocator is None or not method.shrinks:
        return shown, allocator
    wanted = tokens_wanted(budget, shown, [len(row) for row in pictures])
    smaller = [
        [shrunk(picture, k * len(row) / n) for picture in row]
        for row, k, n in zip(pictures, wanted, shown.visual.sum(1).tolist(), strict=True)
    ]
    return prompt(loaded, smaller, questions), replace(allocator, budget=AtMost(tuple(wanted)))


def tokens_wanted(budget: Budget, prompt: Prompt, shown: Sequence[int]) -> list[int]:
    """Tokens of each picture of each row, whose pictures are `shown` many and were prepared as they are.

    Raises ValueError for a budget that depends on scores: pixels are dropped before there are any.
    """
    if isinstance(budget, str):
        raise ValueError(
            f"downsample needs a ratio or a count, got {budget!r}: pixels go before anything is scored"
        )
    each = [max(1, n // max(1, k)) for n, k in zip(prompt.visual.sum(1).tolist(), shown, strict=True)]
    return [max(1, round(budget * n)) if isinstance(budget, float) else min(budget, n) for n in each]


def shrunk(picture: Image.Image, share: float) -> Image.Image:
    """With so large a share of its pixels, of the same shape as far as whole pixels allow; 1 leaves it be."""
    if share >= 1:
        return picture
    size = [max(1, round(side * sqrt(share))) for side in picture.size]
    return picture.resize((size[0], size[1]), Image.Resampling.BICUBIC)
