"""What a world is: it keeps its own state, takes actions and shows observations, for a whole batch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.action import check_actions
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.names import Axes

Observations = tuple[Int[Tensor, " batch"], ...]
"""One outcome a modality and row; -1 where nothing was to be seen."""
Actions = Int[Tensor, "batch controls"]


@runtime_checkable
class Environment(Protocol):
    """What an agent can live in."""

    def reset(self, batch: int = 1, generator: torch.Generator | None = None) -> Observations:
        """Begin anew, for `batch` independent copies; what is seen first."""
        ...

    def step(self, actions: Actions) -> Observations:
        """Do what is asked; what is seen then."""
        ...


class World(ABC):
    """A world that draws its states and observations from the tables of a generative model.

    Settings are the fields of the world at hand; `states` is where it stands, and no agent sees it.
    """

    shows_start: bool = True
    """Whether anything is seen before the first action."""
    dtype: torch.dtype
    device: str
    states: Int[Tensor, "batch factors"]
    """The hidden state of every copy, since the last reset."""
    _process: GenerativeModel | None = None
    _generator: torch.Generator | None = None

    @property
    @abstractmethod
    def axes(self) -> Axes:
        """What its states, observations and actions are called, in the order of `model`."""

    @abstractmethod
    def model(self) -> GenerativeModel:
        """What an agent that knows the rules believes before it has seen anything, and what it prefers."""

    def truth(self, batch: int, generator: torch.Generator | None) -> GenerativeModel:
        """How the world works: as `model` says, unless a world keeps something from the agent."""
        return self.model()

    @property
    def process(self) -> GenerativeModel:
        """The tables this world draws from since its last reset. Raises RuntimeError before the first."""
        if self._process is None:
            raise RuntimeError(f"{type(self).__name__} has not begun: call reset(batch, generator) first")
        return self._process

    def reset(self, batch: int = 1, generator: torch.Generator | None = None) -> Observations:
        """Begin anew, each copy in a state drawn from D; all later draws use `generator` as well."""
        self._generator = generator
        self._process = self.truth(batch, generator)
        if self._process.batch not in (None, batch):
            raise ValueError(f"this world has {self._process.batch} copies, each its own, got batch={batch}")
        shared = self._process.batch is None
        starts = [d.expand(batch, -1) if shared else d for d in self._process.D]
        self.states = torch.stack([self._draw(p) for p in starts], dim=1)
        if not self.shows_start:
            return tuple(self.states.new_full((batch,), -1) for _ in self._process.A)
        return self._look()

    def step(self, actions: Actions) -> Observations:
        """Move every copy by its action, and look."""
        truth = self.process
        check_actions(actions, len(self.states), truth.n_actions)
        moved = [
            self._draw(
                self._column(b, [self.states[:, f] for f in parents] + [actions[:, c] for c in controls])
            )
            for b, parents, controls in zip(truth.B, truth.B_factors, truth.B_controls, strict=True)
        ]
        self.states = torch.stack(moved, dim=1)
        return self._look()

    def _believed(
        self, A: Sequence[Tensor], B: Sequence[Tensor], C: Sequence[Tensor], D: Sequence[Tensor], **other: Any
    ) -> GenerativeModel:
        """A model of these tables, whatever their precision, in that of this world."""
        A, B, C, D = (tuple(t.to(self.device, self.dtype) for t in tables) for tables in (A, B, C, D))
        return GenerativeModel(A, B, C, D, **other)

    def _look(self) -> Observations:
        truth = self.process
        return tuple(
            self._draw(self._column(a, [self.states[:, f] for f in factors]))
            for a, factors in zip(truth.A, truth.A_factors, strict=True)
        )

    def _column(self, table: Tensor, at: Sequence[Int[Tensor, " batch"]]) -> Float[Tensor, "batch outcomes"]:
        """The distribution in the column `at` of a table (outcomes, *at), or of each row's own table."""
        own = self.process.batch is not None
        rows = [torch.arange(len(table), device=table.device)] if own else []
        column: Tensor = table.movedim(1 if own else 0, -1)[(*rows, *at)]
        return column.expand(len(self.states), -1)

    def _draw(self, p: Float[Tensor, "batch outcomes"]) -> Int[Tensor, " batch"]:
        return torch.multinomial(p, 1, generator=self._generator)[:, 0]
