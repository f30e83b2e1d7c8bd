"""What flows through one prefill: Context, Pictures, Scores, Selection; and who makes them."""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from arr_coc.tower import Taps


@dataclass(frozen=True)
class Context:
    """One prefill as the language model is about to see it, before anything is dropped."""

    embeds: Float[Tensor, "batch seq dim"]
    """Merged embeddings: projected picture tokens in their places among words, in the model's dtype."""
    visual: Bool[Tensor, "batch seq"]
    """True at visual tokens."""
    text: Bool[Tensor, "batch seq"]
    """True at tokens that are neither visual nor padding: template, question."""
    valid: Bool[Tensor, "batch seq"]
    """False at padding."""
    positions: Int[Tensor, "axes batch seq"]
    """Rotary positions: one axis, or time, height, width (M-RoPE)."""
    picture: Int[Tensor, "batch seq"]
    """Which picture of its row a visual token belongs to, from 0 in reading order; -1 elsewhere."""
    grid: Int[Tensor, "batch pictures 3"]
    """Tokens along time, height, width of each picture; 0 where unknown or where a row has fewer pictures."""
    fractional: bool = True
    """Whether the model's rotary positions may lie between whole numbers."""
    taps: Taps | None = None
    """What the scorer needs of the vision tower, by column of the sequence."""
    layer: int = 0
    """The layer of the decoder that comes next. From 1 on `embeds` are its hidden states, and what was
    dropped before it is neither visual nor valid."""
    layers: int = 0
    """How many layers the decoder has; 0: unknown."""
    attention: Float[Tensor, "batch text seq"] | None = None
    """What the words of a row, in order, paid to every token in the layer before: the mean over heads. Before
    the first layer, what they paid in a glimpse, the mean over its layers; None where there was none."""
    bias: Float[Tensor, "batch seq"] | None = None
    """Nats that attention to every token has gained by what was decided before this layer; None: 0."""

    def __post_init__(self) -> None:
        if not torch.isfinite(self.embeds[self.visual]).all():
            raise ValueError(
                "the visual tokens contain NaN or infinity: check the picture and its preprocessing "
                "(a float16 vision tower that overflows is another cause: load it in bfloat16 or float32)"
            )

    def pictures(self) -> "Pictures":
        """The visual tokens with one row a picture: the dense view on which scorers and selectors work."""
        batch = len(self.visual)
        n_pictures = self.grid.shape[1]
        slot = torch.where(self.visual, self.picture, n_pictures)  # text goes to a spare slot
        counts = torch.zeros(batch, n_pictures + 1, dtype=torch.long, device=slot.device)
        counts.scatter_add_(1, slot, torch.ones_like(slot))
        counts = counts[:, :n_pictures].reshape(-1)
        # The one host sync of building the view: how many pictures there are and how long the longest is.
        row_of = counts.nonzero()[:, 0]
        width = int(counts.max()) if counts.numel() else 0
        row, nth = row_of // n_pictures, row_of % n_pictures
        member = self.visual[row] & (self.picture[row] == nth[:, None])  # (picture, seq)
        # A stable descending sort brings a picture's own tokens to the front in their order.
        index = member.byte().argsort(dim=1, descending=True, stable=True)[:, :width]
        valid = member.gather(1, index)
        tokens = self.embeds[row[:, None], index].float().where(valid[..., None], 0.0)  # padding may hold NaN
        asked = self.text[row]
        n_text = int(asked.sum(1).max()) if len(row) else 0
        words = asked.byte().argsort(dim=1, descending=True, stable=True)[:, :n_text]
        return Pictures(
            tokens=tokens,
            valid=valid,
            query=self.embeds[row[:, None], words].float(),
            asked=asked.gather(1, words),
            grid=self.grid[row, nth],
            row=row,
            nth=nth,
            index=index,
            taps=self.taps and self.taps.by_picture(row, index, valid),
            attention=None if self.attention is None else self._paid(row, index, valid),
            mass=None if self.bias is None else torch.where(valid, self.bias[row[:, None], index].exp(), 0.0),
        )

    def _paid(
        self,
        row: Int[Tensor, " picture"],
        index: Int[Tensor, "picture visual"],
        valid: Bool[Tensor, "picture visual"],
    ) -> Float[Tensor, "picture text visual"]:
        """Attention of words to the visual tokens of each picture, 0 at padding."""
        assert self.attention is not None
        paid = self.attention[row]
        paid = paid.gather(2, index[:, None].expand(-1, paid.shape[1], -1))
        return torch.where(valid[:, None], paid, 0.0)


