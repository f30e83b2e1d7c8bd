"""Gaussian beliefs with a diagonal covariance: entropy, divergence, likelihood, in nats, in float32."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Gaussian:
    """N(mean, exp(log_var)) over the last axis. Whatever a network ran in, the density is float32."""

    mean: Float[Tensor, "*batch dims"]
    log_var: Float[Tensor, "*batch dims"]

    def __post_init__(self) -> None:
        if self.mean.dtype in (torch.float16, torch.bfloat16):
            object.__setattr__(self, "mean", self.mean.float())
        if self.log_var.dtype in (torch.float16, torch.bfloat16):
            object.__setattr__(self, "log_var", self.log_var.float())

    @cached_property
    def var(self) -> Float[Tensor, "*batch dims"]:
        """Variance."""
        return self.log_var.exp()

    def entropy(self) -> Float[Tensor, "*batch"]:
        """H[q] = 1/2 sum (ln 2 pi e + ln var)."""
        return 0.5 * (self.log_var + LOG_2PI + 1).sum(-1)

    def sample(self, generator: torch.Generator | None = None) -> Float[Tensor, "*batch dims"]:
        """mean + std * noise: gradients pass through to both."""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return self.mean + (0.5 * self.log_var).exp() * noise

    def affine(self, scale: Tensor, shift: Tensor) -> "Gaussian":
        """The density of scale * x + shift."""
        return Gaussian(self.mean * scale + shift, self.log_var + 2 * scale.abs().log())


def kl_divergence(q: Gaussian, p: Gaussian) -> Float[Tensor, "*batch"]:
    """KL[q || p], one number an event: summed over the last axis only."""
    error = (q.mean - p.mean).square() * (-p.log_var).exp()
    return 0.5 * (p.log_var - q.log_var + (q.log_var - p.log_var).exp() + error - 1).sum(-1)


def cross_entropy(q: Gaussian, p: Gaussian) -> Float[Tensor, "*batch"]:
    """E_q[-ln p]: the expected surprise of what is drawn from q."""
    error = (q.mean - p.mean).square() + q.var
    return 0.5 * (LOG_2PI + p.log_var + error * (-p.log_var).exp()).sum(-1)


def nll(x: Float[Tensor, "*batch dims"], p: Gaussian) -> Float[Tensor, "*batch"]:
    """-ln p(x)."""
    return 0.5 * (LOG_2PI + p.log_var + (x - p.mean).square() * (-p.log_var).exp()).sum(-1)
