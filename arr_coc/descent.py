"""One prefill on its way through the layers of a decoder: what is left of it, and where it stands."""

from dataclasses import dataclass, replace

from jaxtyping import Bool, Float
from torch import Tensor

from arr_coc.allocation import Allocation, Stage
from arr_coc.cut import Cut
from arr_coc.listen import question
from arr_coc.types import Context


@dataclass
class Descent:
    """Changed from layer to layer."""

    context: Context
    """As the allocator saw it before the first layer, with the bias that the first layer's mask has."""
    keep: Bool[Tensor, "batch seq"]
    """What the layer that comes next sees."""
    outer: Cut
    """What was dropped before the first layer: what the decoder hands from layer to layer."""
    then: Stage | None
    """What is decided next."""
    before: tuple[Cut | None, ...]
    """Columns of the first layer's cache that each layer held before this prefill; None: all `cached`."""
    cached: int
    bias: Float[Tensor, "batch seq"] | None
    """Nats that attention to every token has gained by what was decided so far; None: 0."""
    inner: Cut | None = None
    """What was dropped since, between layers."""
    tail: int | None = None
    """Tokens at the end of every row that all layers hold; None: as in the first layer."""
    attention: Float[Tensor, "batch text seq"] | None = None
    """What the words paid in the layer before, where that is asked for."""
    heard_ms: float = 0.0
    deeper: tuple[Allocation, ...] = ()
    held: tuple[Cut | None, ...] = ()
    """Columns of the first layer's cache that each layer holds with this prefill."""

    def columns(self, layer: int) -> Cut | None:
        """`held` of a layer that is called now."""
        old, new = self.before[layer] if self.before else None, self.inner
        if old is None and new is None:
            return None
        batch, n = self.outer.index.shape
        device = self.outer.index.device
        cached = Cut.whole(batch, self.cached, device) if old is None else old.extended(self.cached)
        return cached.beside(Cut.whole(batch, n, device) if new is None else new)

    def words(self, stage: Stage) -> Bool[Tensor, "batch seq"]:
        """The question, as a stage wants it."""
        return question(self.context.text, stage.words)

    def here(self, whole: Bool[Tensor, "batch seq"]) -> Bool[Tensor, "batch n"]:
        """In the columns that the layer sees which is called now."""
        here = self.outer.rows(whole) & self.outer.real
        return here if self.inner is None else self.inner.rows(here) & self.inner.real

    def weigh(self, bias: Float[Tensor, "batch seq"]) -> None:
        """From here on attention gains these nats, instead of those before."""
        first = self.context.bias
        extra = bias if first is None else bias - first
        batch, n = self.outer.index.shape
        inner = self.inner or Cut.whole(batch, n, self.outer.index.device)
        self.inner = replace(inner, bias=inner.rows(self.outer.rows(extra)).float())
        self.bias = bias

    def back(self, here: Float[Tensor, "batch n dim"]) -> Float[Tensor, "batch seq dim"]:
        """From those columns to their places in the sequence."""
        return self.outer.back(here if self.inner is None else self.inner.back(here))
