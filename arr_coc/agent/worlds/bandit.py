"""Bernoulli bandit: arms that win with probabilities which only pulling them can tell."""

from dataclasses import dataclass
from typing import ClassVar

import torch

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
        if self.chances is not None and not all(0 <= p <= 1 for p in self.chances):
            raise ValueError(f"chances must lie in [0, 1], got {self.chances}")

    @property
    def axes(self) -> Axes:
        """Factor and control: the arm. Modalities: the outcome, and the arm."""
        arms = tuple(map(str, range(self.arms)))
        return Axes(
            states={"arm": arms}, observations={"outcome": self.OUTCOMES, "arm": arms}, actions={"pull": arms}
        )

    def model(self) -> GenerativeModel:
        """Chances are their means under `prior`, with counts `pA` to learn from."""
        counts = torch.tensor(self.prior, dtype=torch.double)[:, None].repeat(1, self.arms)
        known, uniform = torch.eye(self.arms), torch.full((self.arms,), 1 / self.arms, dtype=torch.double)
        return self._believed(
            A=(counts / counts.sum(0), known),
            B=(known[:, None, :].repeat(1, self.arms, 1),),  # (next, previous, action): what is pulled
            C=(torch.tensor([0.0, self.win]), torch.zeros(self.arms)),
            D=(uniform,),
            pA=tuple(p.to(self.device, self.dtype) for p in (counts, known)),
        )

    def truth(self, batch: int, generator: torch.Generator | None) -> GenerativeModel:
        """The chances as they are, for each copy."""
        if self.chances is None:
            win = torch.rand(batch, self.arms, generator=generator, dtype=self.dtype, device=self.device)
        else:
            win = torch.tensor(self.chances, dtype=self.dtype, device=self.device).expand(batch, -1)
        outcome = torch.stack([1 - win, win], dim=1)  # (batch, outcome, arm)
        model = self.model().expand(batch)
        return model.replace(A=(outcome, model.A[1]))
