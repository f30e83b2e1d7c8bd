"""How far apart the tokens of a set are: the smallest distance, token by token."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class MaxMin:
    """Distance from a token to the nearest one picked; before any is picked, to its nearest neighbour."""

    def __init__(
        self, distance: Float[Tensor, "picture visual visual"], valid: Bool[Tensor, "picture visual"]
    ) -> None:
        self._distance = distance
        self._picture = torch.arange(len(distance), device=distance.device)
        self._begun = False
        others = valid[:, None, :] & ~torch.eye(valid.shape[1], dtype=torch.bool, device=valid.device)
        # A token with no other is infinitely far from it; the largest finite number keeps sums finite.
        self._nearest = torch.where(others, distance, torch.finfo(distance.dtype).max).amin(2)

    def gains(self) -> Float[Tensor, "picture visual"]:
        """Distance to the set, in the unit of `distance`."""
        return self._nearest

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """Put one more token a picture into the set."""
        to_picked = self._distance[self._picture, picked]
        self._nearest = torch.minimum(self._nearest, to_picked) if self._begun else to_picked
        self._begun = True
