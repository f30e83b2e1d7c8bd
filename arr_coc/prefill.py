"""What the hooks do while an allocator is attached: let the language model see only what was kept."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from arr_coc.allocation import Allocation, Glimpse
from arr_coc.cache import CACHE, Prefix, cache_in, mark, prefix_of, width
from arr_coc.cut import Cut
from arr_coc.decide import decided, lengths, wait
from arr_coc.depth import Depth
from arr_coc.glimpse import read
from arr_coc.layout import lay_out, positions_of
from arr_coc.masks import Masks, padding, ready_made
from arr_coc.notice import Call, Notice, guessed
from arr_coc.parts import Parts
from arr_coc.shorten import Given, shortened
from arr_coc.taps import Tapping
from arr_coc.trial import TRUSTED, Trial
from arr_coc.types import Context

Allocate = Callable[[Context], Allocation]
"""Decides what to keep of one prefill. `arr_coc.allocate.Allocator` is one; any function will do."""
Arguments = dict[str, Any]


class Prefill:
    """The hooks, and what they have to remember between the base model and the end of its decoder."""

    def __init__(
        self, parts: Parts, allocate: Allocate, build_masks: Callable[..., Any], taps: Tapping | None
    ) -> None:
        self.parts = parts
        self.taps = taps
        self.allocate = allocate
        self._masks = Masks(parts.model.config, build_masks)
        self.trace: list[Allocation] = []
        self.depth = Depth(parts)
        self._notice = Notice(parts.base, parts.model.config, parts.family)
        self._call: Call | None = None
        self._decided: tuple[Allocation, Cut | None, Prefix | None] | None = None
        self._seen = 0
        self._guessed = 0
        trusted = parts.declared or parts.base in TRUSTED
        self._trial = None if trusted else Trial(parts, self._masks)

    def guess(self, module: nn.Module, args: tuple[Any, ...], kwargs: Arguments) -> None:
        """Before the whole model."""
        self._guessed = guessed(kwargs)

    def note(self, module: nn.Module, args: tuple[Any, ...], kwargs: Arguments) -> None:
        """Before the base model."""
        if self._trial is not None and self._trial.running:
            return
        call = self._notice(args, kwargs, self._guessed)
        if self._trial is not None and call.visual is not None:
            self._trial(call.inputs)
            self._trial = None
        self._call = call
        if self.taps is not None:
            self.taps.begin()

    def shorten(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Arguments
    ) -> tuple[tuple[Any, ...], Arguments] | None:
        """Before the decoder: decide, drop, and give it masks over the columns that exist."""
        call, self._call, self._decided = self._call or Call(kwargs), None, None
        self.depth.forget()
        if call.visual is None:
            return self._follow(call, args, kwargs)
        attention_mask = padding(call.inputs.get("attention_mask"))
        before = prefix_of(cache_in(kwargs))
        positions = positions_of(kwargs) if before is None else before.moved(positions_of(kwargs))
        context = self._context(call, call.visual, kwargs["inputs_embeds"], attention_mask, positions)
        given = Given(call.inputs, args, kwargs, context, positions, attention_mask)
        allocation = self._glimpsed(given, decided(self.allocate, context))
        allocation = replace(allocation, keep=_there(allocation, context))
        kept, real, tails = lengths(allocation.keep, context.valid, context.text)
        changes = allocation.bias, allocation.embeds, allocation.positions, allocation.then
        unchanged = all(change is None for change in changes)
        if kept == real and unchanged and not (before and before.deeper):
            self._decided = allocation, None, None
            return self._follow(call, args, kwargs)
        new = shortened(given, allocation, max(kept), min(kept) != max(kept), self.parts, self._masks)
        self.depth.begin(context, allocation, new.cut, before, new.cached, cache_in(kwargs))
        self._decided = allocation, new.cut, replace(new.prefix, tail=min(tails))
        return args, new.kwargs

    def measure(self, module: nn.Module, args: tuple[Any, ...], kwargs: Arguments) -> None:
        """Before the first layer of the decoder: how long the sequence really is."""
        # The last axis but one: AltUp (Gemma 3n) stacks several hidden states in front of the batch.
        self._seen = (args[0] if args else kwargs["hidden_states"]).shape[-2]

    def finish(self, module: nn.Module, args: tuple[Any, ...], kwargs: Arguments, output: Any) -> Any:
        """After the decoder: keep the record, mark the cache, put the hidden states back in their places."""
        if self._decided is None:
            return None
        (allocation, cut, prefix), self._decided = self._decided, None
        if prefix is not None:
            prefix, deeper = self.depth.finish(prefix)
            allocation = replace(allocation, then=None, deeper=deeper)
        self.trace.append(replace(allocation, seen=self._seen, layers=self.parts.n_layers))
        if cut is None:
            return None
        past = cache_in(output)
        if prefix is not None and past is not None:
            mark(past, prefix)
        output.last_hidden_state = cut.back(output.last_hidden_state)
        return output

    def masks(
        self,
        config: Any,
        inputs_embeds: Tensor,
        attention_mask: Tensor | None,
        is_first_iteration: bool = False,
        **others: Any,
    ) -> Any:
        """Stands in for `create_masks_for_generate`, which `generate` calls itself if the cache is static."""
        if is_first_iteration:
            return attention_mask  # `shorten` comes first; the decoder then makes its mask over what is left
        past = cache_in(others)
        prefix = prefix_of(past)
        if prefix is not None and prefix.bias is None and self._masks.left_to_the_kernel:
            return attention_mask  # the kernel takes a padding mask, which `_follow` makes
        if prefix is not None:
            attention_mask = prefix.columns(padding(attention_mask), width(past, inputs_embeds.shape[1]))
            if prefix.bias is not None:
                call = {"inputs_embeds": inputs_embeds, CACHE: past}
                return self._masks.over(attention_mask, prefix, call)
        return self._masks.build(
            config=config,
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            is_first_iteration=is_first_iteration,
            **others,
        )

    def _context(
        self,
        call: Call,
        seen: Bool[Tensor, "batch seq"],
        embeds: Tensor,
        attention_mask: Tensor | None,
        positions: Int[Tensor, "axes batch seq"],
    ) -> Context:
        device, seq = embeds.device, embeds.shape[1]
        visual = seen.to(device)
        valid = torch.ones_like(visual) if attention_mask is None else attention_mask[:, -seq:].to(device)
        text = valid & ~visual
        if call.asked is not None:
            text = text & (torch.arange(seq, device=device) < call.asked)
        rotary = positions[1:] if len(positions) == 4 else positions  # text, time, height, width
        family, config = self.parts.family, self.parts.model.config
        picture, grid = lay_out(visual, rotary, family.grids(config, call.inputs))
        taps = None if self.taps is None else self.taps.of(family, config, call.inputs, visual)
        layers = self.parts.n_layers
        return Context(
            embeds, visual, text, valid, rotary, picture, grid, family.fractional, taps, layers=layers
        )

    def _glimpsed(self, given: Given, allocation: Allocation) -> Allocation:
        """What is decided once all that is to be glimpsed at has been read."""
        glimpses: tuple[Allocation, ...] = ()
        while (glimpse := allocation.glimpse) is not None:
            start, context = perf_counter(), given.context
            allocation = replace(allocation, keep=_there(allocation, context), glimpse=None, then=None)
            paid = self._read(given, allocation, glimpse)
            wait(context.embeds.device)
            took = (allocation.select_ms or 0.0) + 1000 * (perf_counter() - start)
            glimpses += (replace(allocation, seen=self._seen, layers=glimpse.until, select_ms=took),)
            allocation = decided(glimpse.decide, replace(context, attention=paid))
        return replace(allocation, glimpses=glimpses)

    def _read(
        self, given: Given, allocation: Allocation, glimpse: Glimpse
    ) -> Float[Tensor, "batch text seq"]:
        """What the words pay to what is kept, which no cache remembers."""
        context, past = given.context, cache_in(given.kwargs)
        kwargs = {
            name: value for name, value in given.kwargs.items() if name not in ("cache", "past_key_values")
        }
        # Of a conversation that goes on it sees all that was said.
        goes_on = past is not None and int(past.get_query_offset()) > 0
        memory = deepcopy(past) if goes_on else None
        kwargs |= {"use_cache": goes_on} | ({CACHE: memory} if goes_on else {})
        kept, _, _ = lengths(allocation.keep, context.valid, context.text)
        given = replace(given, kwargs=kwargs)
        new = shortened(given, allocation, max(kept), min(kept) != max(kept), self.parts, self._masks)
        self.depth.begin(context, allocation, new.cut, prefix_of(past), new.cached, memory)
        try:
            return read(self.parts, glimpse, new.cut, context.text, given.args, new.kwargs)
        finally:
            self.depth.forget()

    def _follow(
        self, call: Call, args: tuple[Any, ...], kwargs: Arguments
    ) -> tuple[tuple[Any, ...], Arguments] | None:
        """A call that drops nothing: decoding, another question. Only its mask may have to change."""
        past, attention_mask = cache_in(kwargs), call.inputs.get("attention_mask")
        prefix = prefix_of(past)
        if past is None or prefix is None:
            return None
        if prefix.deeper:
            self.depth.register()
        follows = None
        if prefix.shift is not None:
            moved = prefix.moved(positions_of(kwargs))
            kwargs = kwargs | {"position_ids": moved if len(moved) > 1 else moved[0]}
            follows = args, kwargs
        if attention_mask is None and not prefix.padded and prefix.bias is None:
            return follows
        if ready_made(attention_mask):
            return follows  # made by `masks`
        columns = prefix.columns(padding(attention_mask), width(past, kwargs["inputs_embeds"].shape[1]))
        return args, kwargs | {"attention_mask": self._masks.over(columns, prefix, kwargs)}


def _there(allocation: Allocation, context: Context) -> Bool[Tensor, "batch seq"]:
    """What is kept. Words that were answered before are not in the allocator's sight (see Notice), so not its
    to drop."""
    return (allocation.keep | ~(context.visual | context.text)) & context.valid
