"""What the hooks do while an allocator is attached: let the language model see only what was kept."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from arr_coc.allocation import Allocation
from arr_coc.cache import CACHE, Prefix, cache_in, mark, prefix_of, width
from arr_coc.cut import Cut
from arr_coc.decide import decided, lengths
from arr_coc.depth import Depth
from arr_coc.layout import lay_out, positions_of
from arr_coc.masks import Masks, padding, ready_made, types_of
from arr_coc.notice import Call, Notice, guessed
from arr_coc.parts import Parts
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
        allocation = decided(self.allocate, context)
        # Words that were answered before are not in the allocator's sight (see Notice), so not its to drop.
        keep = (allocation.keep | ~(context.visual | context.text)) & context.valid
        allocation = replace(allocation, keep=keep)
        kept, real, tails = lengths(keep, context.valid, context.text)
        changes = allocation.bias, allocation.embeds, allocation.positions, allocation.then
        unchanged = all(change is None for change in changes)
        if kept == real and unchanged and not (before and before.deeper):
            self._decided = allocation, None, None
            return self._follow(call, args, kwargs)
        if allocation.embeds is not None:
            merged = allocation.embeds.to(context.embeds.dtype)
            kwargs = kwargs | {
                "inputs_embeds": torch.where(context.visual[..., None], merged, context.embeds)
            }
        if allocation.positions is not None:
            positions = torch.cat(
                [positions[: len(positions) - len(context.positions)], allocation.positions]
            )
        ragged = min(kept) != max(kept)
        cut = Cut.of(keep, max(kept), ragged)
        grown = self._grown(cache_in(kwargs), cut, ragged, attention_mask, allocation)
        prefix = replace(grown, tail=min(tails))
        past = cache_in(kwargs)
        cached = prefix.physical - cut.index.shape[1]
        self.depth.begin(context, allocation, cut, before, cached, past)
        self._decided = allocation, cut, prefix
        new = cut.arguments(kwargs, positions, self.parts.family.visual_rows)
        # Never None: without a mask and a cache, gaps between positions would be read as packed sequences.
        mask = self._masks.over(prefix.mask, prefix, new, types_of(call.inputs, cut, prefix))
        return args, new | {"attention_mask": mask}

    def measure(self, module: nn.Module, args: tuple[Any, ...], kwargs: Arguments) -> None:
        """Before the first layer of the decoder: how long the sequence really is."""
        if self._decided is not None:
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

    def _grown(
        self, past: Any, cut: Cut, ragged: bool, attention_mask: Tensor | None, allocation: Allocation
    ) -> Prefix:
        """What the cache will hold after this prefill."""
        logical = 0 if past is None else int(past.get_seq_length())
        physical = 0 if past is None else int(past.get_query_offset())
        config: Any = self.parts.decoder.config
        if physical and "flash" in config._attn_implementation:
            raise ValueError(
                "flash attention takes the gaps between kept tokens for the ends of packed sequences and "
                "would not look at what is cached: load the model with attn_implementation='sdpa' to show "
                "pictures in a later turn"
            )
        if physical and ragged and self.parts.family.recurrent:
            raise ValueError(
                "rows that keep different numbers of tokens in a later turn are padded in the middle, which "
                f"the recurrent layers of {type(self.parts.decoder).__name__} would not skip: keep the same "
                "number in every row, or give the rows one at a time"
            )
        before = None if attention_mask is None else attention_mask[:, :logical]
        prefix = prefix_of(past) or Prefix(0, cut.real[:, :0], padded=False)
        head = prefix.columns(before, physical)
        head = cut.real.new_ones(len(cut.real), physical) if head is None else head
        bias = None
        if allocation.bias is not None or prefix.bias is not None:
            new = torch.zeros(cut.real.shape, device=cut.real.device)
            if allocation.bias is not None:
                new = cut.rows(allocation.bias).float()
            old = new.new_zeros(len(new), 0) if prefix.bias is None else prefix.bias
            bias = torch.cat([pad(old, (0, physical - old.shape[1])), new], dim=1)
        return Prefix(
            logical=logical + cut.seq,
            mask=torch.cat([head, cut.real], dim=1),
            padded=ragged or prefix.padded or (physical > 0 and before is not None),
            shift=prefix.shift
            if allocation.shift is None
            else allocation.shift + (0 if prefix.shift is None else prefix.shift),
            bias=bias,
        )

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
