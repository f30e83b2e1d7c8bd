"""Epistemic chaining: a cue tells where the next cue is, and that one where the reward is."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.names import Axes
from arr_coc.agent.worlds.grid import MOVES, Cell, walks
from arr_coc.agent.worlds.world import World


@dataclass
class EpistemicChain(World):
    """An open grid: a first cue in a known cell, a second in one of several, then cheese or a shock.

    A small relative of the demonstration of that name by Heins et al. (2022),
    https://arxiv.org/abs/2201.03904. From anywhere to anywhere that matters it is four steps at most.
    """

    OUTCOMES: ClassVar = ("nothing", "cheese", "shock")

    rows: int = 3
    columns: int = 4
    start: Cell = (1, 0)
    first: Cell = (1, 1)
    """Where the first cue is."""
    second: tuple[Cell, ...] = ((0, 1), (0, 2), (2, 1), (2, 2))
    """Where the second cue may be."""
    rewards: tuple[Cell, Cell] = ((0, 3), (2, 3))
    """One has the cheese, the other the shock."""
    cheese: float = 2.0
    """Log-preference for cheese over nothing, in nats."""
    shock: float = -4.0
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    @property
    def cells(self) -> tuple[Cell, ...]:
        """(row, column) of each state of the first factor and outcome of the first modality."""
        return tuple((r, c) for r in range(self.rows) for c in range(self.columns))

    @property
    def axes(self) -> Axes:
        """Cells are "row,column". The cues tell, of those that are possible, which cell is the one."""
        cells, second, rewards = (
            tuple(f"{r},{c}" for r, c in some) for some in (self.cells, self.second, self.rewards)
        )
        return Axes(
            states={"cell": cells, "second cue": second, "cheese": rewards},
            observations={
                "cell": cells,
                "first cue": ("nothing", *second),
                "second cue": ("nothing", *rewards),
                "outcome": self.OUTCOMES,
            },
            actions={"move": tuple(MOVES)},
        )

    def model(self) -> GenerativeModel:
        """Where the second cue and the cheese are is open, all else is known."""
        cells, n, cues = self.cells, self.rows * self.columns, len(self.second)
        first = torch.zeros(1 + cues, n, cues)
        first[0] = 1.0
        first[:, cells.index(self.first)] = torch.eye(1 + cues)[:, 1:]
        told = torch.eye(3)[:, 1:]  # (outcome, which reward cell)
        second = torch.zeros(3, n, cues, 2)
        second[0] = 1.0
        for k, cell in enumerate(self.second):
            second[:, cells.index(cell), k] = told
        outcome = torch.zeros(3, n, 2)
        outcome[0] = 1.0
        for k, cell in enumerate(self.rewards):
            outcome[:, cells.index(cell)] = told if k == 0 else told.flip(1)
        return self._believed(
            A=(torch.eye(n), first, second, outcome),
            B=(walks(cells), torch.eye(cues), torch.eye(2)),
            C=(
                torch.zeros(n),
                torch.zeros(1 + cues),
                torch.zeros(3),
                torch.tensor([0.0, self.cheese, self.shock]),
            ),
            D=(
                torch.eye(n)[cells.index(self.start)],
                torch.full((cues,), 1 / cues, dtype=torch.double),
                torch.full((2,), 0.5),
            ),
            A_factors=((0,), (0, 1), (0, 1, 2), (0, 2)),
            B_controls=((0,), (), ()),
        )
