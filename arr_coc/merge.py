"""Who speaks for whom: every dropped token joins the kept one it is most like."""

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional

from arr_coc.assignment import Assignment, listed
from arr_coc.preference import centred
from arr_coc.types import Pictures


def assign(pictures: Pictures, keep: Bool[Tensor, "picture visual"], gate: float = -1.0) -> Assignment:
    """Let every dropped token join the kept one of largest cosine, if at least `gate`; ties to the first.

    Tokens are centred first: without it all tokens of a picture are alike. O(N kept) memory.
    """
    kept, real = listed(keep)
    direction = functional.normalize(centred(pictures.tokens, pictures.valid), dim=2)
    speaker = direction.gather(1, kept[..., None].expand(-1, -1, direction.shape[2]))
    alike = (direction @ speaker.transpose(1, 2)).masked_fill(~real[:, None, :], -torch.inf)
    itself = kept[:, None, :] == torch.arange(keep.shape[1], device=keep.device)[:, None]
    alike = alike.masked_fill(itself & real[:, None, :], torch.inf)  # whoever is kept speaks for itself
    if kept.shape[1] == 0:
        return Assignment(kept, real, itself)
    closest, speaks = alike.max(dim=2, keepdim=True)
    # Two tokens that point apart have a cosine of -1, but for rounding.
    spoken = (closest.clamp(min=-1.0) >= gate) & (closest > -torch.inf) & pictures.valid[..., None]
    return Assignment(kept, real, torch.zeros_like(itself).scatter_(2, speaks, spoken))
