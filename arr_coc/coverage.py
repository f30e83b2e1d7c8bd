"""Coverage of targets by a set of tokens: each target counts by the one that covers it best."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Coverage:
    """sum_t w_t max(0, max_(j in S) alike(t, j)), with w = `weights`: facility location, submodular.

    With `appeal`, what a token would add is multiplied by its own, which steers and is no value of sets any
    more. O(targets N) a step and memory.
    """

    def __init__(
        self,
        alike: Float[Tensor, "picture target visual"],
        weights: Float[Tensor, "picture target"],
        appeal: Float[Tensor, "picture visual"] | None = None,
    ) -> None:
        self._alike, self._weights, self._appeal = alike, weights, appeal
        self._best = torch.zeros_like(weights)
        # Memory that every step uses again: to ask for it anew takes longer than to fill it.
        self._better = torch.empty_like(alike)
        self._picture = torch.arange(len(alike), device=alike.device)

    def gains(self) -> Float[Tensor, "picture visual"]:
        """What each token would add, in the unit of `alike`, times its appeal."""
        better = torch.sub(self._alike, self._best[..., None], out=self._better).relu_()
        gain: Tensor = (self._weights[:, None] @ better)[:, 0]
        return gain if self._appeal is None else gain * self._appeal

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """Let one more token a picture cover the targets most like it."""
        self._best = torch.maximum(self._best, self._alike[self._picture, :, picked])
