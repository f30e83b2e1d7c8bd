"""How far apart the tokens of a set are: cosines, the smallest distance, and the determinant of a kernel."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional


def cosines(
    x: Float[Tensor, "picture one dim"], y: Float[Tensor, "picture other dim"]
) -> Float[Tensor, "picture one other"]:
    """Cosine of every pair, not centred, in [-1, 1]; 0 with padding."""
    return functional.normalize(x, dim=2) @ functional.normalize(y, dim=2).transpose(1, 2)


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


class Determinant:
    """ln det (R K R) over the set, for a kernel K with ones on its diagonal and qualities R; without ridge.

    The incremental Cholesky factor of https://arxiv.org/abs/1709.05135, O(N t) at step t. Past the rank of K
    there is no volume left and rounding would decide: what is explained up to `LEFT` goes by quality alone.
    """

    LEFT = 1e-4
    """Share of a token's variance below which it counts as explained by the set."""

    def __init__(
        self, kernel: Float[Tensor, "picture visual visual"], quality: Float[Tensor, "picture visual"]
    ) -> None:
        self._kernel = kernel
        self._log_quality = 2 * quality.clamp(min=1e-12).log()
        self._picture = torch.arange(len(kernel), device=kernel.device)
        self._left = torch.ones_like(quality)
        self._rows: Tensor = kernel[:, :0]  # of the factor: (picture, steps, visual)

    def gains(self) -> Float[Tensor, "picture visual"]:
        """What each token would add to the logarithm; far below all others where there is nothing to add."""
        explained = self._left < self.LEFT
        return self._log_quality + torch.where(explained, -1e4, self._left.clamp(min=self.LEFT).log())

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """Condition the process on one more token a picture."""
        before = self._rows[self._picture, :, picked]
        column = self._kernel[self._picture, picked] - (before[:, None] @ self._rows)[:, 0]
        own = self._left[self._picture, picked, None]
        # A token that is explained already conditions on nothing new.
        row = torch.where(own < self.LEFT, 0.0, column / own.clamp(min=self.LEFT).sqrt())
        self._rows = torch.cat([self._rows, row[:, None]], dim=1)
        self._left = (self._left - row.square()).clamp(min=0.0)
