"""What a set of tokens tells of the picture, token by token: trace and log-determinant.

The picture is a Gaussian field z ~ N(0, K) over its tokens, K = features features'. To keep the set S is to
read z_j + noise of variance sigma2 at every j in S; C, the posterior covariance, is what remains unknown.
`weights` (omega: mean 1 over a picture's tokens, 0 at padding) say how much the question asks of each token.
"""

from copy import copy
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.registry import Registry
from arr_coc.types import SetFunction

Features = Float[Tensor, "picture visual rank"]
PerToken = Float[Tensor, "picture visual"]


class Functional(Protocol):
    """Makes a set function from features and weights, both zero at padding, and the noise."""

    def __call__(self, features: Features, weights: PerToken, sigma2: float) -> SetFunction:
        """The value of sets, nothing picked yet."""
        ...


EPISTEMIC: Registry[Functional] = Registry("epistemic functional", filled_by="arr_coc.facility")
"""How a set of tokens may be valued."""

WIDE = 256
"""`trace` turns features wider than this into an N x N kernel. A rule that no neighbour can sway."""


@EPISTEMIC.register("trace")
def trace(features: Features, weights: PerToken, sigma2: float) -> SetFunction:
    """Relevance-weighted variance explained, in the form that is cheaper at this width; both are exact."""
    if features.shape[2] > WIDE:
        return KernelTrace(features, weights, sigma2)
    return FactorTrace(features, weights, sigma2)


class KernelTrace:
    """Steered by sum_t omega_t (K_tt - C_tt), valued at 1/2 sum_t omega_t ln((K_tt + s2) / (C_tt + s2)) nats.

    What steers is relevance-weighted column-subset selection (V-optimal design); the value is the information
    about what will be asked for (EPIG, https://arxiv.org/abs/2304.08151). O(N^2) a step and memory.
    """

    def __init__(self, features: Features, weights: PerToken, sigma2: float) -> None:
        kernel = features @ features.transpose(1, 2)
        self._picture = torch.arange(len(features), device=features.device)
        self._weights, self._sigma2 = weights, sigma2
        self._unknown: PerToken = kernel.diagonal(dim1=1, dim2=2).clone()
        self._history = [self._unknown]
        # Kept as C omega^(1/2): a gain is a squared row length. The floor lets a column be divided out again.
        self._root = weights.clamp(min=1e-8).sqrt()
        self._rooted = kernel * self._root[:, None, :]

    def gains(self) -> PerToken:
        """Weighted variance that each token would explain, in units of the mean token energy."""
        explained: PerToken = torch.linalg.vector_norm(self._rooted, dim=2).square()
        return explained / (self._unknown + self._sigma2)

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """Condition the field on one more token a picture."""
        column = self._rooted[self._picture, :, picked] / self._root[self._picture, picked, None]
        ratio = column / (self._unknown[self._picture, picked, None] + self._sigma2)
        self._rooted.addcmul_(ratio[:, :, None], (column * self._root)[:, None, :], value=-1)
        self._unknown = torch.addcmul(self._unknown, ratio, column, value=-1).relu_()
        self._history.append(self._unknown)

    def values(self) -> Float[Tensor, "picture steps"]:
        """Information about what the question asks for, in nats."""
        return _predictive_nats(self._history, self._weights, self._sigma2)


class FactorTrace:
    """The same as `KernelTrace` in one pass over the features a step: see `Posterior`.

    The sums of squares are recomputed every `REFRESH` steps: their update subtracts, and drifts in float32.
    """

    REFRESH = 16

    def __init__(self, features: Features, weights: PerToken, sigma2: float) -> None:
        self._weights, self._sigma2 = weights, sigma2
        self._posterior = Posterior(features, sigma2)
        self._asked = features.transpose(1, 2) @ (features * weights[..., None])  # (picture, rank, rank)
        self._squares = self._made_anew()
        self._unknown = features.square().sum(2)
        self._history = [self._unknown]

    def gains(self) -> PerToken:
        """Weighted variance that each token would explain, in units of the mean token energy."""
        return self._squares / (self._unknown + self._sigma2)

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """Condition the field on one more token a picture."""
        row = self._posterior.row(picked)
        asked = row @ self._asked
        both = torch.cat([row, asked @ self._posterior.left], dim=1)
        column, cross = self._posterior.columns(both).unbind(1)  # of C, and of C omega C
        total = (asked * row).sum((1, 2))[:, None]
        ratio = self._posterior.observe(picked, row, column)
        if len(self._history) % self.REFRESH:
            self._squares = torch.addcmul(self._squares, ratio, ratio * total - 2 * cross).relu_()
        else:
            self._squares = self._made_anew()
        self._unknown = torch.addcmul(self._unknown, ratio, column, value=-1).relu_()
        self._history.append(self._unknown)

    def values(self) -> Float[Tensor, "picture steps"]:
        """Information about what the question asks for, in nats."""
        return _predictive_nats(self._history, self._weights, self._sigma2)

    def _made_anew(self) -> PerToken:
        """Diagonal of C omega C, omega between."""
        features, left = self._posterior.features, self._posterior.left
        return ((left @ self._asked @ left @ features) * features).sum(1).relu_()


