"""Two slot machines and a hint: choose at once for the larger win, or ask first and win less."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.names import Axes
from arr_coc.agent.worlds.world import World


@dataclass
class SlotMachines(World):
    """The explore-exploit task: a trial is two steps long, and one machine is better throughout it.

    Smith, Friston and Whyte (2022), https://doi.org/10.1016/j.jmp.2021.102632, section 3, whose numbers are
    the defaults. An agent that takes `policies` whole, as there, is `Retrospective(world.policies)`.
    """

    CONTEXTS: ClassVar = ("left better", "right better")
    CHOICES: ClassVar = ("start", "hint", "left", "right")
    HINTS: ClassVar = ("nothing", "left", "right")
    OUTCOMES: ClassVar = ("nothing", "loss", "win")

    risk_seeking: float = 4.0
    """rs, log-preference for a win at the first step, in nats; at the second it is worth half."""
    loss_aversion: float = 1.0
    """la, the same against a loss."""
    win_probability: float = 0.8
    """pWin, of the better machine; of the other it is the rest."""
    hint_reliability: float = 1.0
    """pHA, how probable the hint is to be right."""
    prior: tuple[float, float] = (0.25, 0.25)
    """d, the counts of trials with either context that an agent begins with."""
    left_better: float = 1.0
    """How probable the left machine is to be the better one, in truth."""
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    @property
    def axes(self) -> Axes:
        """Factors: context and choice. Modalities: hint, outcome, choice. One control: what to choose."""
        return Axes(
            states={"context": self.CONTEXTS, "choice": self.CHOICES},
            observations={"hint": self.HINTS, "outcome": self.OUTCOMES, "choice": self.CHOICES},
            actions={"choose": self.CHOICES},
        )

    @property
    def policies(self) -> Int[Tensor, "5 2 1"]:
        """Wait; ask, then left or right; left or right at once, then back to the start."""
        start, hint, left, right = range(4)
        plans = [[start, start], [hint, left], [hint, right], [left, start], [right, start]]
        return torch.tensor(plans)[..., None]

    def model(self) -> GenerativeModel:
        """The context is open, with counts `pD` to learn from; all else is known."""
        hint, outcome = (torch.zeros(3, 2, 4, dtype=torch.double) for _ in range(2))
        hint[0, :, [0, 2, 3]] = 1.0
        hint[1:, :, 1] = _told(self.hint_reliability)
        outcome[0, :, :2] = 1.0
        better = _told(self.win_probability)  # of left: (win, loss) by context
        outcome[1:, :, 2] = better.flip(0)
        outcome[1:, :, 3] = better
        win, loss = self.risk_seeking, self.loss_aversion
        prior = torch.tensor(self.prior, dtype=torch.double)
        start = torch.eye(4)[0]
        return self._believed(
            A=(hint, outcome, torch.eye(4)),
            B=(torch.eye(2), torch.eye(4)[:, None, :].repeat(1, 4, 1)),
            C=(torch.zeros(3), torch.tensor([[0.0, -loss, win], [0.0, -loss, win / 2]]), torch.zeros(4)),
            D=(prior / prior.sum(), start),
            A_factors=((0, 1), (0, 1), (1,)),
            B_controls=((), (0,)),
            pD=tuple(p.to(self.device, self.dtype) for p in (prior, start)),
        )

    def truth(self, batch: int, generator: torch.Generator | None) -> GenerativeModel:
        """The context as it is drawn."""
        model = self.model()
        context = model.D[0].new_tensor([self.left_better, 1 - self.left_better])
        return model.replace(D=(context, model.D[1]))


def _told(p: float) -> Tensor:
    """(first, second) by context: its own with probability p."""
    return torch.tensor([[p, 1 - p], [1 - p, p]], dtype=torch.double)
