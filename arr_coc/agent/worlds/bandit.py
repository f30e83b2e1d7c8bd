"""Bernoulli bandit: arms that win with probabilities which only pulling them can tell."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.names import Axes
from arr_coc.agent.worlds.world import World


@dataclass
class Bandit(World):
    """The state is the arm pulled last. Nothing is seen before the first pull.

    What an agent has to learn is A: it begins with Beta(`prior`) for the chance of each arm.
    """

    OUTCOMES: ClassVar = ("lose", "win")
    shows_start = False

    arms: int = 3
    chances: tuple[float, ...] | None = None
    """Chance of winning with each arm; None draws others for every copy at every reset, uniform in (0, 1)."""
    win: float = 2.0
    """Log-preference for winning over losing, in nats."""
    prior: tuple[float, float] = (1.0, 1.0)
    """Counts of losses and wins that the agent begins with."""
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.chances is not None and len(self.chances) != self.arms:
            raise ValueError(f"chances must be given for {self.arms} arms, got {len(self.chances)}")

    @property
    def axes(self) -> Axes:
        """Factor and control: the arm. Modalities: the outcome, and the arm."""
        arms = tuple(map(str, range(self.arms)))
        return Axes(
            states={"arm": arms}, observations={"outcome": self.OUTCOMES, "arm": arms}, actions={"pull": arms}
        )

    def model(self) -> GenerativeModel:
        """Chances are their means under `prior`, with counts `pA` to learn from."""
        counts = torch.tensor(self.prior)[:, None].repeat(1, self.arms)
        known = torch.eye(self.arms)
        return GenerativeModel(
            A=(counts / counts.sum(0), known),
            B=(self._pull(),),
            C=(torch.tensor([0.0, self.win]), torch.zeros(self.arms)),
            pA=(counts, known),
        ).to(self.device, self.dtype)

    def truth(self, batch: int, generator: torch.Generator | None) -> GenerativeModel:
        """The chances as they are, for each copy."""
        if self.chances is None:
            win = torch.rand(batch, self.arms, generator=generator, device=self.device)
        else:
            win = torch.tensor(self.chances, device=self.device).expand(batch, -1)
        outcome = torch.stack([1 - win, win], dim=1)  # (batch, outcome, arm)
        model = self.model().expand(batch)
        return model.replace(A=(outcome.to(self.dtype), model.A[1]))

    def _pull(self) -> Tensor:
        return torch.eye(self.arms)[:, None, :].repeat(1, self.arms, 1)  # (next, previous, action)
