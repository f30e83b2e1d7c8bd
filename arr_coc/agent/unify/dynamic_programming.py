"""Dynamic programming: values of known states, of beliefs, and of plans that are fixed beforehand.

With r = ln P~(o) as reward and no information gain, what one does later is best, given what is seen by then:

    G(b, a) = -E r + E_Q(o|a) min_a' G(b given o, a') = -Q*(b, a)
"""

from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.maths import Beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import REWARD, Objective
from arr_coc.agent.planning import Plan, infer_policies
from arr_coc.agent.sophisticated import Search, Tree, sophisticated_policies


def value_iteration(
    transition: Float[Tensor, "next previous actions"], reward: Float[Tensor, " next"], horizon: int
) -> Float[Tensor, "states actions"]:
    """Q* of a world whose state is known, by Bellman's recursion; `reward` is for arriving in a state."""
    q = torch.zeros(transition.shape[1:], dtype=transition.dtype)
    for _ in range(horizon):
        q = torch.einsum("nsa,n->sa", transition, reward + q.amax(1))
    return q


def conditional_plans(model: GenerativeModel, horizon: int) -> Float[Tensor, "actions plans states"]:
    """The return of every plan, which says what to do after every outcome, in every state.

    Enumerated, so for small worlds: K actions and O outcomes have K^(O^h) as many with a step more. The best
    for a belief is its value, convex and piecewise linear in it (Smallwood and Sondik
    1973, https://doi.org/10.1287/opre.21.5.1071).
    """
    A, B, wished = model.A[0], model.B[0], torch.log_softmax(model.C[0], 0)
    now = torch.einsum("o,on,nsa->as", wished, A, B)
    plans = now[:, None]
    for _ in range(horizon - 1):
        later = plans.flatten(0, 1)
        after = torch.einsum("on,nsa,pn->aops", A, B, later)  # what plan p is worth once o was seen
        choices = torch.tensor(list(product(range(len(later)), repeat=len(A))))
        told = sum((after[:, o, choices[:, o]] for o in range(len(A))), now[:, None])
        plans = torch.as_tensor(told)
    return plans


def closed_loop(
    model: GenerativeModel, qs: Beliefs, horizon: int, objective: Objective = REWARD
) -> Float[Tensor, "batch actions"]:
    """G of every first action when later ones know what was seen: sophisticated inference, nothing pruned."""
    search = Search(horizon, objective, least_action=0.0, least_branch=0.0)
    return sophisticated_policies(Tree.of(model, search), qs, float("inf")).G


def open_loop(
    model: GenerativeModel, qs: Beliefs, horizon: int, objective: Objective = REWARD
) -> Float[Tensor, "batch policies"]:
    """G of every sequence of actions, fixed beforehand."""
    return infer_policies(Plan.of(model, horizon, objective), qs).G
