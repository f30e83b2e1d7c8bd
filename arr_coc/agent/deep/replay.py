"""Replay: the last steps lived, drawn from at random."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

FIELDS = ("obs", "action", "next_obs", "reward", "ended", "first")


class Replay:
    """Transitions in a ring of fixed size. An end is where the world ended, not where time ran out."""

    def __init__(self, capacity: int, obs_dim: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be positive, got {capacity}")
        self.obs = torch.zeros(capacity, obs_dim)
        self.next_obs = torch.zeros(capacity, obs_dim)
        self.action = torch.zeros(capacity, dtype=torch.long)
        self.reward = torch.zeros(capacity)
        self.ended = torch.zeros(capacity)
        self.first = torch.zeros(capacity)
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, len(self.obs))

    def add(
        self,
        obs: Float[Tensor, "batch obs"],
        action: Int[Tensor, " batch"],
        next_obs: Float[Tensor, "batch obs"],
        reward: Float[Tensor, " batch"],
        ended: Bool[Tensor, " batch"],
        first: Bool[Tensor, " batch"],
    ) -> None:
        """Remember a step of every row; the oldest are forgotten."""
        at = (self.added + torch.arange(len(obs))) % len(self.obs)
        for name, value in zip(FIELDS, (obs, action, next_obs, reward, ended, first), strict=True):
            store: Tensor = getattr(self, name)
            store[at] = value.to(store)
        self.added += len(obs)

    def draw(self, shape: tuple[int, ...], generator: torch.Generator | None) -> Int[Tensor, "..."]:
        """Indices, with replacement. Raises RuntimeError if nothing was lived yet."""
        if not len(self):
            raise RuntimeError("the replay is empty: observe() a step before learn()")
        return torch.randint(len(self), shape, generator=generator)
