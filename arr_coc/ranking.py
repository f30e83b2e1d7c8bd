"""The best tokens of each picture, and how they rank. Stable: the first of equals wins on every device."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def ranks(
    values: Float[Tensor, "picture visual"], among: Bool[Tensor, "picture visual"]
) -> Int[Tensor, "picture visual"]:
    """How many tokens of the picture come before each one, the largest value first; others come last."""
    order = values.masked_fill(~among, -torch.inf).argsort(dim=1, descending=True, stable=True)
    # A token outside may be the equal of one inside (minus infinity): those inside go first.
    order = order.gather(1, among.gather(1, order).byte().argsort(dim=1, descending=True, stable=True))
    return order.argsort(dim=1)


def best(
    values: Float[Tensor, "picture visual"],
    among: Bool[Tensor, "picture visual"],
    k: Int[Tensor, " picture"],
) -> Bool[Tensor, "picture visual"]:
    """The k largest of each picture, all of them where there are fewer."""
    return (ranks(values, among) < k[:, None]) & among


def nth(
    values: Float[Tensor, "picture visual"],
    among: Bool[Tensor, "picture visual"],
    n: Int[Tensor, " picture"],
) -> Bool[Tensor, "picture visual"]:
    """The token with rank n, from 0; none where there are too few."""
    return (ranks(values, among) == n[:, None]) & among


def strided(
    among: Bool[Tensor, "picture visual"], k: Int[Tensor, " picture"], step: Int[Tensor, " picture"]
) -> Bool[Tensor, "picture visual"]:
    """The first k of every `step`-th token, from the first one, in the order in which they stand."""
    place = among.long().cumsum(1) - 1
    step = step.clamp(min=1)[:, None]
    return among & (place % step == 0) & (place.div(step, rounding_mode="floor") < k[:, None])
