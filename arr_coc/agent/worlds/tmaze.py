"""T-maze with a cue: two arms, one reward, one try, and a place that tells which arm it is."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.names import Axes
from arr_coc.agent.worlds.world import World


@dataclass
class TMaze(World):
    """An agent at the centre may go anywhere in one step, but cannot leave an arm again.

    After Friston et al., Neural Computation 29 (2017), https://doi.org/10.1162/NECO_a_00912.
    """

    PLACES: ClassVar = ("centre", "left", "right", "cue")
    CONTEXTS: ClassVar = ("reward left", "reward right")
    OUTCOMES: ClassVar = ("nothing", "reward", "loss")
    CUES: ClassVar = ("nothing", "left", "right")

    reward: float = 2.0
    """Log-preference for a reward over nothing, in nats."""
    loss: float = -4.0
    """The same of a loss."""
    reward_probability: float = 0.98
    """How probable a reward is in the right arm, and a loss in the wrong one."""
    cue_reliability: float = 1.0
    """How probable the cue is to tell the truth."""
    prior: tuple[float, float] = (0.5, 0.5)
    """How probable each context is."""
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    @property
    def axes(self) -> Axes:
        """Factors: place and context. Modalities: place, outcome, cue. One control: where to go."""
        return Axes(
            states={"place": self.PLACES, "context": self.CONTEXTS},
            observations={"place": self.PLACES, "outcome": self.OUTCOMES, "cue": self.CUES},
            actions={"go": self.PLACES},
        )

    def model(self) -> GenerativeModel:
        """The context is open, all else is known."""
        n = len(self.PLACES)
        left, right, cue = 1, 2, 3
        go = torch.eye(n)[:, None, :].repeat(1, n, 1)  # (next, previous, action): go where you like
        for arm in (left, right):
            go[:, arm] = torch.eye(n)[arm, :, None]  # an arm holds whoever entered it
        outcome = torch.zeros(3, n, 2, dtype=torch.double)
        outcome[0] = 1.0
        for arm, own in ((left, 0), (right, 1)):
            outcome[:, arm] = _told(self.reward_probability, own)
        told = torch.zeros(3, n, 2, dtype=torch.double)
        told[0] = 1.0
        told[:, cue] = _told(self.cue_reliability, 0)
        return self._believed(
            A=(torch.eye(n), outcome, told),
            B=(go, torch.eye(2)),
            C=(torch.zeros(n), torch.tensor([0.0, self.reward, self.loss]), torch.zeros(3)),
            D=(torch.eye(n)[0], torch.tensor(self.prior, dtype=torch.double)),
            A_factors=((0,), (0, 1), (0, 1)),
            B_controls=((0,), ()),
        )


def _told(p: float, own: int) -> Tensor:
    """(nothing, first, second) by context: first with p in context `own` and with 1 - p in the other."""
    first = torch.full((2,), 1 - p, dtype=torch.double)
    first[own] = p
    return torch.stack([torch.zeros_like(first), first, 1 - first])
