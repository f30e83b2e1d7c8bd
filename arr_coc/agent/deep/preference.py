"""What an agent wants to observe: ln p~(o), expected under what it predicts."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from arr_coc.agent.deep.gaussian import Gaussian
from arr_coc.agent.deep.networks import mlp


@runtime_checkable
class Preference(Protocol):
    """A density over observations, known up to a constant."""

    def expected_log(self, obs: Gaussian) -> Float[Tensor, "time *batch"]:
        """E_o[ln p~(o)] of predicted observations (time, ..., obs), step by step, in nats."""
        ...


@dataclass(frozen=True)
class GaussianPreference:
    """ln p~(o) = -1/2 sum ((o - mean) / std)^2. An infinite std says that a dimension does not matter."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"a mean and a std for every dimension, got {len(self.mean)} and {len(self.std)}"
            )
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std}")

    def expected_log(self, obs: Gaussian) -> Float[Tensor, "time *batch"]:
        """The variance of what is predicted costs tr(Sigma / std^2) / 2."""
        mean, std = obs.mean.new_tensor(self.mean), obs.mean.new_tensor(self.std)
        return -0.5 * ((obs.mean - mean).square() + obs.var) @ std.pow(-2)


@dataclass(frozen=True)
class StepPreference:
    """ln p~(o) = `nats` where o[dim] >= at, else 0: a goal, and nothing that leads there."""

    dim: int
    at: float
    nats: float = 1.0

    def expected_log(self, obs: Gaussian) -> Float[Tensor, "time *batch"]:
        """nats * P(o[dim] >= at), the Gaussian's tail."""
        z = (obs.mean[..., self.dim] - self.at) * (-0.5 * obs.log_var[..., self.dim]).exp()
        share: Tensor = torch.special.ndtr(z)
        return self.nats * share


class LearnedPreference(nn.Module):
    """ln p~(o) = r(o): reward, and whether life goes on, learned from what was received.

    With it an agent maximises expected reward. What comes after a likely end counts by the chance of
    getting there.
    """

    scale: Tensor

    def __init__(self, obs_dim: int, hidden: int = 32, seed: int = 0) -> None:
        super().__init__()
        self.net = mlp(obs_dim, 2, hidden, torch.Generator().manual_seed(seed))
        self.register_buffer("scale", torch.ones(obs_dim))

    def expected_log(self, obs: Gaussian) -> Float[Tensor, "time *batch"]:
        """Reward of the mean observation, weighted by the probability of being there at all."""
        reward, end = self.net(obs.mean / self.scale).float().unbind(-1)
        alive = functional.logsigmoid(-end).cumsum(0)
        before = torch.cat([torch.zeros_like(alive[:1]), alive[:-1]])
        reached: Tensor = reward * before.exp()
        return reached

    def loss(
        self,
        obs: Float[Tensor, "batch obs"],
        reward: Float[Tensor, " batch"],
        ended: Float[Tensor, " batch"],
    ) -> Float[Tensor, ""]:
        """Squared error of the reward and cross-entropy of the end."""
        predicted, end = self.net(obs / self.scale).float().unbind(-1)
        return functional.mse_loss(predicted, reward) + functional.binary_cross_entropy_with_logits(
            end, ended
        )


def categorical_risk(
    predicted: Float[Tensor, "*batch outcomes"], log_preferred: Float[Tensor, " outcomes"]
) -> Float[Tensor, "*batch"]:
    """KL[Q(o) || P~(o)] of categorical outcomes: predicted first, one number an event, C as logits."""
    wanted = functional.log_softmax(log_preferred.float(), -1).expand_as(predicted)
    return functional.kl_div(wanted, predicted.float(), reduction="none").sum(-1)
