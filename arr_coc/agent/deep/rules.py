"""Closed-loop policies: linear rules that look at the state, as the plans of an unstable world must."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Rules:
    """The action whose linear score of the state, and a constant, is highest."""

    weights: Float[Tensor, "rows actions states_and_1"]

    def act(
        self, time: int, state: Float[Tensor, "members rows states"]
    ) -> Float[Tensor, "members rows actions"]:
        """One-hot; the same at any time."""
        score = (state[..., None, :] * self.weights[..., :-1]).sum(-1) + self.weights[..., -1]
        return (score == score.amax(-1, keepdim=True)).to(state.dtype)

    def take(self, rows: Int[Tensor, " n"]) -> "Rules":
        """Some of the rules."""
        return Rules(self.weights[rows])


@dataclass(frozen=True)
class RuleSearch:
    """Cross-entropy search over linear rules, which hold from one search, and one episode, to the next."""

    horizon: int = 50
    candidates: int = 32
    rounds: int = 1
    commit: int = 10
    elites: int = 8
    kept: int = 4
    """Elites that the next search looks at again."""
    least: float = 0.2
    """Standard deviation of the weights that is never fallen below."""
    fresh: float = 0.25
    """Share of the candidates that are drawn as if nothing were known."""

    def __post_init__(self) -> None:
        if not 0 < self.kept <= self.elites <= self.candidates:
            raise ValueError(f"need 0 < kept <= elites <= candidates, got {self}")
        if not 0 < self.commit <= self.horizon:
            raise ValueError(f"need 0 < commit <= horizon, got {self}")

    def start(self, batch: int, states: int, n_actions: int) -> dict[str, Tensor]:
        """Weights of N(0, 1)."""
        shape = (batch, n_actions, states + 1)
        best = torch.zeros(batch, 0, n_actions, states + 1)
        return {"mean": torch.zeros(shape), "std": torch.ones(shape), "best": best}

    def begin(self, memory: dict[str, Tensor]) -> dict[str, Tensor] | None:
        """A rule is for anywhere: all of it."""
        return memory

    def draw(self, memory: dict[str, Tensor], generator: torch.Generator | None) -> Tensor:
        """The rules that were best, new ones near them, and some from anywhere."""
        mean, std = memory["mean"], memory["std"]
        noise = torch.randn(mean.shape[0], self.candidates, *mean.shape[1:], generator=generator)
        fresh = int(self.fresh * self.candidates)
        near = mean[:, None] + std[:, None] * noise[:, fresh:]
        return torch.cat([memory["best"], noise[:, :fresh], near], 1)

    def policies(self, candidates: Tensor, n_actions: int) -> Rules:
        """Weights as rules."""
        return Rules(candidates)

    def refit(self, memory: dict[str, Tensor], elites: Tensor) -> dict[str, Tensor]:
        """Mean and spread of the best, each scaled to length 1 an action, which changes no choice of theirs.

        Nor does what all actions' scores have in common.
        """
        centred = elites - elites.mean(2, keepdim=True)
        size = centred.square().mean((2, 3), keepdim=True).sqrt().clamp_min(1e-6)
        scaled = centred / size
        return {
            "mean": scaled.mean(1),
            "std": scaled.std(1, correction=0).clamp_min(self.least),
            "best": scaled[:, : self.kept],
        }

    def later(self, memory: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
        """The same."""
        return memory
