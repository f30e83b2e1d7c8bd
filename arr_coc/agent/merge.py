"""Merge all factors into one and all controls into one: the same model, its beliefs now joint and exact."""

from collections.abc import Sequence
from functools import reduce
from math import prod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.maths import Beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.policies import all_policies
from arr_coc.agent.rollup import outer

LARGEST = 2**26
"""Entries of a joint transition table."""


def merged(model: GenerativeModel) -> GenerativeModel:
    """One factor whose states are all combinations (the last factor varies fastest), one control likewise.

    Where factors depend on each other or outcomes are seen, marginals of the factors lose what joint states
    keep;
    here nothing is lost. pA and pB are left out: counts of single factors are none of their combinations.
    Raises ValueError if the joint transitions would have more than 2**26 entries.
    """
    if model.batch is not None:
        raise ValueError("merge the models of a batch one by one")
    states, actions = prod(model.n_states), prod(model.n_actions)
    if states**2 * actions > LARGEST:
        raise ValueError(
            f"{states} joint states and {actions} actions are too many for exact joint transitions"
        )
    every = torch.cartesian_prod(*(torch.arange(n) for n in model.n_states)).view(states, -1).to(model.device)
    A = tuple(_by_joint_state(a, factors, every) for a, factors in zip(model.A, model.A_factors, strict=True))
    slices = []
    for action in all_policies(model.n_actions, 1)[:, 0].tolist():
        moves = model.A[0].new_ones(1, states)
        for f, b in enumerate(model.B):
            done: list[Any] = [..., *(action[c] for c in model.B_controls[f])]
            b = b[tuple(done)]
            given = _by_joint_state(b, model.B_factors[f], every)
            moves = (moves[:, None] * given).flatten(0, 1)
        slices.append(moves)
    D = merged_beliefs(tuple(d[None] for d in model.D))[0]
    return GenerativeModel(A=A, B=(torch.stack(slices, -1),), C=model.C, D=(D,), E=model.E)


def merged_beliefs(qs: Beliefs) -> Float[Tensor, "batch states"]:
    """The joint of independent beliefs, in the order of `merged`."""
    return outer([q[:, None] for q in qs])[:, 0]


def joint_likelihood(model: GenerativeModel) -> Float[Tensor, "outcomes states"]:
    """P(o | s) of all modalities together for a merged model; the last modality varies fastest."""
    return reduce(lambda a, b: (a[:, None] * b).flatten(0, 1), model.A)


def _by_joint_state(p: Tensor, factors: Sequence[int], every: Tensor) -> Tensor:
    """(event, *states of `factors`) as (event, joint states), which `every` lists: (states, factors)."""
    if not factors:
        return p[:, None].expand(-1, len(every))
    states: list[Any] = [slice(None), *(every[:, f] for f in factors)]
    return p[tuple(states)]
