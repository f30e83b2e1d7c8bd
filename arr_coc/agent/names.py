"""States, observations and actions by name: build a model from names, and translate to and from indices."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.evidence import Observation
from arr_coc.agent.model import GenerativeModel

Names = Mapping[str, Sequence[str]]
Cell = tuple[str, ...] | str


@dataclass(frozen=True)
class Axes:
    """What the axes of a model's tensors are called; the order of the names is the order of the indices.

    Raises ValueError where a name is given twice.
    """

    states: Names
    """For each factor its states."""
    observations: Names
    """For each modality its outcomes."""
    actions: Names
    """For each control its actions."""

    def __post_init__(self) -> None:
        for kind in ("states", "observations", "actions"):
            for axis, values in getattr(self, kind).items():
                if len(set(values)) != len(values) or not values:
                    raise ValueError(f"{kind} of {axis!r} must have different names, got {list(values)}")

    def state(self, factor: str, name: str) -> int:
        """Index of a state."""
        return _index(_find(self.states, factor, "factor"), name, f"state of {factor!r}")

    def observation(self, modality: str, name: str) -> int:
        """Index of an outcome."""
        return _index(_find(self.observations, modality, "modality"), name, f"outcome of {modality!r}")

    def observe(self, **seen: str) -> tuple[Observation, ...]:
        """What one agent saw, by modality, for `infer_states`; a modality left out was not observed."""
        for modality in seen:
            _find(self.observations, modality, "modality")
        return tuple(
            torch.tensor([self.observation(m, seen[m])]) if m in seen else None for m in self.observations
        )

    def act(self, **chosen: str) -> Int[Tensor, "1 controls"]:
        """An action of one agent, by control; every control must be given."""
        for control in chosen:
            _find(self.actions, control, "control")
        missing = [c for c in self.actions if c not in chosen]
        if missing:
            raise ValueError(f"an action needs every control, {', '.join(map(repr, missing))} is missing")
        indices = [_index(v, chosen[c], f"action of {c!r}") for c, v in self.actions.items()]
        return torch.tensor([indices], dtype=torch.long)

    def action_names(self, action: Int[Tensor, " controls"]) -> dict[str, str]:
        """What an action is called, by control."""
        indices = action.tolist()
        return {c: names[i] for (c, names), i in zip(self.actions.items(), indices, strict=True)}

    def beliefs(self, qs: Sequence[Float[Tensor, " states"]]) -> dict[str, dict[str, float]]:
        """One agent's beliefs by factor and state."""
        return {
            factor: dict(zip(names, q.tolist(), strict=True))
            for (factor, names), q in zip(self.states.items(), qs, strict=True)
        }


@dataclass(frozen=True)
class Given:
    """A distribution by name, conditional on others: P(this | parents, controls).

    `table`: (this, *parents, *controls), or its values by name: `{("heads", "fair"): 0.5, ...}` in that
    order, zero where nothing is said.
    """

    table: Float[Tensor, "..."] | Mapping[Cell, float]
    parents: Sequence[str] = ()
    """Factors it depends on."""
    controls: Sequence[str] = ()
    """Controls it depends on."""


def named(
    axes: Axes,
    A: Mapping[str, Given],
    B: Mapping[str, Given],
    C: Mapping[str, Mapping[str, float]],
    D: Mapping[str, Mapping[str, float]] | None = None,
    dtype: torch.dtype = torch.float32,
) -> GenerativeModel:
    """A generative model from tables by name, its factors, modalities and controls in the order of `axes`.

    `A`: for each modality, given factors. `B`: for each factor, given factors before and controls. `C`:
    log-preferences by outcome, in nats, 0 where nothing is said. `D`: probabilities by state; uniform for a
    factor that is left out. Raises KeyError for a name that `axes` lacks, and ValueError for a modality or
    factor without a table or for one that does not sum to 1.
    """
    _complete("A", A, axes.observations)
    _complete("B", B, axes.states)
    D = {} if D is None else D
    for label, given, known in (("C", C, axes.observations), ("D", D, axes.states)):
        for name in given:
            _find(known, name, f"axis of {label}")
    factors, controls = list(axes.states), list(axes.actions)
    return GenerativeModel(
        A=tuple(_table(axes, f"A of {m!r}", names, A[m], dtype) for m, names in axes.observations.items()),
        B=tuple(_table(axes, f"B of {f!r}", names, B[f], dtype) for f, names in axes.states.items()),
        C=tuple(
            _vector(names, C.get(m, {}), f"outcome of {m!r}", dtype) for m, names in axes.observations.items()
        ),
        D=tuple(
            _vector(names, D.get(f) or dict.fromkeys(names, 1 / len(names)), f"state of {f!r}", dtype)
            for f, names in axes.states.items()
        ),
        A_factors=tuple(tuple(_index(factors, p, "factor") for p in A[m].parents) for m in axes.observations),
        B_factors=tuple(tuple(_index(factors, p, "factor") for p in B[f].parents) for f in axes.states),
        B_controls=tuple(tuple(_index(controls, c, "control") for c in B[f].controls) for f in axes.states),
    )


def _table(axes: Axes, what: str, own: Sequence[str], given: Given, dtype: torch.dtype) -> Tensor:
    sides = [own]
    sides += [_find(axes.states, p, "factor") for p in given.parents]
    sides += [_find(axes.actions, c, "control") for c in given.controls]
    if isinstance(given.table, Tensor):
        shape = tuple(map(len, sides))
        if given.table.shape != shape:
            labels = ("itself", *given.parents, *given.controls)
            raise ValueError(f"{what} must be {shape} over {labels}, got {tuple(given.table.shape)}")
        return given.table.to(dtype)
    table = torch.zeros(*map(len, sides), dtype=dtype)
    for cell, value in given.table.items():
        cells = (cell,) if isinstance(cell, str) else cell
        if len(cells) != len(sides):
            raise ValueError(f"{what} needs {len(sides)} names for a value, got {cells}")
        table[tuple(_index(s, c, f"name in {what}") for s, c in zip(sides, cells, strict=True))] = value
    return table


def _vector(names: Sequence[str], values: Mapping[str, float], what: str, dtype: torch.dtype) -> Tensor:
    for name in values:
        _index(names, name, what)
    return torch.tensor([values.get(name, 0.0) for name in names], dtype=dtype)


def _complete(label: str, given: Iterable[str], wanted: Iterable[str]) -> None:
    given, wanted = list(given), list(wanted)
    if set(given) != set(wanted):
        raise ValueError(f"{label} must have a table for each of {wanted}, got {given}")


def _find(names: Names, name: str, what: str) -> Sequence[str]:
    _index(list(names), name, what)
    return names[name]


def _index(names: Sequence[str], name: str, what: str) -> int:
    if name in names:
        return list(names).index(name)
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise KeyError(f"no {what} called {name!r}{hint} Known: {', '.join(names)}")