@dataclass(frozen=True)
class Pictures:
    """The visual tokens of a prefill, one row a picture, padded on the right; everything in float32."""

    tokens: Float[Tensor, "picture visual dim"]
    """Projected visual tokens, zero at padding."""
    valid: Bool[Tensor, "picture visual"]
    """False at padding."""
    query: Float[Tensor, "picture text dim"]
    """Embeddings of the words in the picture's row, in order; undefined where `asked` is False."""
    asked: Bool[Tensor, "picture text"]
    """True at real words."""
    grid: Int[Tensor, "picture 3"]
    """Tokens along time, height, width; zeros where unknown."""
    row: Int[Tensor, " picture"]
    """Row of the batch that the picture stands in."""
    nth: Int[Tensor, " picture"]
    """Its place among the pictures of that row."""
    index: Int[Tensor, "picture visual"]
    """Column of each token in the sequence."""
    taps: Taps | None = None
    """What the scorer needs of the vision tower."""
    attention: Float[Tensor, "picture text visual"] | None = None
    """What every word paid to every token in the layer before, the mean over heads; 0 at padding. Before the
    first layer, what a token has of what was paid in a glimpse to the one that spoke for it; None without."""
    mass: Float[Tensor, "picture visual"] | None = None
    """How many original tokens each one stands for, between layers, where attention knows; None: one."""

    @property
    def count(self) -> Int[Tensor, " picture"]:
        """Number of visual tokens of each picture."""
        return self.valid.sum(1)

    def tap(self, name: str) -> Float[Tensor, "picture visual *width"]:
        """What the vision tower said, by the name of a field of `Taps`. Raises ValueError if it did not."""
        said: Tensor | None = getattr(self.taps, name, None)
        if said is None:
            raise ValueError(
                f"this scorer reads the {name} of the vision tower, and these pictures come without: name it "
                "in the scorer's `needs` and run the model inside attached(...)"
            )
        return said


@runtime_checkable
class SetFunction(Protocol):
    """A value of *sets* of tokens, explored greedily: it holds the state of what has been picked."""

    def gains(self) -> Float[Tensor, "picture visual"]:
        """What each token would add to the set picked so far, in the function's unit, nats if it has one."""
        ...

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """Put one token a picture into the set."""
        ...


@dataclass(frozen=True)
class Spending:
    """How many tokens a budget lets each picture keep."""

    tokens: Int[Tensor, " picture"]
    """Between 0 and the picture's count."""
    candidates: Int[Tensor, "picture budgets"] | None = None
    """The budgets that were compared, where budgets are policies."""
    q_pi: Float[Tensor, "picture budgets"] | None = None
    """Their posterior."""
    of_sets: SetFunction | None = None
    """The scorer's value of sets with the climb that the budget made, so that no selector climbs again."""


@dataclass(frozen=True)
class Selection:
    """Which tokens a selector kept."""

    keep: Bool[Tensor, "picture visual"]
    gains: Float[Tensor, "picture steps"] | None = None
    """Value added by each greedy step, in order; NaN past a picture's budget."""
    merged: Float[Tensor, "picture visual dim"] | None = None
    """New embeddings of the kept tokens, if the selector pools instead of picking."""
    mass: Float[Tensor, "picture visual"] | None = None
    """How many original tokens each kept one stands for (the n of `ln n`); 0 at dropped ones."""
    speaker: Int[Tensor, "picture visual"] | None = None
    """Place of the kept token that each one was pooled into, with `merged`; -1 where it went into none."""


@runtime_checkable
class Chooser(Protocol):
    """A way to choose that is neither a ranking nor a climb: the set for k + 1 need not hold that for k."""

    def __call__(self, budget: Int[Tensor, " picture"]) -> Selection:
        """Keep exactly `budget` tokens of each picture; those that hold what others held are among them."""
        ...


@dataclass(frozen=True)
class Scores:
    """What a scorer says of each visual token, and, for set-level scorers, of sets of them."""

    values: Float[Tensor, "picture visual"]
    """Higher is kept. Unitless unless the scorer says otherwise. Undefined at padding."""
    pragmatic: Float[Tensor, "picture visual"] | None = None
    """The part that helps to answer the query, in nats, where the scorer has one."""
    epistemic: Float[Tensor, "picture visual"] | None = None
    """The part that is information, in nats, where the scorer has one."""
    of_sets: SetFunction | None = None
    """The set-level value that the greedy selector climbs."""
    chooser: Chooser | None = None
    """The method's own way to choose, for the selector `own`."""


@runtime_checkable
class Scorer(Protocol):
    """Values every visual token. A frozen dataclass in `arr_coc/scorers/`, one file each."""

    selector: ClassVar[str]
    """The selector this scorer is meant for: `top_k`, `greedy`, `own`, `stride`, ...

    One that reads the vision tower also has `needs: ClassVar[tuple[str, ...]]`, some of `attention`, `keys`,
    `features`, `received`, `middle`, and finds them by `Pictures.tap`; so with `clip`, see `Taps`."""

    def __call__(self, pictures: Pictures) -> Scores:
        """Score every token of every picture. A picture must not see its neighbours in the batch."""
        ...


@runtime_checkable
class Budget(Protocol):
    """Decides how many tokens each picture keeps. A frozen dataclass in `arr_coc/budgets/`, one file each."""

    def __call__(self, pictures: Pictures, scores: Scores) -> Spending:
        """Tokens to keep of each picture."""
        ...


@runtime_checkable
class Selector(Protocol):
    """Decides which tokens to keep, given how many."""

    def __call__(self, pictures: Pictures, scores: Scores, budget: Int[Tensor, " picture"]) -> Selection:
        """Keep exactly `budget` tokens of each picture."""
        ...
