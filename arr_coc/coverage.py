"""Coverage of targets by a set of tokens: each target counts by the one that covers it best."""

from copy import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Coverage:
    """sum_t w_t max(0, max_(j in S) alike(t, j)), with w = `weights`: facility location, submodular.

    With `appeal`, what a token would add is multiplied by its own, which steers and is no value of sets any
    more. O(targets N) memory; a step costs N for each target that the new token covers better, so that late
    steps are cheap. What is taken off the gains drifts in float32: every `REFRESH` steps they are made anew,
    and at every step on a GPU, which is faster there than to let the host know which targets these are.

    A climb explores a copy: it shares `alike`, for nothing here is changed in place.
    """

    REFRESH = 32
    AT_ONCE = 256
    """Targets that are looked at together: what they are told stays in the cache of a processor."""

    def __init__(
        self,
        alike: Float[Tensor, "picture target visual"],
        weights: Float[Tensor, "picture target"],
        appeal: Float[Tensor, "picture visual"] | None = None,
    ) -> None:
        self._alike, self._weights, self._appeal = alike, weights, appeal
        self._best = torch.zeros_like(weights)
        self._picture = torch.arange(len(alike), device=alike.device)
        self._steps = 0
        self._refresh = self.REFRESH if alike.device.type == "cpu" else 1
        self._gains = self._made_anew()

    def __deepcopy__(self, memo: dict[int, object]) -> "Coverage":
        return copy(self)

    def gains(self) -> Float[Tensor, "picture visual"]:
        """What each token would add, in the unit of `alike`, times its appeal."""
        return self._gains if self._appeal is None else self._gains * self._appeal

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """Let one more token a picture cover the targets most like it."""
        before = self._best
        self._best = torch.maximum(before, self._alike[self._picture, :, picked])
        self._steps += 1
        if self._steps % self._refresh == 0:
            self._gains = self._made_anew()
            return
        better = self._best > before
        # A host sync: which targets are covered better.
        picture, target = better.nonzero(as_tuple=True)
        gains = self._gains.clone()
        for few in torch.split(torch.arange(len(picture), device=picture.device), self.AT_ONCE):
            self._take_off(gains, before, picture[few], target[few])
        self._gains = gains.relu_()

    def _take_off(self, gains: Tensor, before: Tensor, picture: Tensor, target: Tensor) -> None:
        """What these targets, sorted by picture, no longer have to gain."""
        low, high = before[picture, target, None], self._best[picture, target, None]
        lost = self._alike[picture, target].clamp_(low, high).sub_(low)  # (covered better, visual)
        of, row = torch.unique_consecutive(picture, return_inverse=True)
        weights = lost.new_zeros(len(of), len(target))
        weights[row, torch.arange(len(target), device=target.device)] = self._weights[picture, target]
        gains[of] -= weights @ lost

    def _made_anew(self) -> Float[Tensor, "picture visual"]:
        gains: Tensor = (self._weights[:, None] @ (self._alike - self._best[..., None]).relu_())[:, 0]
        return gains
