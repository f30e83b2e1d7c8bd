"""What is dropped: with nothing dropped nothing changes, and with something only what that explains."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from arr_coc.adapters.tiny import Tiny
from arr_coc.attach import attached
from arr_coc.parts import parts_of
from tests.laws import CLOSE, EXACT, law
from tests.runs import ROWS, Inputs, apart, batches, decoder_of, generated, positions, visual_of, watched
from tests.stubs import Some, blind, keep_all


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


def against_hidden(tiny: Tiny, stub: Callable[..., Any], oracle: Callable[..., Tensor]) -> float:
    worst = 0.0
    for inputs in batches(tiny):
        with attached(tiny.model, stub) as trace:
            pruned = tiny.model(**inputs).logits
        keep = trace[0].keep
        worst = max(worst, apart(pruned[keep], oracle(tiny, inputs, trace[0])[keep]))
    return worst


def explained(tiny: Tiny, inputs: Inputs, allocation: Any) -> Tensor:
    """What the whole model says of the kept tokens when it does not see the others.

    They are hidden by its padding mask. A recurrent layer skips nothing: there, every row goes through the
    decoder alone, without them.
    """
    if parts_of(tiny.model).family.recurrent:
        return compacted(tiny, inputs, allocation)
    logits: Tensor = tiny.model(
        **inputs | positions(tiny, inputs) | {"attention_mask": allocation.keep.long()}
    ).logits
    return logits


def compacted(tiny: Tiny, inputs: Inputs, allocation: Any, bias: Tensor | None = None) -> Tensor:
    """The decoder called by hand, row by row, with the kept tokens only, at their original positions."""
    decoder = decoder_of(tiny)
    with watched(decoder) as calls:
        whole = tiny.model(**inputs | positions(tiny, inputs)).logits
    given, seq = calls[0], whole.shape[1]
    at = given.get("position_ids")
    at = torch.arange(seq)[None, None] if at is None else at.reshape(-1, *at.shape[-2:])
    for row, keep in enumerate(allocation.keep):
        n = int(keep.sum())
        own = at.expand(-1, len(whole), -1)[:, row : row + 1, keep]
        call = {
            "inputs_embeds": given["inputs_embeds"][row : row + 1, keep],
            "position_ids": own if len(at) > 1 else own[0],
            "attention_mask": torch.ones(1, n, dtype=torch.long),  # else gaps are ends of sequences
        }
        if bias is not None:
            seen = torch.ones(n, n, dtype=torch.bool).tril()[None, None]
            mask = torch.where(seen, bias[row, keep], torch.finfo(whole.dtype).min).to(whole.dtype)
            call["attention_mask"] = dict.fromkeys(decoder.config.layer_types) | {"full_attention": mask}
        hidden = decoder(**call, use_cache=False).last_hidden_state
        whole[row, keep] = tiny.model.get_output_embeddings()(hidden)[0]
    return whole


@law(CLOSE)
def oracle(tiny: Tiny) -> float:
    """2. Pruned logits are those of the full model with the dropped tokens hidden by its padding mask."""
    return max(against_hidden(tiny, stub, explained) for stub in (Some(), blind))


@law(CLOSE)
def merged(tiny: Tiny) -> float:
    """2b. Replaced embeddings reach the decoder where their tokens stand."""

    def replaced(tiny: Tiny, inputs: Inputs, allocation: Any) -> Tensor:
        visual = visual_of(tiny, inputs)[..., None]

        def swap(_: Any, args: Any, kwargs: Any) -> Any:
            if kwargs["inputs_embeds"].shape != allocation.embeds.shape:
                return None  # called by hand, with what is kept of it
            return args, kwargs | {
                "inputs_embeds": torch.where(visual, allocation.embeds, kwargs["inputs_embeds"])
            }

        hook = decoder_of(tiny).register_forward_pre_hook(swap, with_kwargs=True)
        try:
            return explained(tiny, inputs, allocation)
        finally:
            hook.remove()

    return against_hidden(tiny, Some(merged=True), replaced)


def felt(tiny: Tiny) -> float:
    """How much pruning changes the last logits: were it nothing, the laws would say nothing."""
    inputs = tiny.inputs(ROWS[:1])
    with attached(tiny.model, Some()):
        pruned = tiny.model(**inputs).logits[:, -1]
    return apart(pruned, tiny.model(**inputs).logits[:, -1])
