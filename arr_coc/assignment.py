"""The kept tokens of a picture, and which of them speaks for each of its tokens."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Assignment:
    """The kept tokens of each picture in order, and which of them speaks for each token."""

    kept: Int[Tensor, "picture kept"]
    """Place of the kept tokens among the visual tokens; `real` says which entries are there."""
    real: Bool[Tensor, "picture kept"]
    """False where a picture keeps fewer than the widest."""
    joined: Bool[Tensor, "picture visual kept"]
    """True where a kept token speaks for a token: once a token, or never, at padding and below the gate."""
    part: Float[Tensor, "picture visual"] | None = None
    """How much of a token its speaker says, in (0, 1], 1 for itself; None: all of it."""

    def speaker(self) -> Int[Tensor, "picture visual"]:
        """Place of the kept token that speaks for each one; -1 where none does."""
        spoken = self.joined.any(2)
        if self.kept.shape[1] == 0:
            return torch.full_like(spoken, -1, dtype=torch.long)
        return self.kept.gather(1, self.joined.byte().argmax(2)).masked_fill(~spoken, -1)

    def mass(
        self, width: int, of: Float[Tensor, "picture visual"] | None = None
    ) -> Float[Tensor, "picture visual"]:
        """Number of tokens that each kept one stands for, itself included, by `part`; 0 at dropped ones.

        `of`: how many each token stood for before; None: one.
        """
        said = self._said if of is None else self._said * of[..., None]
        return self._place(said.sum(1)[..., None], width)[..., 0]

    def told(
        self, said: Float[Tensor, "picture text visual"], mass: Float[Tensor, "picture visual"] | None
    ) -> Float[Tensor, "picture text visual"]:
        """What was said of the kept tokens, of every token: what was said of its speaker, by `part`.

        `mass`: how many tokens each kept one counted for where that was said; None: one.
        """
        if mass is not None:
            said = said / mass.clamp(min=1e-12)[:, None]
        index = self.kept[:, None].expand(-1, said.shape[1], -1)
        of_kept = said.gather(2, index).masked_fill(~self.real[:, None], 0.0)
        return of_kept @ self._said.transpose(1, 2)

    def mean(
        self, tokens: Float[Tensor, "picture visual dim"], weights: Float[Tensor, "picture visual"]
    ) -> Float[Tensor, "picture visual dim"]:
        """The weighted mean of what each kept token stands for, in its place; 0 at dropped ones.

        The posterior mean of a cluster whose members are read with precision `weights`, times `part`.
        """
        share = (self._said * weights[..., None]).transpose(1, 2)  # (picture, kept, visual)
        share = share / share.sum(2, keepdim=True).clamp(min=1e-12)
        return self._place(share @ tokens, tokens.shape[1])

    @property
    def _said(self) -> Float[Tensor, "picture visual kept"]:
        return self.joined.float() if self.part is None else self.joined * self.part[..., None]

    def _place(self, x: Float[Tensor, "picture kept dim"], width: int) -> Float[Tensor, "picture visual dim"]:
        """Put what belongs to the kept tokens where they stand."""
        placed = x.new_zeros(
            len(x), width + 1, x.shape[2]
        )  # with a spare place for entries that are not there
        index = self.kept.masked_fill(~self.real, width)[..., None].expand_as(x)
        return placed.scatter_(1, index, x)[:, :width]


def spoken_for(keep: Bool[Tensor, "picture visual"], speaker: Int[Tensor, "picture visual"]) -> Assignment:
    """Who speaks for whom, said by place: that of a kept token, its own if it is kept, or -1 for nobody."""
    kept, real = listed(keep)
    return Assignment(kept, real, (speaker[:, :, None] == kept[:, None, :]) & real[:, None, :])


def listed(
    keep: Bool[Tensor, "picture visual"],
) -> tuple[Int[Tensor, "picture kept"], Bool[Tensor, "picture kept"]]:
    """Places of the kept tokens in order, and which entries are there."""
    # The one host sync: the largest number kept.
    width = int(keep.sum(1).max()) if len(keep) else 0
    kept = keep.byte().argsort(dim=1, descending=True, stable=True)[:, :width]
    return kept, keep.gather(1, kept)
