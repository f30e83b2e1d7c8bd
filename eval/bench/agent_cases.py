"""Planning problems of the agent's bench: random models of fixed shapes, and beliefs and observations for
them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.policies import all_policies


@dataclass(frozen=True)
class Problem:
    """A model's shape and which policies are considered."""

    name: str
    states: tuple[int, ...]
    outcomes: tuple[int, ...]
    actions: tuple[int, ...]
    horizon: int
    sample: int | None = None
    """So many of all policies, drawn at random, in order."""

    def model(self, seed: int) -> GenerativeModel:
        """Every modality depends on all factors; columns are sparse Dirichlet draws."""
        rng = np.random.default_rng(seed)
        A = tuple(_columns(rng, (o, *self.states)) for o in self.outcomes)
        B = tuple(_columns(rng, (n, n, k)) for n, k in zip(self.states, self.actions, strict=True))
        C = tuple(torch.from_numpy(rng.normal(size=o).astype(np.float32)) for o in self.outcomes)
        return GenerativeModel(A, B, C)

    def policies(self, seed: int) -> Tensor:
        """(policies, horizon, controls)."""
        every = all_policies(self.actions, self.horizon)
        if self.sample is None:
            return every
        chosen = np.random.default_rng(seed).choice(len(every), self.sample, replace=False)
        return every[torch.from_numpy(np.sort(chosen))]

    def beliefs(self, batch: int, seed: int) -> tuple[Tensor, ...]:
        """Of a batch of agents."""
        rng = np.random.default_rng(seed + 1)
        draws = (rng.dirichlet(np.ones(n), size=batch).astype(np.float32) for n in self.states)
        return tuple(map(torch.from_numpy, draws))

    def observations(self, batch: int, seed: int) -> tuple[Tensor, ...]:
        """One index for each modality and agent."""
        rng = np.random.default_rng(seed + 2)
        return tuple(torch.from_numpy(rng.integers(0, o, size=batch)) for o in self.outcomes)


def _columns(rng: np.random.Generator, shape: Sequence[int]) -> Tensor:
    draws = rng.gamma(0.3, size=tuple(shape)) + 1e-6
    return torch.from_numpy((draws / draws.sum(0)).astype(np.float32))


PROBLEMS = {
    "1,000 policies": Problem("1,000 policies: 10 actions, 3 steps", (64,), (100,), (10,), 3),
    "10,000 policies": Problem("10,000 policies: 10 actions, 4 steps", (64,), (100,), (10,), 4),
    "sampled": Problem("1,000 random policies of 4 steps: 10 actions", (64,), (100,), (10,), 4, 1000),
    "unrelated": Problem("1,000 unrelated actions of one step", (64,), (100,), (1000,), 1),
    "4 factors": Problem(
        "4 factors x 10 states, 1,024 policies of 5 steps", (10,) * 4, (10,) * 3, (4, 1, 1, 1), 5
    ),
    "2 controls": Problem(
        "4 factors, 2 of them controlled, 1,024 policies", (10,) * 4, (10,) * 3, (2, 2, 1, 1), 5
    ),
}
CASES = tuple(
    (name, batch)
    for name, batch in product(PROBLEMS, (1, 64))
    if (name, batch) not in (("10,000 policies", 64), ("sampled", 1), ("2 controls", 64))
)
"""What is timed: a problem and how many agents."""
