"""Discrete filtering by its definition: every path of states, one by one; and the guide's formula."""

from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.maths import log_stable
from arr_coc.agent.model import GenerativeModel


class Paths(NamedTuple):
    """All paths of states through time, and how probable they are together with what was seen."""

    states: Int[Tensor, "paths time"]
    log_joint: Float[Tensor, " paths"]
    """ln p(path, observations)."""

    def marginals(self, n: int) -> Float[Tensor, "time states"]:
        """p(state at t | observations), by summing over the paths through it."""
        weight = torch.softmax(self.log_joint, 0)
        hits = torch.nn.functional.one_hot(self.states, n).to(weight.dtype)
        return torch.einsum("p,ptn->tn", weight, hits)


def all_paths(model: GenerativeModel, obs: Int[Tensor, " time"], actions: Int[Tensor, " steps"]) -> Paths:
    """Every path of a model of one factor and modality, for short lives: there are states^time of them."""
    A, B, D = (log_stable(x) for x in (model.A[0], model.B[0], model.D[0]))
    states = torch.tensor(list(product(range(model.n_states[0]), repeat=len(obs))))
    log = D[states[:, 0]] + A[obs, states].sum(1)
    for t, action in enumerate(actions):
        log = log + B[states[:, t + 1], states[:, t], action]
    return Paths(states, log)


def guide_filter(
    model: GenerativeModel, obs: Int[Tensor, " time"], actions: Int[Tensor, " steps"]
) -> Float[Tensor, "time states"]:
    """The guide's softmax(ln A'o + ln B Q), with ln (A'o), which is what it can only mean.

    The logarithm of B before the expectation: by Jensen's inequality less than ln(B Q), not by a constant.
    """
    A, B = log_stable(model.A[0]), log_stable(model.B[0])
    q = [torch.softmax(A[obs[0]] + log_stable(model.D[0]), 0)]
    for t, action in enumerate(actions):
        q.append(torch.softmax(A[obs[t + 1]] + B[:, :, action] @ q[-1], 0))
    return torch.stack(q)
