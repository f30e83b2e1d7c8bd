"""Random problems to try claims on: small worlds, seen and partly seen, drawn from a seed."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.model import GenerativeModel

DTYPE = torch.float64


def source(seed: int) -> torch.Generator:
    """All chance of one problem."""
    return torch.Generator().manual_seed(seed)


def distributions(generator: torch.Generator, *shape: int) -> Float[Tensor, "..."]:
    """Random distributions along the first axis; nothing is impossible."""
    x = torch.rand(*shape, generator=generator, dtype=DTYPE) ** 3 + 1e-3
    return x / x.sum(0)


def partly_seen(
    generator: torch.Generator, states: int = 3, obs: int = 2, actions: int = 2, wish: float = 2.0
) -> GenerativeModel:
    """A world of one factor whose outcomes tell something of the state; preferences ~ N(0, wish^2)."""
    return GenerativeModel(
        A=distributions(generator, obs, states),
        B=distributions(generator, states, states, actions),
        C=wish * torch.randn(obs, generator=generator, dtype=DTYPE),
        D=distributions(generator, states),
    )


def seen(
    generator: torch.Generator,
    states: int = 4,
    actions: int = 3,
    deterministic: bool = False,
    wish: float = 2.0,
) -> GenerativeModel:
    """A world whose state is the outcome."""
    if deterministic:
        goes = torch.randint(states, (states, actions), generator=generator)
        B = torch.eye(states, dtype=DTYPE)[goes].permute(2, 0, 1)
    else:
        B = distributions(generator, states, states, actions)
    return GenerativeModel(
        A=torch.eye(states, dtype=DTYPE),
        B=B,
        C=wish * torch.randn(states, generator=generator, dtype=DTYPE),
        D=distributions(generator, states),
    )


@dataclass(frozen=True)
class LinearGaussian:
    """x_0 ~ N(mean, covariance); x' = transition x + noise; y = observation x + noise."""

    transition: Float[Tensor, "states states"]
    observation: Float[Tensor, "obs states"]
    transition_noise: Float[Tensor, "states states"]
    """Covariance."""
    observation_noise: Float[Tensor, "obs obs"]
    """Covariance."""
    mean: Float[Tensor, " states"]
    covariance: Float[Tensor, "states states"]

    @classmethod
    def drawn(cls, generator: torch.Generator, states: int = 3, obs: int = 2) -> "LinearGaussian":
        """Random: the dynamics neither explode nor stand still, no noise is negligible."""

        def matrix(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=DTYPE)

        def covariance(n: int) -> Tensor:
            root = matrix(n, n)
            return root @ root.T / n + 0.1 * torch.eye(n, dtype=DTYPE)

        turn = torch.linalg.qr(matrix(states, states)).Q
        return cls(
            0.95 * turn, matrix(obs, states), covariance(states), covariance(obs), matrix(states),
            covariance(states),
        )  # fmt: skip

    def sample(self, generator: torch.Generator, steps: int) -> Float[Tensor, "steps obs"]:
        """What is seen in one life of so many steps."""

        def noise(covariance: Tensor) -> Tensor:
            root: Tensor = torch.linalg.cholesky(covariance)
            return root @ torch.randn(len(covariance), generator=generator, dtype=DTYPE)

        x, seen = self.mean + noise(self.covariance), []
        for _ in range(steps):
            seen.append(self.observation @ x + noise(self.observation_noise))
            x = self.transition @ x + noise(self.transition_noise)
        return torch.stack(seen)
