"""Counterfactual learning: what to do in each state, learned from what past actions turned out to be worth.

    CL(a | s) <- CL(a | s) + (1 - 2 risk_t) P(a_t = a) q(s_t = s),   then columns are normalised
    q(a) = softmax(gamma E_q(s) ln CL(a | s))

A risk below one half makes what was done likelier, above it rarer; the future is never predicted. Mixed with
a planner it acts out of habit where that is the surer of the two. Isomura, Shimazaki and Friston (2022),
https://doi.org/10.1038/s42003-021-02994-2; Paul, Isomura and Razi (2024), https://doi.org/10.3390/e26060484.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.experience import Step
from arr_coc.agent.maths import TINY, entropy, log_stable
from arr_coc.agent.merge import merged_beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.planner import Judge, Outlook, Planner
from arr_coc.agent.policies import PolicyTensor, all_policies


@dataclass(frozen=True)
class Counterfactual:
    """A planner for `Agent` that looks no step ahead.

    Made by `Counterfactual.of`; what it learns is `replace(it, mapping=update_mapping(...))`.
    """

    policies: PolicyTensor
    """(actions, 1, controls): every action."""
    mapping: Float[Tensor, "actions states"]
    """CL: how probable each action is in each joint state, the last factor varying fastest."""
    gamma: float = 1.0
    looks_back: ClassVar[bool] = False

    @classmethod
    def of(cls, model: GenerativeModel, gamma: float = 1.0) -> "Counterfactual":
        """Who knows nothing yet: every action is as good as any other."""
        policies = all_policies(model.n_actions, 1).to(model.device)
        shape = (len(policies), prod(model.n_states))
        uniform = torch.full(shape, 1 / len(policies), dtype=model.dtype, device=model.device)
        return cls(policies, uniform, gamma)

    def __call__(self, model: GenerativeModel, time: int) -> Judge:
        """The same at any time. G is what an action would surprise one with, -E ln CL."""

        def judge(steps: Sequence[Step]) -> Outlook:
            G = -(merged_beliefs(steps[-1].qs) @ log_stable(self.mapping).T)
            scores = -self.gamma * G
            return Outlook(self.policies, torch.softmax(scores, 1), G, scores)

        return judge


@dataclass(frozen=True)
class Mixed:
    """A planner for `Agent`: ln q(a) = (1 - bias) ln q_habit(a) + bias ln q_plan(a), up to a constant."""

    habit: Counterfactual
    plan: Planner
    """Over the same first actions."""
    bias: Float[Tensor, " states"]
    """How much planning counts, in [0, 1], by joint state; see `update_bias`."""

    @property
    def looks_back(self) -> bool:
        """As its planner does."""
        return self.plan.looks_back

    def __call__(self, model: GenerativeModel, time: int) -> Judge:
        """Get both ready."""
        habit, plan = self.habit(model, time), self.plan(model, time)

        def judge(steps: Sequence[Step]) -> Outlook:
            one, other = habit(steps), plan(steps)
            if not torch.equal(one.policies, other.policies):
                raise ValueError(
                    f"habit and plan must be over the same actions, the planner has {len(other.policies)} "
                    f"policies of {other.policies.shape[1]} steps: take one whose policies are first actions"
                )
            bias = (merged_beliefs(steps[-1].qs) @ self.bias)[:, None]
            # What one of them rules out is as good as ruled out, but the other may still be the only one.
            scores = torch.lerp(log_stable(one.q_pi), log_stable(other.q_pi), bias)
            return Outlook(one.policies, torch.softmax(scores, 1), torch.lerp(one.G, other.G, bias), scores)

        return judge


def update_mapping(
    mapping: Float[Tensor, "actions states"],
    qs: Float[Tensor, "steps states"],
    actions: Int[Tensor, " steps"],
    risk: Float[Tensor, " steps"],
) -> Float[Tensor, "actions states"]:
    """CL having done `actions` in joint states believed to be `qs`, in this order, each found so risky.

    `risk`: in [0, 1]; 0 is to be done again, 1/2 teaches nothing. No action becomes quite impossible.
    """
    if not bool(((risk >= 0) & (risk <= 1)).all()):
        raise ValueError(f"risk must lie in [0, 1], got {risk.min().item()}..{risk.max().item()}")
    mapping = mapping.clone()
    for q, action, gamma in zip(qs, actions.tolist(), risk, strict=True):
        mapping[action] += (1 - 2 * gamma) * q
        mapping = mapping.clamp_min(TINY)
        mapping = mapping / mapping.sum(0)
    return mapping


def update_bias(
    bias: Float[Tensor, " states"],
    qs: Float[Tensor, " states"],
    habit: Float[Tensor, " actions"],
    plan: Float[Tensor, " actions"],
) -> Float[Tensor, " states"]:
    """Where one is, planning counts for more if it is the surer of the two: bias + q(s) (H[habit] - H[plan]).

    `qs`: beliefs about the joint state. `habit`, `plan`: the two posteriors over actions.
    """
    return (bias + qs * (entropy(habit) - entropy(plan))).clamp(0, 1)
