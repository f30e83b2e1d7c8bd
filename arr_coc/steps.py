"""Methods that decide between the layers of a decoder: how many tokens go on, and where that is asked again.

Or before the first one, where that is asked again once the decoder has read a few tokens: a glimpse. Their
budget is the **mean over layers** of the visual tokens kept, so that they are compared at equal
token-layers with methods that decide before the first layer. Where it cannot be met (a method may need all
tokens in its first layers) the method comes as near as it can: one token is left then, and
`Allocation.token_layers` says what it came to. What divides unevenly is rounded down.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.types import Pictures, Scorer

HALVINGS = 40
"""Of the interval in which a shape is looked for."""


@dataclass(frozen=True)
class Step:
    """How a prefill goes on."""

    keep: Int[Tensor, " picture"]
    """Tokens of each picture that the next layers see, at least 1; in a glimpse, 0 or more."""
    until: int | None = None
    """The layer before which this is asked again; None: never."""
    by: "Deep | None" = None
    """Who is asked then; None: the same."""
    since: int | None = None
    """Where these tokens are a glimpse: they are read by the layers before `until` and forgotten, and what is
    asked again is what the first layer sees, of all tokens, with the attention paid in layers from this one
    on. None: they are no glimpse."""


@runtime_checkable
class Deep(Scorer, Protocol):
    """A scorer that decides between layers, on `Pictures` whose tokens are hidden states, or after a glimpse.

    Before the first layer `Pictures.attention` is None, unless there was a glimpse.
    """

    words: ClassVar[int | None]
    """See `Stage.words`."""

    def step(self, pictures: Pictures, left: Int[Tensor, " picture"], layer: int, layers: int) -> Step:
        """What layer number `layer` of `layers` is to see, with so many token-layers left to spend."""
        ...


def evenly(pictures: Pictures, left: Int[Tensor, " picture"], layers: int) -> Int[Tensor, " picture"]:
    """The same number in each of the layers that are left."""
    return torch.minimum((left // layers).clamp(min=1), pictures.count)


def falling(
    pictures: Pictures,
    left: Int[Tensor, " picture"],
    spans: Sequence[int],
    floor: Float[Tensor, " picture"] | None = None,
) -> Int[Tensor, " picture"]:
    """What the first of the stages to come keeps, if each keeps the same share of what the one before it kept
    above a floor (0), and all together spend what is left. `spans`: how many layers each stage has."""
    if len(spans) == 1:
        return evenly(pictures, left, spans[0])
    n = pictures.count.float()
    low, high = torch.zeros_like(n), torch.ones_like(n)
    least = torch.zeros_like(n) if floor is None else torch.minimum(floor, left / sum(spans))
    for _ in range(HALVINGS):
        share = (low + high) / 2
        spent = sum(span * (least + share**i * (n - least)) for i, span in enumerate(spans, start=1))
        low, high = torch.where(spent > left, low, share), torch.where(spent > left, share, high)
    kept = (least + low * (n - least)).round().long()
    return torch.minimum(kept.clamp(min=1), pictures.count)


def boundaries(places: Sequence[float], layers: int) -> list[int]:
    """Layers at these shares of the depth: the nearest, each but once, and behind the first one.

    Raises ValueError for a decoder of one layer, between whose layers nothing can be decided.
    """
    if layers < 2:
        many = layers or "an unknown number"
        raise ValueError(
            f"a method that decides between layers needs a decoder of two or more, and this one has {many}: "
            "run it inside attached(...), or choose one that decides before the first layer, such as 'efe'"
        )
    return sorted({min(max(round(place * layers), 1), layers - 1) for place in places})


def first_layers(share: float, layers: int) -> int:
    """How many layers a share of the depth is, one at least. Raises ValueError where the depth is unknown."""
    if layers < 1:
        raise ValueError(
            "a glimpse is read by the first layers of a decoder, and there is none: run it inside "
            "attached(...), or choose a method that decides once, such as 'efe'"
        )
    return min(max(round(share * layers), 1), layers)


def spans_from(layer: int, stages: Sequence[int], layers: int) -> list[int]:
    """Lengths of the stages from this layer on, which is one of them."""
    ends = [*stages, layers]
    return [end - start for start, end in pairwise(ends) if start >= layer]


def after(layer: int, stages: Sequence[int]) -> int | None:
    """The stage that follows a layer."""
    return next((stage for stage in stages if stage > layer), None)


def last_word(pictures: Pictures) -> Float[Tensor, "picture visual"]:
    """What the last word paid to every token in the layer before; 0 at padding."""
    paid = attention(pictures)
    last = (pictures.asked.sum(1) - 1).clamp(min=0)
    return paid.gather(1, last[:, None, None].expand(-1, 1, paid.shape[2]))[:, 0]


def attention(pictures: Pictures) -> Float[Tensor, "picture text visual"]:
    """What every word paid to every token in the layer before. Raises ValueError before the first layer."""
    if pictures.attention is None:
        raise ValueError(
            "this scorer goes by the attention of the language model, and before its first layer there is "
            "none: give the allocator a fixed budget (64, 0.11), and let it decide between layers"
        )
    return pictures.attention
