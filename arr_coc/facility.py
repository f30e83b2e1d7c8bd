"""What a set of tokens tells where each token has to be explained by a single kept one: facility location."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.epistemic import EPISTEMIC, Features, PerToken


class Facility:
    """Every token is explained by its best kept one alone: sum_t omega_t max_(j in S) told(t, j).

    What a decoder can cash in that looks a token up and does not interpolate between several. Submodular.
    O(N^2) memory; a step costs N for each token that the new one explains better, so that late steps are
    cheap. What is taken off the gains drifts in float32: every `REFRESH` steps they are made anew.
    """

    REFRESH = 16

    def __init__(
        self,
        told: Float[Tensor, "picture visual visual"],
        weights: PerToken,
        nats: Callable[[PerToken], PerToken],
    ) -> None:
        """`told`: what each token (rows) is told by each (columns); `nats`: that, as information."""
        self._told, self._weights, self._nats = told, weights, nats
        self._best = torch.zeros_like(weights)
        self._picture = torch.arange(len(told), device=told.device)
        self._gains = self._made_anew()
        self._history = [self._value()]

    def gains(self) -> PerToken:
        """What each token would add, in the unit of `told`."""
        return self._gains

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """Let one more token a picture speak for those most like it."""
        before = self._best
        self._best = torch.maximum(before, self._told[self._picture, :, picked])
        if len(self._history) % self.REFRESH:
            better = self._best > before
            # A host sync: how many tokens are explained better, in the picture that has most of them.
            most = int(better.sum(1).max()) if better.numel() else 0
            which = better.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
            low, high = before.gather(1, which)[..., None], self._best.gather(1, which)[..., None]
            told = self._told[self._picture[:, None], which]  # (picture, explained better, visual)
            lost = torch.minimum(torch.maximum(told, low), high).sub_(low)
            self._gains = (self._gains - (self._weights.gather(1, which)[:, None] @ lost)[:, 0]).relu_()
        else:
            self._gains = self._made_anew()
        self._history.append(self._value())

    def values(self) -> Float[Tensor, "picture steps"]:
        """Information about what the question asks for, in nats."""
        return torch.stack(self._history[1:], dim=1)

    def _made_anew(self) -> PerToken:
        return (self._weights[:, None] @ (self._told - self._best[..., None]).relu_())[:, 0]

    def _value(self) -> Float[Tensor, " picture"]:
        return (self._weights * self._nats(self._best)).sum(1)


@EPISTEMIC.register("facility")
def facility(features: Features, weights: PerToken, sigma2: float) -> Facility:
    """i(t, j) = I(z_t; o_j) in nats, 0 where the two point apart: a lower bound of the value of `trace`.

    Nats are a ratio: what little a faint token has to say counts as much as what a loud one has.
    """
    kernel = features @ features.transpose(1, 2)
    read = kernel.diagonal(dim1=1, dim2=2) + sigma2
    told = kernel.relu_().square_().div_(read[:, :, None] * read[:, None, :])
    return Facility(told.clamp_(max=1 - 1e-6).neg_().log1p_().mul_(-0.5), weights, lambda best: best)


@EPISTEMIC.register("nearest")
def nearest(features: Features, weights: PerToken, sigma2: float) -> Facility:
    """Steered by the variance of t that reading j explains, K_tj^2 / (K_jj + s2); valued in nats.

    `trace` for a decoder that looks tokens up: loud tokens count for more, as they do there. 0 where the two
    point apart.
    """
    kernel = features @ features.transpose(1, 2)
    read = kernel.diagonal(dim1=1, dim2=2) + sigma2
    told = kernel.relu_().square_().div_(read[:, None, :])
    return Facility(told, weights, lambda best: -0.5 * torch.log1p(-(best / read).clamp(max=1 - 1e-6)))


@EPISTEMIC.register("readouts")
class Readouts:
    """The mean of `trace` and `nearest`: a decoder may interpolate between tokens, or look one up.

    Which of the two it does is not known, and both are asked for: what only interpolation explains, as a
    letter by other letters, is of no use where it has to be read.
    """

    def __init__(self, features: Features, weights: PerToken, sigma2: float) -> None:
        self._ways = [EPISTEMIC[name](features, weights, sigma2) for name in ("trace", "nearest")]

    def gains(self) -> PerToken:
        """Weighted variance that each token would explain, in units of the mean token energy."""
        return torch.stack([way.gains() for way in self._ways]).mean(0)

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """Put one more token a picture into the set."""
        for way in self._ways:
            way.add(picked)

    def values(self) -> Float[Tensor, "picture steps"]:
        """Information about what the question asks for, in nats."""
        return torch.stack([way.values() for way in self._ways]).mean(0)  # type: ignore[attr-defined]
