"""Dynamic programming in expected free energy: backwards from the horizon, over states instead of beliefs.

    G_t(s, a) = g(s, a) + sum_s' P(s' | s, a) V_t+1(s')
    V_t(s) = sum_a q_t(a | s) G_t(s, a),   q_t(a | s) = softmax(ln E - gamma G_t(s, .))

with g the expected free energy of one step. The work is linear in the horizon, where a tree's is exponential.
Paul, Sajid, Da Costa and Razi (2024), https://arxiv.org/abs/2307.00504.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.experience import Step
from arr_coc.agent.maths import Beliefs
from arr_coc.agent.merge import merged, merged_beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import EFE, Information, Objective
from arr_coc.agent.planner import Judge, Outlook
from arr_coc.agent.planning import Plan, PolicyPosterior, infer_policies, policy_posterior
from arr_coc.agent.policies import PolicyTensor, all_policies


@dataclass(frozen=True)
class Induction:
    """What backward induction found. Made by `Induction.of`; a change of the model needs another."""

    policies: PolicyTensor
    """(actions, 1, controls): every first action, what q_pi is over."""
    gamma: float
    G: Float[Tensor, "steps states actions"]
    """To go: of each action in each joint state, at each step from now, in nats."""
    first: Plan
    """The plan of the first step alone."""
    later: Float[Tensor, "actions states"]
    """V of the state that the first step leads to, expected from each state; zero for a horizon of one."""

    @classmethod
    def of(
        cls,
        model: GenerativeModel,
        horizon: int,
        gamma: float = 16.0,
        objective: Objective = EFE,
        information: Information = "joint",
        time: int = 0,
    ) -> "Induction":
        """From the last step to the first. `time`: the row of time-varying preferences of the first step.

        `gamma`: precision of all actions; infinity takes the best, which without epistemic terms is value
        iteration. Of one factor under one control, information gain about A and B counts if the model has
        pA and pB. Raises ValueError for a model of a batch, or whose joint states are too many.
        """
        if horizon < 1:
            raise ValueError(f"horizon must be at least 1, got {horizon}")
        if gamma < 0:
            raise ValueError(f"gamma must not be negative, got {gamma}")
        one = _joint(model, objective)
        over_time = any(c.ndim == 2 for c in one.C)
        plans = [
            Plan.of(one, 1, objective, information, time=time + t) for t in range(horizon if over_time else 1)
        ]
        states = torch.eye(one.n_states[0], dtype=one.dtype, device=one.device)
        moves = one.B[0].permute(2, 1, 0)  # (actions, previous, next)
        costs = [infer_policies(plan, (states,)).G for plan in plans]
        to_go: list[Tensor] = []
        later = torch.zeros_like(costs[0].T)
        for t in reversed(range(horizon)):
            G = costs[min(t, len(costs) - 1)] + later.T
            to_go.insert(0, G)
            if t:
                later = moves @ (_posterior(G, gamma, plans[0].log_E) * G).sum(1)
        policies = all_policies(model.n_actions, 1).to(model.device)
        return cls(policies, gamma, torch.stack(to_go), plans[0], later)


def dynamic_policies(found: Induction, qs: Beliefs) -> PolicyPosterior:
    """Posterior over first actions, and their G over the horizon. As `infer_policies`, of an `Induction`.

    Exact where states are seen: it is `sophisticated_policies` then. Elsewhere the first step is judged at
    the beliefs as they are, and the later ones as if the state were known from then on: what the first
    observation tells counts, what could be looked up later does not.
    """
    joint = merged_beliefs(qs)
    G = infer_policies(found.first, (joint,)).G + joint @ found.later.T
    return PolicyPosterior(_posterior(G, found.gamma, found.first.log_E), G)


@dataclass(frozen=True)
class DynamicProgramming:
    """A planner for `Agent`: `Induction.of`, whose settings these are. Policies are first actions."""

    horizon: int = 3
    gamma: float = 16.0
    objective: Objective = EFE
    information: Information = "joint"
    looks_back: ClassVar[bool] = False

    def __call__(self, model: GenerativeModel, time: int) -> Judge:
        """Go back from the horizon, once."""
        found = Induction.of(model, self.horizon, self.gamma, self.objective, self.information, time)

        def judge(steps: Sequence[Step]) -> Outlook:
            q_pi, G = dynamic_policies(found, steps[-1].qs)
            if isinf(found.gamma):
                return Outlook(found.policies, q_pi, G, q_pi.log())
            log_E = found.first.log_E
            scores = -found.gamma * G if log_E is None else log_E - found.gamma * G
            return Outlook(found.policies, q_pi, G, scores)

        return judge


def _joint(model: GenerativeModel, objective: Objective) -> GenerativeModel:
    """The model over joint states; of one factor the model itself, which keeps its counts."""
    if model.batch is None and model.n_factors == 1 and model.B_controls == ((0,),):
        return model
    if objective.parameters and (model.pA is not None or model.pB is not None):
        raise ValueError(
            "over joint states of several factors there is no information gain about parameters: give "
            "objective=replace(EFE, parameters=0.0), or a model without pA and pB"
        )
    return merged(model)


def _posterior(G: Tensor, gamma: float, log_E: Tensor | None) -> Tensor:
    if isinf(gamma):
        return torch.nn.functional.one_hot(G.argmin(1), G.shape[1]).to(G.dtype)
    return policy_posterior(G, gamma, log_E)
