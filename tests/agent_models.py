"""Random generative models, and inference by enumeration to hold them against."""

from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from arr_coc.agent.model import GenerativeModel

Shape = tuple[tuple[int, ...], ...]


def columns(
    *shape: int, draw: torch.Generator, dtype: torch.dtype = torch.double, peaked: float = 3
) -> Tensor:
    """Random distributions along the first axis; none of them has a zero."""
    x = torch.rand(*shape, generator=draw, dtype=torch.double).pow(peaked) + 1e-3
    return (x / x.sum(0)).to(dtype)


def model_of(
    seed: int,
    n_states: tuple[int, ...],
    n_obs: tuple[int, ...],
    n_actions: tuple[int, ...],
    A_factors: Shape | None = None,
    B_factors: Shape | None = None,
    B_controls: Shape | None = None,
    preferred_times: int | None = None,
    counts: str = "",
    dtype: torch.dtype = torch.double,
) -> GenerativeModel:
    """A random model of a given shape; by default a modality depends on all factors, a factor on a control.

    `counts`: those of "ABD" that have Dirichlet counts. `preferred_times`: rows of preferences over time.
    """
    draw = torch.Generator().manual_seed(seed)
    every = range(len(n_states))
    A = [
        columns(o, *(n_states[f] for f in factors), draw=draw, dtype=dtype)
        for o, factors in zip(n_obs, A_factors or (tuple(every),) * len(n_obs), strict=True)
    ]
    own = tuple((f,) for f in every)
    B = [
        columns(n, *(n_states[f] for f in parents), *(n_actions[c] for c in controls), draw=draw, dtype=dtype)
        for n, parents, controls in zip(n_states, B_factors or own, B_controls or own, strict=True)
    ]
    D = [columns(n, draw=draw, dtype=dtype) for n in n_states]
    times = () if preferred_times is None else (preferred_times,)
    C = [torch.randn(*times, o, generator=draw, dtype=torch.double).to(dtype) for o in n_obs]
    given = {"A": A, "B": B, "D": D}
    return GenerativeModel(
        A=A, B=B, C=C, D=D, A_factors=A_factors, B_factors=B_factors, B_controls=B_controls,
        **{f"p{name}": [10 * t + 0.5 for t in given[name]] for name in counts},
    )  # fmt: skip


def beliefs(
    seed: int, n_states: tuple[int, ...], batch: int = 2, dtype: torch.dtype = torch.double
) -> tuple[Tensor, ...]:
    """Random beliefs of a batch of agents about each factor."""
    draw = torch.Generator().manual_seed(3000 + seed)
    return tuple(columns(n, batch, draw=draw, dtype=dtype).T.contiguous() for n in n_states)


@dataclass(frozen=True)
class World:
    """Sizes of a random model, as `model_of` takes them."""

    states: tuple[int, ...] = (3, 2)
    obs: tuple[int, ...] = (4, 3)
    actions: tuple[int, ...] = (3, 2)
    A_factors: Shape | None = None
    B_factors: Shape | None = None
    B_controls: Shape | None = None
    dtype: torch.dtype = torch.double

    def model(self, seed: int = 0) -> GenerativeModel:
        """A model with Dirichlet counts besides its parameters."""
        links = (self.A_factors, self.B_factors, self.B_controls)
        return model_of(seed, self.states, self.obs, self.actions, *links, counts="ABD", dtype=self.dtype)

    def observations(self, *shape: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Random outcomes for each modality."""
        draw = torch.Generator().manual_seed(1000 + seed)
        return tuple(torch.randint(o, shape, generator=draw) for o in self.obs)

    def moves(self, *shape: int, seed: int = 0) -> Tensor:
        """Random actions, the controls last."""
        draw = torch.Generator().manual_seed(2000 + seed)
        return torch.stack([torch.randint(a, shape, generator=draw) for a in self.actions], dim=-1)

    def beliefs(self, batch: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Random beliefs about each factor."""
        return beliefs(seed, self.states, batch, self.dtype)

    def with_dtype(self, dtype: torch.dtype) -> "World":
        """The same in another precision."""
        return replace(self, dtype=dtype)


ONE = World(states=(4,), obs=(5,), actions=(3,))
"""One factor, one modality."""
TWO = World()
"""Two of each, everything linked."""
COUPLED = World(
    states=(3, 2, 2),
    obs=(4, 3),
    actions=(3, 2),
    A_factors=((0, 2), (1,)),
    B_factors=((0, 1), (1,), (2, 0)),
    B_controls=((0, 1), (1,), ()),
)
"""Sparse likelihoods, coupled transitions, a factor with two controls and one with none."""
WORLDS = {"one": ONE, "two": TWO, "coupled": COUPLED}


def paths(
    model: GenerativeModel, obs: tuple[Tensor, ...], actions: Tensor, row: int, prior: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """Every path of states, (paths, time, factors), and its probability with the observations of a row."""
    states = torch.tensor(list(product(*map(range, model.n_states))))
    index = torch.tensor(list(product(range(len(states)), repeat=actions.shape[1] + 1)))
    s = states[index]
    p = torch.ones(len(s), dtype=model.dtype)
    for t in range(s.shape[1]):
        for f in range(model.n_factors):
            if t == 0:
                p = p * prior[f][row, s[:, 0, f]]
            else:
                chosen = [actions[row, t - 1, c].expand(len(s)) for c in model.B_controls[f]]
                p = p * model.B[f][(s[:, t, f], *(s[:, t - 1, g] for g in model.B_factors[f]), *chosen)]
        for m, factors in enumerate(model.A_factors):
            if obs[m][row, t] >= 0:
                p = p * model.A[m][(obs[m][row, t].expand(len(s)), *(s[:, t, f] for f in factors))]
    return s, p
