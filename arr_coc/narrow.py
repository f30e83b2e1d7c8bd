"""What one layer of a decoder is given, for fewer tokens than the layers before it."""

import inspect
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from arr_coc.cut import Cut

MASK = "attention_mask"


def along(x: Shaped[Tensor, "..."], cut: Cut, axis: int, batch: int = 0) -> Shaped[Tensor, "..."]:
    """The columns of a cut along one axis (negative); a batch axis of 1 stands for every row."""
    shape = list(x.shape)
    shape[batch] = len(cut.index)
    view = [1] * x.ndim
    view[batch], view[axis] = cut.index.shape
    to = list(shape)
    to[axis] = cut.index.shape[1]
    return x.expand(shape).gather(axis, cut.index.to(x.device).view(view).expand(to))


def named(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """All arguments of a call by their names."""
    if not args:
        return dict(kwargs)
    names = tuple(inspect.signature(type(module).forward).parameters)[1:]
    return dict(zip(names, args, strict=False)) | kwargs


def arguments(given: dict[str, Any], cut: Cut) -> dict[str, Any]:
    """Those of a layer, or of its attention, at the kept tokens only; all but the mask."""
    batch, seq = given["hidden_states"].shape[:2]
    new = dict(given)
    for name, value in given.items():
        if name == "position_embeddings":
            # (batch or 1, seq, dim); M-RoPE may have time, height and width before them.
            new[name] = tuple(along(x, cut, -2, x.ndim - 3) for x in value)
        elif name != MASK and isinstance(value, Tensor) and value.shape[:2] in ((batch, seq), (1, seq)):
            new[name] = cut.rows(value.expand(batch, *value.shape[1:]))
    return new


def mask(
    given: Shaped[Tensor, "_ _ queries keys"] | None,
    queries: Cut | None,
    keys: Cut | None,
    dtype: torch.dtype,
    added: bool,
) -> Shaped[Tensor, "batch _ kept_queries kept_keys"] | None:
    """A layer's mask from that of the first one; None for queries or keys: all of them, as they are.

    A mask that was left to the kernel as plainly causal (None) stays so where nothing is padded or weighed.
    Where there was none it is one of True and False, or, if `added`, of type `dtype` and added to logits.
    """
    if given is None:
        if keys is None or (keys.bias is None and not keys.padded):
            return None
        asked = 1 if queries is None else queries.seq
        given = causal(asked, keys.seq, keys.index.device)
        given = to_add(given, dtype) if added else given
    if queries is not None:
        given = along(given, queries, -2)
    if keys is not None:
        given = along(given, keys, -1)
        if keys.bias is not None:
            given = to_add(given, dtype)
            given = (given + keys.bias[:, None, None].to(given)).clamp(min=torch.finfo(given.dtype).min)
        nothing = False if given.dtype == torch.bool else torch.finfo(given.dtype).min
        given = given.masked_fill(~keys.real.to(given.device)[:, None, None], nothing)
    if queries is not None and given.dtype == torch.bool:
        # A query that is padding must see something: what a kernel says of nothing may be NaN.
        given = given | ~queries.real.to(given.device)[:, None, :, None]
    return given


def causal(queries: int, keys: int, device: torch.device) -> Bool[Tensor, "1 1 queries keys"]:
    """The last `queries` of `keys` tokens, each seeing itself and all before it."""
    last = torch.arange(keys - queries, keys, device=device)[:, None]
    return (torch.arange(keys, device=device) <= last)[None, None]


def to_add(
    given: Shaped[Tensor, "batch heads queries keys"], dtype: torch.dtype
) -> Float[Tensor, "batch heads queries keys"]:
    """A mask of True and False as one that is added to logits; one that is that already, as it is."""
    if given.dtype != torch.bool:
        return given
    return torch.zeros(given.shape, dtype=dtype, device=given.device).masked_fill(
        ~given, torch.finfo(dtype).min
    )
