"""A key-value cache with two lengths: the tokens that its caller counts, and the columns that it holds.

`generate` and the position code of transformers ask `get_seq_length`: they count every token of the prompt
(logical length). Mask code asks `get_query_offset` and `get_mask_sizes`: there only what was kept exists
(physical length).
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers.masking_utils import create_masks_for_generate

from arr_coc.cut import Cut

CACHE = "cache" if "cache" in inspect.signature(create_masks_for_generate).parameters else "past_key_values"
"""What the installed transformers calls a key-value cache, in and out of a model: `cache` from 5.24 on."""


@dataclass(frozen=True)
class Prefix:
    """The cached beginning of a conversation, after its last pruned prefill."""

    logical: int
    """Tokens that the caller believes to be in the cache."""
    mask: Bool[Tensor, "batch physical"]
    """The columns really there; False at those that only pad a row which kept fewer tokens."""
    padded: bool
    """Whether `mask` may have a False: known without looking at the device."""
    tail: int = 0
    """Tokens at the end of every row that are all in the cache: the only ones that can be taken back."""
    shift: Int[Tensor, " batch"] | None = None
    """How far what follows moves towards the beginning, in rotary positions; None: not at all."""
    bias: Float[Tensor, "batch physical"] | None = None
    """Log-precision of every column, added to its attention logits in nats; None: no bias."""
    deeper: tuple[Cut | None, ...] = ()
    """Which of these columns each layer holds, where tokens were dropped between layers; None: all. Empty:
    every layer holds all. What came later is held by every layer."""

    @property
    def physical(self) -> int:
        """Columns really in the cache."""
        return self.mask.shape[1]

    def columns(
        self, attention_mask: Bool[Tensor, "batch logical"] | None, width: int
    ) -> Bool[Tensor, "batch columns"] | None:
        """Which of `width` columns, the prefix and later ones, may be attended to; None: all of them.

        `attention_mask` is the caller's, over logical tokens.
        """
        if attention_mask is None:
            if not self.padded:
                return None
            return torch.cat([self.mask, self.mask.new_ones(len(self.mask), width - self.physical)], dim=1)
        later = attention_mask[:, self.logical :].to(self.mask.device)
        if width > self.physical and later.shape[1] == 0:
            raise ValueError(
                f"attention_mask has {attention_mask.shape[1]} columns but {self.logical} tokens are cached "
                "already: give a mask over the whole conversation, as without arr-coc, or none"
            )
        return torch.cat([self.mask, later], dim=1)

    def shorter(self, tokens: int) -> "Prefix":
        """Without its last tokens. Raises ValueError where some of them were never cached."""
        if tokens > self.tail:
            raise ValueError(
                f"cannot crop {tokens} tokens of a pruned prompt, after whose last visual token there are "
                f"{self.tail}: crop fewer, or go back to a copy.deepcopy from before the prompt"
            )
        end = self.physical - tokens
        return replace(
            self,
            logical=self.logical - tokens,
            mask=self.mask[:, :end],
            tail=self.tail - tokens,
            bias=None if self.bias is None else self.bias[:, :end],
            deeper=tuple(cut and cut.shorter(tokens) for cut in self.deeper),
        )

    def select(self, rows: Int[Tensor, " chosen"]) -> "Prefix":
        """The same rows that the cache selects or reorders."""
        rows = rows.to(self.mask.device)
        bias = None if self.bias is None else self.bias[rows]
        shift = None if self.shift is None else self.shift[rows]
        deeper = tuple(cut and cut.select(rows) for cut in self.deeper)
        return replace(self, mask=self.mask[rows], bias=bias, shift=shift, deeper=deeper)

    def moved(self, positions: Int[Tensor, "axes batch queries"]) -> Int[Tensor, "axes batch queries"]:
        """Positions, counted over logical tokens, of what follows."""
        if self.shift is None:
            return positions
        moved = positions - self.shift[:, None]
        # Of four axes the first is no rotary one: it counts tokens.
        return torch.cat([positions[:1], moved[1:]]) if len(positions) == 4 else moved


class _TwoLengths:
    """Mixed into the class of a live cache by `mark`."""

    prefix: Prefix

    def get_seq_length(self, layer_idx: int = 0) -> Any:
        """The logical length."""
        return self.get_query_offset(layer_idx) + (self.prefix.logical - self.prefix.physical)

    def get_query_offset(self, layer_idx: int = 0) -> Any:
        """The physical length."""
        return super().get_seq_length(layer_idx)  # type: ignore[misc]

    def reorder_cache(self, beam_idx: Tensor) -> None:
        super().reorder_cache(beam_idx)  # type: ignore[misc]
        self.prefix = self.prefix.select(beam_idx)

    def batch_select_indices(self, indices: Tensor) -> None:
        super().batch_select_indices(indices)  # type: ignore[misc]
        self.prefix = self.prefix.select(torch.as_tensor(indices))

    def batch_repeat_interleave(self, repeats: int) -> None:
        super().batch_repeat_interleave(repeats)  # type: ignore[misc]
        self.prefix = self.prefix.select(torch.arange(len(self.prefix.mask)).repeat_interleave(repeats))

    def crop(self, tokens_to_remove: int | Tensor) -> None:
        into = abs(tokens_to_remove) - (self.get_query_offset() - self.prefix.physical)
        if into > 0:
            self.prefix = self.prefix.shorter(int(into))
        super().crop(tokens_to_remove)  # type: ignore[misc]

    def reset(self) -> None:
        super().reset()  # type: ignore[misc]
        del self.prefix
        self.__class__ = type(self).__bases__[1]


_PRUNED: dict[type[Any], type[Any]] = {}  # one class for each: compiled code looks at the class


def cache_in(named: Mapping[str, Any]) -> Any:
    """The cache among the arguments or outputs of a model, under its old or its new name; None without."""
    return next((named[name] for name in ("cache", "past_key_values") if named.get(name) is not None), None)


def mark(past: Any, prefix: Prefix) -> None:
    """Tell a live cache what it holds. Its class is swapped, so that whoever has it goes on using it."""
    if not isinstance(past, _TwoLengths):
        plain = type(past)
        if plain not in _PRUNED:
            _PRUNED[plain] = type(f"Pruned{plain.__name__}", (_TwoLengths, plain), {})
        past.__class__ = _PRUNED[plain]
    past.prefix = prefix


def prefix_of(past: Any) -> Prefix | None:
    """What `mark` said, or None for a cache from which nothing was left out."""
    return past.prefix if isinstance(past, _TwoLengths) else None


def width(past: Any, queries: int) -> int:
    """Columns after so many more tokens; all that there is room for in a static cache."""
    # The first layer may hold a sliding window only, and the whole sequence is longer.
    return max(past.get_mask_sizes(queries, 0)[0], int(past.get_query_offset()) + queries)
