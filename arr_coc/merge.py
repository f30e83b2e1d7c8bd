"""Who speaks for whom: every dropped token joins the kept one it is most like, and has what that one got."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from arr_coc.assignment import Assignment, listed
from arr_coc.centring import centred
from arr_coc.types import Pictures

NATS = 2.0
"""Logit that a question is taken to give a token it looks at. 0: whoever is spoken for counts in full."""
TRUST = 0.5
"""How far a preference is believed to say where attention goes: at 1 as its logarithm, at 0 not at all."""


def assign(
    pictures: Pictures,
    keep: Bool[Tensor, "picture visual"],
    gate: float = -1.0,
    wanted: Float[Tensor, "picture visual"] | None = None,
) -> Assignment:
    """Let every dropped token join the kept one of largest cosine, if at least `gate`; ties to the first.

    Tokens are centred first: without it all tokens of a picture are alike. O(N kept) memory. A token that
    points as its speaker does, but is only r times as loud, counts for e^(NATS (r - 1)): what it would get of
    the attention that gives the speaker a logit of NATS. `wanted` is the log-preference of every token, in
    nats: one that is wanted less than its speaker counts for less, by the power TRUST of the ratio. Copies
    count in full, so that ln n stays exact.
    """
    kept, real = listed(keep)
    tokens = centred(pictures.tokens, pictures.valid)
    direction = functional.normalize(tokens, dim=2)
    speaker = direction.gather(1, kept[..., None].expand(-1, -1, direction.shape[2]))
    alike = (direction @ speaker.transpose(1, 2)).masked_fill(~real[:, None, :], -torch.inf)
    itself = kept[:, None, :] == torch.arange(keep.shape[1], device=keep.device)[:, None]
    alike = alike.masked_fill(itself & real[:, None, :], torch.inf)  # whoever is kept speaks for itself
    if kept.shape[1] == 0:
        return Assignment(kept, real, itself)
    closest, speaks = alike.max(dim=2, keepdim=True)
    # Two tokens that point apart have a cosine of -1, but for rounding.
    spoken = (closest.clamp(min=-1.0) >= gate) & (closest > -torch.inf) & pictures.valid[..., None]
    of = kept.gather(1, speaks[..., 0])  # place of the speaker
    loud = torch.linalg.vector_norm(tokens, dim=2)
    # Its part along the speaker, over the speaker's own length.
    ratio = closest[..., 0] * loud / loud.gather(1, of).clamp(min=1e-12)
    nats = NATS * (ratio.clamp(max=1.0) - 1)
    if wanted is not None:
        nats = nats + TRUST * (wanted - wanted.gather(1, of)).clamp(max=0.0)
    part = torch.where(spoken[..., 0] & ~keep, nats.exp(), 1.0)
    return Assignment(kept, real, torch.zeros_like(itself).scatter_(2, speaks, spoken), part)


def carried(
    pictures: Pictures, keep: Bool[Tensor, "batch seq"], bias: Float[Tensor, "batch seq"] | None
) -> Float[Tensor, "picture text visual"]:
    """The attention that was paid to kept tokens, carried to all they speak for, by how much of each is said.

    A kept token that counted for n (`bias` ln n) shares among these what it got; one that counted for itself
    says what another in its place would have got.
    """
    assert pictures.attention is not None, "something was read"
    here = pictures.row[:, None], pictures.index
    mass = None if bias is None else bias[here].exp()
    return assign(pictures, keep[here] & pictures.valid).told(pictures.attention, mass)
