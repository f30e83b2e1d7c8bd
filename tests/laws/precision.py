"""How much attention what is kept gets: a log-precision on every key, in every layer and every step."""

from typing import Any

import torch
from torch import Tensor

from arr_coc.adapters.tiny import Tiny
from tests.laws import CLOSE, law
from tests.laws.memory import cached_against_repeated
from tests.laws.pruning import against_hidden
from tests.runs import ROWS, Inputs, even, positions
from tests.stubs import Some


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

    stub = Some(precision=True)
    # One row alone has no padding at all, so that the model itself would make no mask.
    with_cache = [cached_against_repeated(tiny, stub, prompts) for prompts in (ROWS, ROWS[:1], even(tiny))]
    return max(against_hidden(tiny, stub, weighed), *with_cache)
