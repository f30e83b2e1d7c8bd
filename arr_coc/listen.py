"""What the words of a prompt attend to in one layer of a decoder, found out on the side."""

from operator import attrgetter
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from arr_coc.cache import CACHE, cache_in
from arr_coc.cut import Cut
from arr_coc.narrow import MASK, arguments, causal, named, to_add
from arr_coc.narrow import mask as narrowed


class Overheard:
    """Stands between an attention module and its cache, if it has one, and remembers keys and values."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self._held: tuple[Tensor, Tensor] | None = None

    def update(self, keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """As the cache's own. After the first call it gives back what it has, whatever it is given."""
        if self._held is None:
            held = (keys, values)
            if self._cache is not None:
                held = self._cache.update(keys, values, *args, **kwargs)
            self._held = held
        return self._held

    @property
    def keys(self) -> int:
        """Columns that the attention saw."""
        assert self._held is not None, "the attention module asked its cache"
        return self._held[0].shape[-2]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)


def attention_in(layer: nn.Module, path: str) -> nn.Module | None:
    """The attention module of a layer; None where it carries a state instead."""
    try:
        attention: nn.Module = attrgetter(path)(layer)
    except AttributeError:
        return None
    return attention


def overhear(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Before an attention module: what it is to be called with instead."""
    given = named(module, args, kwargs)
    others = {k: v for k, v in given.items() if k not in ("cache", "past_key_values")}
    return (), others | {CACHE: Overheard(cache_in(given))}


def question(text: Bool[Tensor, "batch seq"], words: int | None) -> Bool[Tensor, "batch seq"]:
    """So many of the last words of every row; None: all of them."""
    if words is None:
        return text
    return text & (text.flip(1).long().cumsum(1).flip(1) <= words)


@torch.no_grad()
def attention_of(
    module: nn.Module, given: dict[str, Any], words: Bool[Tensor, "batch seq"], longest: int
) -> Float[Tensor, "batch text seq"]:
    """What the words, in order, pay to every token of this call: the mean over heads; 0 where there is none.

    `given` is what `overhear` made, after the module was called with it. The module is asked again for the
    rows of the words alone, over the keys that it had, and for its weights: of O(text x seq), whatever
    computes attention otherwise.
    """
    memory: Overheard = given[CACHE]
    seq = given["hidden_states"].shape[1]
    words = words.to(given["hidden_states"].device)
    index = words.byte().argsort(dim=1, descending=True, stable=True)[:, :longest]
    rows = Cut(index, words.gather(1, index), seq)
    mask = given.get(MASK)
    dtype = given["hidden_states"].dtype
    if mask is None:
        mask = causal(seq, memory.keys, index.device)
    mask = narrowed(to_add(mask, dtype), rows, None, dtype, added=True)
    config: Any = module.config
    how = config._attn_implementation
    config._attn_implementation = "eager"
    try:
        said = module.forward(**arguments(given, rows) | {MASK: mask})
    finally:
        config._attn_implementation = how
    weights = said[1] if isinstance(said, tuple) and len(said) > 1 else None
    if weights is None:
        raise ValueError(
            f"{type(module).__name__} does not say what it attends to, which this method goes by: choose one "
            "that decides before the language model, such as 'efe'"
        )
    paid = weights.float().mean(1)[..., -seq:]
    return torch.where(rows.real[..., None], paid, 0.0)
