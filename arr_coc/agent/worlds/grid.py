"""Grid world: a plan with walls, a start and a goal, in which one walks one cell at a time."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.names import Axes
from arr_coc.agent.worlds.world import World

Cell = tuple[int, int]
MOVES = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1), "stay": (0, 0)}
"""Actions, in order, and the change of (row, column)."""


@dataclass
class GridWorld(World):
    """Cells are counted along the rows, walls left out. The agent sees its cell, or one beside it."""

    plan: tuple[str, ...] = ("S..#.", ".#.#.", ".#...", "....G")
    """One string a row: `S` start, `G` goal, `#` wall, any other a free cell."""
    goal: float = 4.0
    """Log-preference for the goal over any other cell, in nats."""
    slip: float = 0.0
    """How probable a step is to fail and leave the agent where it was."""
    blur: float = 0.0
    """How probable it is to see one of the neighbouring cells, all alike, in place of one's own."""
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    @property
    def cells(self) -> tuple[Cell, ...]:
        """(row, column) of each state and outcome."""
        return tuple((r, c) for r, row in enumerate(self.plan) for c, mark in enumerate(row) if mark != "#")

    def find(self, mark: str) -> int:
        """The state of the one cell with this mark. Raises ValueError unless there is one."""
        found = [i for i, (r, c) in enumerate(self.cells) if self.plan[r][c] == mark]
        if len(found) != 1:
            raise ValueError(f"the plan must have one cell {mark!r}, got {len(found)} in {self.plan}")
        return found[0]

    @property
    def axes(self) -> Axes:
        """One factor and modality, the cell: "row,column". One control: the move."""
        names = tuple(f"{r},{c}" for r, c in self.cells)
        return Axes(states={"cell": names}, observations={"cell": names}, actions={"move": tuple(MOVES)})

    def model(self) -> GenerativeModel:
        """The plan is known, and where one starts."""
        n = len(self.cells)
        go, stay = walks(self.cells).double(), torch.eye(n, dtype=torch.double)
        near = go[..., :4].sum(2).fill_diagonal_(0)
        near = torch.where(near.sum(0) > 0, near / near.sum(0).clamp_min(1), stay)
        preference = torch.zeros(n)
        preference[self.find("G")] = self.goal
        return self._believed(
            A=((1 - self.blur) * stay + self.blur * near,),
            B=((1 - self.slip) * go + self.slip * stay[..., None],),
            C=(preference,),
            D=(stay[self.find("S")],),
        )


def walks(cells: tuple[Cell, ...]) -> Float[Tensor, "next previous actions"]:
    """Where each of `MOVES` leads from each cell; into a wall or over the edge leads nowhere."""
    at = {cell: i for i, cell in enumerate(cells)}
    go = torch.zeros(len(cells), len(cells), len(MOVES))
    for (r, c), i in at.items():
        for a, (down, right) in enumerate(MOVES.values()):
            go[at.get((r + down, c + right), i), i, a] = 1.0
    return go