class Posterior:
    """C = X M X', where only M changes: to observe a token takes a vector of `rank` off it, not an N x rank
    matrix, so that what a step reads is X, once.
    """

    def __init__(self, features: Features, sigma2: float) -> None:
        self.features = features.transpose(1, 2).contiguous()
        """X', (picture, rank, visual)."""
        self.left = torch.eye(features.shape[2], dtype=features.dtype, device=features.device).repeat(
            len(features), 1, 1
        )
        """M, (picture, rank, rank); symmetric."""
        self._picture = torch.arange(len(features), device=features.device)
        self._sigma2 = sigma2

    def __deepcopy__(self, memo: dict[int, object]) -> "Posterior":
        other = copy(self)  # X never changes
        other.left = self.left.clone()
        return other

    def row(self, picked: Int[Tensor, " picture"]) -> Float[Tensor, "picture 1 rank"]:
        """That of X M at a token a picture."""
        return self.features[self._picture, :, picked][:, None] @ self.left

    def columns(self, rows: Float[Tensor, "picture rows rank"]) -> Float[Tensor, "picture rows visual"]:
        """rows X': of the row of a token, the column of C there."""
        return rows @ self.features

    def observe(
        self, picked: Int[Tensor, " picture"], row: Float[Tensor, "picture 1 rank"], column: PerToken
    ) -> PerToken:
        """Condition on it; returns its column over its variance."""
        read = column[self._picture, picked, None].relu() + self._sigma2
        self.left.baddbmm_(row.transpose(1, 2) / read[..., None], row, alpha=-1)
        return column / read


@EPISTEMIC.register("logdet")
class LogDet:
    """Information about the whole picture read with precision omega, in nats: 1/2 ln det(I + W K_SS W / s2).

    W = omega^(1/2). Submodular. A determinantal point process with a ridge: no pivot falls below sigma2.
    Section 1.3 (E1) of the project's theory. O(N rank) a step.
    """

    def __init__(self, features: Features, weights: PerToken, sigma2: float) -> None:
        self._sigma2 = sigma2
        self._posterior = Posterior(features * weights.sqrt()[..., None], sigma2)
        self._unknown = self._posterior.features.square().sum(1)

    def gains(self) -> PerToken:
        """Nats that each token would add."""
        return 0.5 * torch.log1p(self._unknown / self._sigma2)

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """Condition the field on one more token a picture."""
        row = self._posterior.row(picked)
        column = self._posterior.columns(row)[:, 0]
        ratio = self._posterior.observe(picked, row, column)
        self._unknown = torch.addcmul(self._unknown, ratio, column, value=-1).relu_()


@EPISTEMIC.register("modular")
class Modular:
    """The control without information: a set is worth what its tokens are preferred, sum_j omega_j."""

    def __init__(self, features: Features, weights: PerToken, sigma2: float) -> None:
        self._weights = weights

    def gains(self) -> PerToken:
        """Preference of each token over chance, whatever was picked."""
        return self._weights

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """No token makes another one less worth."""


def _predictive_nats(
    history: list[PerToken], weights: PerToken, sigma2: float
) -> Float[Tensor, "picture steps"]:
    """1/2 sum_t omega_t ln((K_tt + s2) / (C_tt + s2)) after each token added; `history` starts with K_tt."""
    read = (torch.stack(history, dim=1) + sigma2).log()  # (picture, steps + 1, visual)
    return 0.5 * ((read[:, :1] - read[:, 1:]) @ weights[..., None])[..., 0]
