"""What the answer looks at: the attention that the last word of a prompt pays in every layer of a decoder."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn

from arr_coc.listen import attention_in, attention_of, overhear, question
from arr_coc.parts import Parts


@contextmanager
def gazed(parts: Parts, text: Bool[Tensor, "batch seq"]) -> Iterator[list[Float[Tensor, "batch seq"]]]:
    """Let the calls of the block say what the last word of every row attends to, the mean over heads.

    `text`: True at the words of the prompt that the decoder is called with, whole. Yields a list to which
    every layer with attention adds its share, in order; a row sums to at most 1. Raises ValueError where no
    layer has attention.
    """
    last = question(text, 1)
    said: list[Float[Tensor, "batch seq"]] = []

    def hear(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        said.append(attention_of(module, kwargs, last, 1)[:, 0])

    with ExitStack() as stack:
        for attention in _attentions(parts):
            before = attention.register_forward_pre_hook(overhear, with_kwargs=True)
            stack.callback(before.remove)
            stack.callback(attention.register_forward_hook(hear, with_kwargs=True).remove)
        yield said


def _attentions(parts: Parts) -> list[nn.Module]:
    """Of the layers that have one: some carry a state instead."""
    path = parts.family.attention
    asked = [attention_in(layer, path) for layer in attrgetter(parts.family.layers)(parts.decoder)]
    found = [attention for attention in asked if attention is not None]
    if not found:
        raise ValueError(
            f"the family looks for {path!r} in the layers of a {type(parts.decoder).__name__}, and none has "
            "it: correct the Family's path"
        )
    return found
