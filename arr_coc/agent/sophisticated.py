"""Sophisticated inference: a tree over actions and outcomes, in which later actions know what was seen.

    G(q, a) = g(q, a) + E_Q(o|a) V(q given o)
    V(q) = E_q_pi G(q, .),  q_pi = softmax(ln E - gamma G(q, .))

Beliefs in the tree are joint over factors and exact. With gamma = inf and without epistemic terms it is value
iteration. https://direct.mit.edu/neco/article/33/3/713/97486
"""

from dataclasses import dataclass
from functools import reduce
from math import isinf, log
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.maths import TINY, Beliefs
from arr_coc.agent.merge import joint_likelihood, merged, merged_beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import EFE, Information, Objective
from arr_coc.agent.planning import Gamma, Plan, PolicyPosterior, infer_policies, policy_posterior
from arr_coc.agent.policies import PolicyTensor, all_policies

PRUNED = 64.0
"""What a pruned action's G is set to, in nats."""
HELD = 2**22
"""Entries of branches examined at once; more are taken in turns."""


@dataclass(frozen=True)
class Search:
    """How a tree of beliefs is grown. Nothing limits the number of its nodes but the thresholds."""

    horizon: int = 3
    objective: Objective = EFE
    information: Information = "joint"
    branch: Literal["outcomes", "states"] = "outcomes"
    """outcomes: each joint outcome, exactly. states: each state, seeing what it makes likely, as in SPM."""
    least_action: float = 1 / 16
    """Actions with a posterior of at most this are pruned; the best never is. 0 prunes none."""
    least_branch: float = 1 / 16
    """Outcomes (or states) predicted with at most this probability are pruned; the likeliest never is."""
    renormalise: bool = True
    """Weigh the branches that are left as if they were all. Otherwise the rest costs nothing, as in SPM."""
    habit_cost: bool = False
    """Later actions cost their surprise under E, -ln E, as SPM."""

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1, got {self.horizon}")
        for name in ("least_action", "least_branch"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")


@dataclass(frozen=True)
class Tree:
    """A model made ready for search over its joint states. Made by `Tree.of`."""

    search: Search
    policies: PolicyTensor
    """(actions, 1, controls): every first action, what q_pi is over."""
    steps: tuple[Plan, ...]
    """Plans of one step, one for each depth where preferences vary over time, else one."""
    weights: Float[Tensor, "branches states"]
    """Probability of a branch, given the state."""
    likelihood: Float[Tensor, "branches states"]
    """Evidence for each state that a branch brings, up to a constant for each branch."""
    moves: Float[Tensor, "actions next states"]

    @classmethod
    def of(cls, model: GenerativeModel, search: Search, time: int = 0) -> "Tree":
        """Merge the model's factors. `time`: the row of time-varying preferences of the first step."""
        one = merged(model)
        over_time = any(c.ndim == 2 for c in one.C)
        steps = tuple(
            Plan.of(one, 1, search.objective, search.information, time=time + t)
            for t in range(search.horizon if over_time else 1)
        )
        if search.branch == "outcomes":
            likelihood = weights = joint_likelihood(one)
        else:
            weights = torch.eye(one.n_states[0], dtype=one.dtype, device=one.device)
            likelihood = reduce(torch.mul, (a.T @ a for a in one.A))
        policies = all_policies(model.n_actions, 1).to(model.device)
        return cls(search, policies, steps, weights, likelihood, one.B[0].permute(2, 0, 1))


def sophisticated_policies(
    tree: Tree, qs: Beliefs, gamma: Gamma = 1.0, F: Float[Tensor, "batch policies"] | None = None
) -> PolicyPosterior:
    """Posterior over first actions, and their G over the horizon. As `infer_policies`, of a `Tree`."""
    joint = merged_beliefs(qs)
    precision = (gamma if isinstance(gamma, Tensor) else joint.new_tensor(gamma)).expand(len(joint))
    G = _expand(tree, joint, precision, 0)
    return PolicyPosterior(_posterior(G, precision, tree.steps[0].log_E, F), G)


def _posterior(G: Tensor, gamma: Tensor, log_E: Tensor | None, F: Tensor | None = None) -> Tensor:
    if gamma.numel() and isinf(gamma.detach().flatten()[0]):
        return torch.nn.functional.one_hot(G.argmin(1), G.shape[1]).to(G.dtype)
    return policy_posterior(G, gamma, log_E, F)


def _expand(tree: Tree, beliefs: Tensor, gamma: Tensor, depth: int) -> Tensor:
    """G of every action at every belief: (nodes, states) to (nodes, actions)."""
    actions, states = tree.moves.shape[:2]
    held = max(1, HELD // (actions * (len(tree.weights) + states)))
    if len(beliefs) > held:
        parts = [slice(i, i + held) for i in range(0, len(beliefs), held)]
        return torch.cat([_expand(tree, beliefs[part], gamma[part], depth) for part in parts])
    search, plan = tree.search, tree.steps[min(depth, len(tree.steps) - 1)]
    now = infer_policies(plan, (beliefs,)).G
    last = depth == search.horizon - 1
    if last and not search.habit_cost:
        return now
    log_E = plan.log_E
    # A search for the best action (gamma = inf) prunes as one of precision 1: the best at first sight is a
    # guess.
    likely = policy_posterior(now, gamma.nan_to_num(posinf=1.0), log_E)
    kept = (
        (likely > search.least_action) | (likely == likely.amax(1, keepdim=True)) | (search.least_action == 0)
    )
    predicted = torch.einsum("kij,nj->nki", tree.moves, beliefs)
    chances = predicted @ tree.weights.T  # (nodes, actions, branches)
    grown = (chances > search.least_branch) | (chances == chances.amax(2, keepdim=True))
    node, action, branch = (grown & kept[..., None]).nonzero(as_tuple=True)
    chance = chances[node, action, branch]
    if last:
        cost = _habit(log_E, now)
        value = (torch.softmax(-cost, 0) * cost).sum().expand(len(node))
    else:
        child = predicted[node, action] * tree.likelihood[branch]
        child = child / child.sum(1, keepdim=True).clamp_min(TINY)
        below = _expand(tree, child, gamma[node], depth + 1)
        q_pi = _posterior(below, gamma[node], log_E)
        costs = below + _habit(log_E, below) if search.habit_cost else below
        value = (q_pi * costs).sum(1)
    later = torch.zeros_like(now).index_put((node, action), value * chance, accumulate=True)
    if search.renormalise:
        later = later / torch.zeros_like(now).index_put((node, action), chance, accumulate=True).clamp_min(
            TINY
        )
    return torch.where(kept, now + later, torch.full_like(now, PRUNED))


def _habit(log_E: Tensor | None, like: Tensor) -> Tensor:
    """-ln E of each action; of equal ones without a habit."""
    return like.new_full((like.shape[1],), log(like.shape[1])) if log_E is None else -log_E
