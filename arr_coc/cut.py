"""Shorten the arguments of a decoder to the tokens that are kept, and put what comes out back in place."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


@dataclass(frozen=True)
class Cut:
    """How a batch was shortened: kept tokens stand on the right, what pads a shorter row on the left."""

    index: Int[Tensor, "batch kept"]
    """The old column of each new one."""
    real: Bool[Tensor, "batch kept"]
    """False at padding."""
    seq: int
    """Length before."""
    padded: bool = True
    """Whether `real` may have a False: known without looking at the device."""
    bias: Float[Tensor, "batch kept"] | None = None
    """Nats that attention to these columns gains where they are keys, beside what they had; None: 0."""

    @classmethod
    def of(cls, keep: Bool[Tensor, "batch seq"], longest: int, padded: bool = True) -> "Cut":
        """Keep what is True, at most `longest` in a row."""
        seq = keep.shape[1]
        # A stable sort of the mask moves what is dropped to the front and leaves the rest in order.
        index = keep.byte().argsort(dim=1, stable=True)[:, seq - longest :]
        return cls(index, keep.gather(1, index), seq, padded)

    @classmethod
    def whole(cls, batch: int, seq: int, device: torch.device) -> "Cut":
        """Nothing dropped."""
        index = torch.arange(seq, device=device).expand(batch, -1)
        return cls(index, torch.ones_like(index, dtype=torch.bool), seq, padded=False)

    def beside(self, later: "Cut") -> "Cut":
        """Of two pieces, one after the other."""
        return Cut(
            torch.cat([self.index, later.index + self.seq], dim=1),
            torch.cat([self.real, later.real], dim=1),
            self.seq + later.seq,
            self.padded or later.padded,
            None if self.bias is later.bias is None else torch.cat([self._nats(), later._nats()], dim=1),
        )

    def extended(self, seq: int) -> "Cut":
        """With what came behind it, up to this length, of which nothing was dropped."""
        return self.beside(Cut.whole(len(self.index), seq - self.seq, self.index.device))

    def select(self, rows: Int[Tensor, " chosen"]) -> "Cut":
        """Of these rows."""
        bias = None if self.bias is None else self.bias[rows]
        return Cut(self.index[rows], self.real[rows], self.seq, self.padded, bias)

    def shorter(self, tokens: int) -> "Cut":
        """Without its last columns, which were all kept."""
        end = self.index.shape[1] - tokens
        bias = None if self.bias is None else self.bias[:, :end]
        return Cut(self.index[:, :end], self.real[:, :end], self.seq - tokens, self.padded, bias)

    def _nats(self) -> Float[Tensor, "batch kept"]:
        return torch.zeros(self.real.shape, device=self.real.device) if self.bias is None else self.bias

    def rows(self, whole: Shaped[Tensor, "batch seq ..."]) -> Shaped[Tensor, "batch kept ..."]:
        """The kept positions."""
        index = self.index.to(whole.device).view(*self.index.shape, *[1] * (whole.ndim - 2))
        return whole.gather(1, index.expand(-1, -1, *whole.shape[2:]))

    def back(self, hidden: Float[Tensor, "batch kept dim"]) -> Float[Tensor, "batch seq dim"]:
        """To the old places, with zeros where tokens were dropped: logits and labels keep their indices."""
        batch, _, dim = hidden.shape
        # Deeper layers may lie on another device.
        index = self.index.to(hidden.device)[..., None].expand(-1, -1, dim)
        # Added, as padding may point to a place that is taken; and set to zero, as it may hold NaN.
        hidden = hidden.masked_fill(~self.real.to(hidden.device)[..., None], 0.0)
        return hidden.new_zeros(batch, self.seq, dim).scatter_add(1, index, hidden)

    def arguments(
        self,
        whole: dict[str, Any],
        positions: Shaped[Tensor, "axes batch seq"],
        visual_rows: tuple[tuple[str, str], ...],
    ) -> dict[str, Any]:
        """The decoder's arguments for the kept tokens, at these positions; all but the mask."""
        batch, seq = positions.shape[1:]
        of_rows = {name for pair in visual_rows for name in pair} | {"attention_mask", "position_ids"}
        new = dict(whole)
        for name, value in whole.items():
            if name not in of_rows and isinstance(value, Tensor) and value.shape[:2] == (batch, seq):
                new[name] = self.rows(value)
        for where, planes in visual_rows:
            if whole.get(where) is not None:
                counted = torch.zeros_like(whole[where], dtype=torch.long)
                kept = counted.scatter_add(1, self.index, self.real.long()) > 0
                chosen = kept[whole[where]]
                new[planes] = [plane[chosen.to(plane.device)] for plane in whole[planes]]
                new[where] = self.rows(whole[where]) & self.real
        if "logits_to_keep" in whole:
            new["logits_to_keep"] = 0  # the model above takes the last ones, once all are back in place
        kept_positions = torch.stack([self.rows(axis) for axis in positions])
        new["position_ids"] = kept_positions if len(positions) > 1 else kept_positions[0]
        return new
