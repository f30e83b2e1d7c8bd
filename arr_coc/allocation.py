"""What was decided in one prefill, and what is put off until deeper in the decoder."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import pad

from arr_coc.types import Context


@dataclass(frozen=True)
class Stage:
    """A decision that is put off until the decoder has seen something."""

    layer: int
    """The first layer that may see fewer tokens than those before it."""
    decide: Callable[[Context], "Allocation"]
    """Decides then. It may put off a further decision to a deeper layer in its turn."""
    words: int | None = None
    """So many of the last words are the question then, whose attention is looked at; None: all words."""


@dataclass(frozen=True)
class Glimpse:
    """A decision that is put off until the decoder has read some tokens, of which it then keeps nothing."""

    until: int
    """So many layers read them."""
    decide: Callable[[Context], "Allocation"]
    """Decides of all tokens then, before the first layer, with `Context.attention`. It may want to glimpse
    again."""
    since: int = 0
    """The first layer that is listened to: the attention is the mean over the layers from it to the last."""
    words: int | None = None
    """As `Stage.words`."""


@dataclass(frozen=True)
class Allocation:
    """What was decided in one prefill. `trace[-1]` is one."""

    keep: Bool[Tensor, "batch seq"]
    """True at every token that the language model sees: kept visual tokens and all text."""
    budget: Int[Tensor, "batch pictures"]
    """Visual tokens kept of each picture."""
    visual: Int[Tensor, "batch pictures"]
    """Visual tokens that each picture had."""
    scores: Float[Tensor, "batch seq"]
    """The scorer's values; NaN at text and padding."""
    gains: Float[Tensor, "picture steps"] | None = None
    """Value added by each greedy step (nats for `efe`), pictures in reading order; None for top-k."""
    G: Float[Tensor, "batch pictures"] | None = None
    """Expected free energy of the kept set in nats, lower is better, for scorers that have one."""
    q_pi: Float[Tensor, "batch pictures budgets"] | None = None
    """Posterior over budgets, for budgets that are policies."""
    candidates: Int[Tensor, "batch pictures budgets"] | None = None
    """The budgets that `q_pi` is over."""
    bias: Float[Tensor, "batch seq"] | None = None
    """Log-precision added to the attention logits of kept tokens (0 at text); None: no bias, or, between
    layers, that of the decision before."""
    embeds: Float[Tensor, "batch seq dim"] | None = None
    """Embeddings that replace the originals where tokens were merged; None: unchanged."""
    positions: Shaped[Tensor, "axes batch seq"] | None = None
    """Rotary positions that replace the originals, also at text; None: unchanged."""
    shift: Int[Tensor, " batch"] | None = None
    """How far what follows the prompt moves towards its beginning, with `positions`; None: not at all."""
    then: Stage | None = None
    """What is to be decided deeper in the decoder; None: all its layers see what is kept."""
    glimpse: Glimpse | None = None
    """What is kept is only to be glimpsed at, to decide by what the words attended to; None: it is kept."""
    glimpses: tuple["Allocation", ...] = ()
    """What was glimpsed at before this was decided, in order."""
    layer: int = 0
    """The first layer that sees what is kept."""
    deeper: tuple["Allocation", ...] = ()
    """What was decided between layers of the decoder, in order."""
    seen: int | None = None
    """Length of the sequence that the first decoder layer was given, measured there."""
    layers: int | None = None
    """How many layers the decoder has, counted there; of a glimpse, how many read it."""
    select_ms: float | None = None
    """Milliseconds spent deciding, on the wall clock (with a device synchronisation before and after); of a
    glimpse, also those spent reading."""

    @property
    def by_layer(self) -> Int[Tensor, "batch layers"] | None:
        """Visual tokens that each layer of the decoder saw, in glimpses, too; None before it is called."""
        if self.layers is None:
            return None
        steps = (self, *self.deeper)
        ends = [step.layer for step in steps[1:]] + [self.layers]
        spans = [(step.budget.sum(1), end - step.layer) for step, end in zip(steps, ends, strict=True)]
        seen = torch.stack([kept for kept, span in spans for _ in range(span)], dim=1)
        for glimpse in self.glimpses:
            assert glimpse.by_layer is not None, "it was read"
            seen = seen + pad(glimpse.by_layer, (0, self.layers - glimpse.by_layer.shape[1]))
        return seen

    @property
    def token_layers(self) -> Int[Tensor, " batch"] | None:
        """Visual tokens that a layer of the decoder saw, summed over its layers; None before it is called."""
        return None if self.by_layer is None else self.by_layer.sum(1)

    def check(self, context: Context) -> None:
        """Raise ValueError where a part does not fit the prefill that it was made for."""
        tokens, whole = context.visual.shape, context.embeds.shape
        shapes = {"keep": tokens, "bias": tokens, "shift": tokens[:1]}
        for name, shape in {**shapes, "embeds": whole, "positions": context.positions.shape}.items():
            got = getattr(self, name)
            if got is not None and got.shape != shape:
                raise ValueError(
                    f"Allocation.{name} must have the shape {tuple(shape)} of the prefill, got "
                    f"{tuple(got.shape)}: give one entry for every token, text and padding included"
                )
