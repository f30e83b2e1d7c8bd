"""What a set of tokens tells where each token has to be explained by a single kept one: facility location."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.coverage import Coverage
from arr_coc.epistemic import EPISTEMIC, Features, PerToken


class Facility(Coverage):
    """Every token is explained by its best kept one alone: sum_t omega_t max_(j in S) told(t, j).

    What a decoder can cash in that looks a token up and does not interpolate between several.
    """

    def __init__(
        self,
        told: Float[Tensor, "picture visual visual"],
        weights: PerToken,
        nats: Callable[[PerToken], PerToken],
    ) -> None:
        """`told`: what each token (rows) is told by each (columns); `nats`: that, as information."""
        super().__init__(told, weights)
        self._nats = nats
        self._history: tuple[Float[Tensor, " picture"], ...] = ()

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """Let one more token a picture speak for those most like it."""
        super().add(picked)
        self._history = (*self._history, (self._weights * self._nats(self._best)).sum(1))

    def values(self) -> Float[Tensor, "picture steps"]:
        """Information about what the question asks for, in nats."""
        return torch.stack(self._history, dim=1)


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
