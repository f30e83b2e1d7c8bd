"""Let a model answer a batch of questions with the visual tokens that a method leaves it."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import perf_counter

import torch
from jaxtyping import Bool
from torch import Tensor

from arr_coc.allocate import Allocator
from arr_coc.allocation import Allocation
from arr_coc.attach import attached
from arr_coc.eval.flops import DecoderShape
from arr_coc.eval.models import Loaded
from arr_coc.eval.prompt import Prompt
from arr_coc.eval.surprise import Surprise
from arr_coc.eval.timing import timed_prefill
from arr_coc.rated import Rated
from arr_coc.tower import GIVEN


@dataclass(frozen=True)
class Answers:
    """What came out for a batch, and what it took."""

    texts: list[str]
    keep: list[Bool[Tensor, " _"]]
    """For each row: which of its visual tokens the language model saw, down to its last layer."""
    words: list[int]
    """Tokens of each row that are neither visual nor padding; once a look."""
    by_layer: list[list[int]]
    """For each row: visual tokens that each layer of the language model saw, of all looks together."""
    seconds: float
    """Wall clock of generate() for the whole batch, and of rating its pictures."""
    prefill_ms: float
    """Of the language model for the whole batch, selection included."""
    select_ms: float
    """The part of it spent deciding, what a CLIP beside the model took included."""
    kv_bytes: int
    """Keys and values after the prefill, of the whole batch."""
    allocation: Allocation | None
    """What was decided, and why; None if nothing was attached."""
    surprise: list[float] | None = None
    """For each row: -ln P of the answer, in nats; None where it was not asked for."""


def answer(
    loaded: Loaded, prompt: Prompt, allocator: Allocator | None, max_new_tokens: int, watch: bool = False
) -> Answers:
    """Greedy answers. Without an allocator the model is untouched. `watch`: and how surprising they are."""
    model = loaded.model
    ratings = prompt.ratings if allocator is not None and set(allocator.needs) & set(GIVEN) else None
    hooked: AbstractContextManager[list[Allocation]] = nullcontext([])
    if allocator is not None:
        hooked = attached(model, allocator if ratings is None else Rated(allocator, ratings.maps))
    rated_ms = 0.0 if ratings is None else ratings.ms
    watcher = Surprise() if watch else None
    watching = {} if watcher is None else {"logits_processor": [watcher]}
    with hooked as trace, timed_prefill(model) as prefill, torch.no_grad():
        started = perf_counter()
        ids = model.generate(
            **prompt.for_generate(), do_sample=False, max_new_tokens=max_new_tokens, **watching
        )
        new = ids[:, prompt.visual.shape[1] :].cpu()  # waits for the device
        seconds = perf_counter() - started
    allocation = trace[0] if trace else None
    looks = (None,) if allocation is None else (*allocation.glimpses, allocation)
    decisions = () if allocation is None else (*looks, *allocation.deeper)
    keep = decisions[-1].keep if decisions else prompt.valid
    seen = [row[here].cpu() for row, here in zip(keep, prompt.visual, strict=True)]
    by_layer = None if allocation is None else allocation.by_layer
    if by_layer is None:
        layers = DecoderShape.of(model.config).layers
        by_layer = prompt.visual.sum(1, keepdim=True).expand(-1, layers)
    return Answers(
        texts=[text.strip() for text in loaded.processor.batch_decode(new, skip_special_tokens=True)],
        keep=seen,
        words=(len(looks) * (prompt.valid & ~prompt.visual).sum(1)).tolist(),
        by_layer=by_layer.tolist(),
        seconds=seconds + rated_ms / 1000,
        prefill_ms=prefill.ms + rated_ms,
        select_ms=sum((decision.select_ms or 0.0 for decision in decisions), rated_ms),
        kv_bytes=prefill.kv_bytes,
        allocation=allocation,
        surprise=None if watcher is None else watcher.of(new, model.generation_config.eos_token_id),
    )
