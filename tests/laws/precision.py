"""How much attention what is kept gets: a log-precision on every key, in every layer and every step."""

from typing import Any

import torch
from torch import Tensor

from arr_coc.adapters.tiny import Tiny
from arr_coc.parts import parts_of
from tests.laws import CLOSE, law
from tests.laws.memory import cached_against_repeated
from tests.laws.pruning import against_hidden, compacted
from tests.runs import ROWS, Inputs, decoder_of, even, positions, watched
from tests.stubs import Some


def attended(tiny: Tiny, inputs: Inputs) -> Tensor | dict[str, Tensor]:
    """What the untouched model lets every token see: all before it, unless the base model says otherwise."""
    with watched(decoder_of(tiny)) as calls:
        tiny.model(**inputs)
    made = calls[0]["attention_mask"]
    causal = torch.ones(*2 * inputs["input_ids"].shape[1:], dtype=torch.bool).tril()

    def seen(mask: Tensor | None) -> Tensor:
        if mask is None or mask.ndim == 2:
            return causal
        return mask if mask.dtype == torch.bool else mask >= 0

    return {kind: seen(mask) for kind, mask in made.items()} if isinstance(made, dict) else seen(made)


@law(CLOSE)
def precision(tiny: Tiny) -> float:
    """2c. A log-precision is what a float 4-D mask adds to the attention logits, also with a cache."""

    def weighed(tiny: Tiny, inputs: Inputs, allocation: Any) -> Tensor:
        if parts_of(tiny.model).family.recurrent:
            return compacted(tiny, inputs, allocation, allocation.bias)
        seq = inputs["input_ids"].shape[1]
        at = positions(tiny, inputs) or {"position_ids": torch.arange(seq)[None]}
        lowest = torch.finfo(tiny.model.dtype).min

        def weigh(seen: Tensor) -> Tensor:
            seen = seen & allocation.keep[:, None, None]
            return torch.where(seen, allocation.bias[:, None, None], lowest).to(tiny.model.dtype)

        seen = attended(tiny, inputs | at)
        mask = {k: weigh(v) for k, v in seen.items()} if isinstance(seen, dict) else weigh(seen)
        return tiny.model(**inputs | at | {"attention_mask": mask}).logits

    stub = Some(precision=True)
    # One row alone has no padding at all, so that the model itself would make no mask.
    with_cache = [cached_against_repeated(tiny, stub, prompts) for prompts in (ROWS, ROWS[:1], even(tiny))]
    return max(against_hidden(tiny, stub, weighed), *with_cache)
