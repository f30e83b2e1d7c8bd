"""Pictures made smaller before the processor sees them: the control `downsample`."""

from collections.abc import Sequence
from math import sqrt

from PIL import Image

from arr_coc.eval.method import Budget
from arr_coc.eval.prompt import Prompt


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
