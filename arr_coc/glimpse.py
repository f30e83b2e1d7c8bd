"""Let a decoder read some tokens and forget them: what the words of the prompt pay attention to."""

from contextlib import ExitStack, suppress
from operator import attrgetter
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from arr_coc.allocation import Glimpse
from arr_coc.attention import TAKES_A_FLOAT_MASK
from arr_coc.cut import Cut
from arr_coc.listen import attention_in, attention_of, overhear, question
from arr_coc.parts import Parts

INSTEAD = "choose a method that decides without a glimpse, such as 'efe'"


class _EnoughError(Exception):
    """Raised and caught here: the layers that come are not asked."""


@torch.no_grad()
def read(
    parts: Parts,
    glimpse: Glimpse,
    cut: Cut,
    text: Bool[Tensor, "batch seq"],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Float[Tensor, "batch text seq"]:
    """What the words, in order, paid to every token: the mean over heads and layers; 0 to what was not read.

    `args` and `kwargs` are what the decoder is to be given: the tokens of `cut`. Its forward is called, so
    that hooks on it, ours or the user's, do not take that for a prefill; layers that are not listened to, nor
    lie below one that is, are not run. Raises ValueError for a decoder that cannot be listened to.
    """
    layers = attrgetter(parts.family.layers)(parts.decoder)
    config: Any = parts.decoder.config
    name, how = type(parts.decoder).__name__, config._attn_implementation
    if not 0 <= glimpse.since < glimpse.until <= len(layers):
        raise ValueError(
            f"a glimpse of this {name} is read by 1 to {len(layers)} layers and listened to in some of them, "
            f"got layers {glimpse.since} to {glimpse.until}: choose since < until <= {len(layers)}"
        )
    if how not in TAKES_A_FLOAT_MASK:
        raise ValueError(
            f"what words attend to is found out with a mask that is added to logits, and this {name} runs "
            f"{how!r}: load it with attn_implementation='sdpa' or 'eager', or {INSTEAD}"
        )
    words = question(text, glimpse.words)
    here = cut.rows(words) & cut.real
    # A host sync: how many words the longest question has.
    longest = int(words.sum(1).max())
    heard: list[Tensor] = []

    def listened(module: nn.Module, args: Any, given: dict[str, Any], output: Any) -> None:
        heard.append(attention_of(module, given, here, longest).to(text.device))

    with ExitStack() as stack:
        for attention in _listened_to(layers, glimpse, parts.family.attention):
            stack.callback(attention.register_forward_pre_hook(overhear, with_kwargs=True).remove)
            stack.callback(attention.register_forward_hook(listened, with_kwargs=True).remove)
        if glimpse.until < len(layers):
            stack.callback(layers[glimpse.until].register_forward_pre_hook(_enough, prepend=True).remove)
        with suppress(_EnoughError):
            parts.decoder.forward(*args, **kwargs)
    if not heard:
        raise ValueError(
            f"none of the first {glimpse.until} layers of this {name} has attention where its family says "
            f"({parts.family.attention!r}): read more of them, correct the Family's path, or {INSTEAD}"
        )
    paid = torch.stack(heard).mean(0)
    return cut.back(paid.transpose(1, 2)).transpose(1, 2)


def _listened_to(layers: nn.ModuleList, glimpse: Glimpse, path: str) -> list[nn.Module]:
    """The attention of these layers; where each of them carries a state instead, of the last one before."""
    found = {n: attention_in(layer, path) for n, layer in enumerate(layers[: glimpse.until])}
    there = {n: attention for n, attention in found.items() if attention is not None}
    last = max(there, default=0)
    return [attention for n, attention in there.items() if n >= min(glimpse.since, last)]


def _enough(module: nn.Module, args: Any) -> None:
    raise _EnoughError
