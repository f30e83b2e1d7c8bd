"""Score at random: the floor that every method has to beat."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores

PROBES = 16
"""Channels whose largest token tells one picture from another."""


@SCORERS.register("random")
@dataclass(frozen=True)
class Random:
    """Uniform numbers in [0, 1], drawn by seed, picture and place. Unitless, higher is kept.

    A counter-based draw: the same picture gets the same numbers alone or in a batch, on every device. It is
    known by *where* some of its channels peak, which rounding in the vision tower does not change.
    """

    selector: ClassVar[str] = "top_k"
    positional: ClassVar[bool] = True
    seed: int = 0
    """Another seed, another subset."""

    def __call__(self, pictures: Pictures) -> Scores:
        """One number a token."""
        dim = pictures.tokens.shape[2]
        probes = torch.arange(min(PROBES, dim), device=pictures.tokens.device) * dim // min(PROBES, dim)
        peaks = pictures.tokens[:, :, probes].masked_fill(~pictures.valid[..., None], -torch.inf).argmax(1)
        key = torch.full_like(pictures.count, self.seed)
        for peak in peaks.unbind(1):
            key = _mixed(key * 31 + peak + 1)
        place = torch.arange(pictures.valid.shape[1], device=key.device)
        return Scores(values=_mixed(_mixed(place + 1) ^ key[:, None]).float() / 2**32)


def _mixed(x: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Mix 32 bits so that near numbers end far apart (lowbias32, https://github.com/skeeto/hash-prospector)."""
    x = x & 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    x = (
        (x ^ (x >> 15)) * 0x846CA68B
    ) & 0xFFFFFFFF  # int64 may overflow: the low 32 bits are right all the same
    return x ^ (x >> 16)
