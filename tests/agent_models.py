"""Random generative models, and inference by enumeration to hold them against."""

from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from arr_coc.agent.model import GenerativeModel


def columns(
    *shape: int, draw: torch.Generator, dtype: torch.dtype = torch.double, peaked: float = 3
) -> Tensor:
    """Random distributions along the first axis; none of them has a zero."""
    x = torch.rand(*shape, generator=draw, dtype=torch.double).pow(peaked) + 1e-3
    return (x / x.sum(0)).to(dtype)


@dataclass(frozen=True)
class World:
    """Sizes of a random model; by default every modality depends on all factors, a factor on a control."""

    states: tuple[int, ...] = (3, 2)
    obs: tuple[int, ...] = (4, 3)
    actions: tuple[int, ...] = (3, 2)
    A_factors: tuple[tuple[int, ...], ...] | None = None
    B_factors: tuple[tuple[int, ...], ...] | None = None
    B_controls: tuple[tuple[int, ...], ...] | None = None
    dtype: torch.dtype = torch.double

    def model(self, seed: int = 0) -> GenerativeModel:
        """A model with Dirichlet counts besides its parameters."""
        draw = torch.Generator().manual_seed(seed)
        own = tuple((f,) for f in range(len(self.states)))
        every = (tuple(range(len(self.states))),) * len(self.obs)
        A, B = [], []
        for o, factors in zip(self.obs, self.A_factors or every, strict=True):
            A.append(columns(o, *(self.states[f] for f in factors), draw=draw, dtype=self.dtype))
        for s, parents, controls in zip(
            self.states, self.B_factors or own, self.B_controls or own, strict=True
        ):
            sizes = [*(self.states[f] for f in parents), *(self.actions[c] for c in controls)]
            B.append(columns(s, *sizes, draw=draw, dtype=self.dtype))
        D = [columns(s, draw=draw, dtype=self.dtype) for s in self.states]
        return GenerativeModel(
            A=tuple(A),
            B=tuple(B),
            C=tuple(torch.randn(o, generator=draw, dtype=torch.double).to(self.dtype) for o in self.obs),
            D=tuple(D),
            A_factors=self.A_factors,
            B_factors=self.B_factors,
            B_controls=self.B_controls,
            pA=tuple(10 * a + 0.5 for a in A),
            pB=tuple(10 * b + 0.5 for b in B),
            pD=tuple(10 * d + 0.5 for d in D),
        )

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
        draw = torch.Generator().manual_seed(3000 + seed)
        return tuple(columns(s, batch, draw=draw, dtype=self.dtype).T for s in self.states)

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
