"""What an agent believes of its world: likelihood A, transitions B, preferences C, priors D and habits E."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.validation import Indices, checked

T = TypeVar("T")
Tensors = tuple[Float[Tensor, "..."], ...]


@dataclass(frozen=True, eq=False, init=False)
class GenerativeModel:
    """A partially observed Markov decision process with several factors, modalities and controls.

    Shared by all agents (no batch axis), or one for each: then every tensor has `batch` as its first axis.
    A single tensor or a list is taken where a tuple is meant. The tensors are not to be written to in place.
    Raises ValueError for a tensor of the wrong shape or whose columns are not distributions.
    """

    A: Tensors
    """For modality m: (obs_m, *states of `A_factors[m]`), P(o_m | s)."""
    B: Tensors
    """For factor f: (next states_f, *previous states of `B_factors[f]`, *actions of `B_controls[f]`)."""
    C: Tensors
    """For modality m: (obs_m,) or (time, obs_m), log-preferences up to a constant, in nats."""
    D: Tensors
    """For factor f: (states_f,), the state at the start. Default, for a shared model: uniform."""
    E: Float[Tensor, "..."] | None
    """(policies,): habit, the prior over policies. Default: uniform."""
    A_factors: Indices
    """Which factors a modality depends on. Default: all."""
    B_factors: Indices
    """Which factors' previous states a factor depends on. Default: its own."""
    B_controls: Indices
    """Which controls drive a factor; () is uncontrolled. Default: factor f by control f."""
    pA: Tensors | None
    """Dirichlet counts of A, in its shape; likewise pB, pC, pD and pE. Those of C are over outcomes, its last
    axis: C is the logarithm of their mean once it was learned."""
    pB: Tensors | None
    pC: Tensors | None
    pD: Tensors | None
    pE: Float[Tensor, "..."] | None
    _kept: dict[str, Any] = field(init=False, repr=False)

    def __init__(
        self,
        A: Tensor | Sequence[Tensor],
        B: Tensor | Sequence[Tensor],
        C: Tensor | Sequence[Tensor],
        D: Tensor | Sequence[Tensor] | None = None,
        E: Tensor | None = None,
        A_factors: Sequence[Sequence[int]] | None = None,
        B_factors: Sequence[Sequence[int]] | None = None,
        B_controls: Sequence[Sequence[int]] | None = None,
        pA: Tensor | Sequence[Tensor] | None = None,
        pB: Tensor | Sequence[Tensor] | None = None,
        pC: Tensor | Sequence[Tensor] | None = None,
        pD: Tensor | Sequence[Tensor] | None = None,
        pE: Tensor | None = None,
    ) -> None:
        given = {"A": A, "B": B, "C": C, "D": D, "E": E}
        given |= {"pA": pA, "pB": pB, "pC": pC, "pD": pD, "pE": pE}
        links = {"A_factors": A_factors, "B_factors": B_factors, "B_controls": B_controls}
        for name, value in checked(given | links).items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_kept", {})

    @property
    def batch(self) -> int | None:
        """How many agents have a model of their own; None when all share this one."""
        return self.D[0].shape[0] if self.D[0].ndim == 2 else None

    @property
    def n_factors(self) -> int:
        """Hidden state factors."""
        return len(self.D)

    @property
    def n_modalities(self) -> int:
        """Kinds of observation."""
        return len(self.A)

    @property
    def n_controls(self) -> int:
        """Control factors: the length of an action."""
        return len(self.n_actions)

    @property
    def n_states(self) -> tuple[int, ...]:
        """States of each factor."""
        return tuple(d.shape[-1] for d in self.D)

    @property
    def n_obs(self) -> tuple[int, ...]:
        """Outcomes of each modality."""
        first = 0 if self.batch is None else 1
        return tuple(a.shape[first] for a in self.A)

    @property
    def n_actions(self) -> tuple[int, ...]:
        """Actions of each control."""
        sizes: dict[int, int] = {}
        for b, controls in zip(self.B, self.B_controls, strict=True):
            sizes |= zip(controls, b.shape[b.ndim - len(controls) :], strict=True)
        return tuple(sizes[c] for c in range(len(sizes)))

    @property
    def dtype(self) -> torch.dtype:
        """Of its tensors."""
        return self.A[0].dtype

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        return self.A[0].device

    def tensors(self) -> dict[str, Tensors | Tensor]:
        """All tensors that are there, by field."""
        named = {name: getattr(self, name) for name in TENSOR_FIELDS}
        return {name: value for name, value in named.items() if value is not None}

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> "GenerativeModel":
        """The same model with its tensors elsewhere or in another precision."""
        return self.map(lambda t: t.to(device=device, dtype=dtype))

    def expand(self, batch: int) -> "GenerativeModel":
        """The same model for each of `batch` agents, as views of one memory."""
        if self.batch is not None:
            raise ValueError(f"the model is already one for each of {self.batch} agents")
        return self.map(lambda t: t.expand(batch, *t.shape))

    def map(self, f: Callable[[Tensor], Tensor]) -> "GenerativeModel":
        """The model with `f` applied to every tensor. Its result is trusted to be a model again."""
        return self.replace(
            **{
                name: tuple(map(f, value)) if isinstance(value, tuple) else f(value)
                for name, value in self.tensors().items()
            }
        )

    def replace(self, **changes: object) -> "GenerativeModel":
        """The model with some fields changed, unchecked: for what was computed from a checked model."""
        new = object.__new__(type(self))
        for f in fields(self):
            object.__setattr__(new, f.name, changes.pop(f.name, getattr(self, f.name)))
        object.__setattr__(new, "_kept", {})
        if changes:
            raise TypeError(f"a GenerativeModel has no {', '.join(changes)}")
        return new

    def keep(self, key: str, of: Sequence[Tensor], make: Callable[[], T]) -> T:
        """What `make` makes of the tensors `of`, made once for this model, such as ln A.

        Made anew at every call if one of them requires a gradient: its values are going to change.
        """
        if torch.compiler.is_compiling():
            return make()
        for t in of:  # `any` of a generator takes longer than a look-up saves
            if t.requires_grad:
                return make()
        if key not in self._kept:
            # What is made under inference mode could not take part in a graph later.
            with torch.inference_mode(False):
                self._kept[key] = make()
        made: T = self._kept[key]
        return made


TENSOR_FIELDS: Sequence[str] = ("A", "B", "C", "D", "E", "pA", "pB", "pC", "pD", "pE")
"""The fields that hold tensors."""
