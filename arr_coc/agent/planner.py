"""Planners: how an agent judges what it might do. Each makes of a model a function of beliefs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.inductive import Intention
from arr_coc.agent.maths import Beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import EFE, Information, Objective
from arr_coc.agent.planning import Plan, Precision, infer_policies
from arr_coc.agent.policies import Policies


@dataclass(frozen=True)
class Outlook:
    """What might be done, and what is thought of it."""

    policies: Int[Tensor, "policies horizon controls"]
    """What was considered."""
    q_pi: Float[Tensor, "batch policies"]
    """The posterior over policies."""
    G: Float[Tensor, "batch policies"]
    """Their expected free energies in nats, lower is better."""
    log_q_pi: Float[Tensor, "batch policies"]
    """ln q_pi up to a constant, where q_pi itself may underflow."""


Judge = Callable[[Beliefs], Outlook]


@runtime_checkable
class Planner(Protocol):
    """What an agent plans with."""

    def __call__(self, model: GenerativeModel, time: int) -> Judge:
        """Get ready to judge policies that begin at step `time`, as often as the model stays what it is."""
        ...


@dataclass(frozen=True)
class Exhaustive:
    """Every policy: `infer_policies`, whose settings these are."""

    policies: Policies = 1
    """Given, or a horizon over which all are taken, or a function of the model."""
    gamma: Precision = 16.0
    objective: Objective = EFE
    information: Information = "joint"
    intention: Intention | None = None

    def __call__(self, model: GenerativeModel, time: int) -> Judge:
        """Find what policies share, once."""
        plan = Plan.of(model, self.policies, self.objective, self.information, self.intention, time)

        def judge(qs: Beliefs) -> Outlook:
            q_pi, G = infer_policies(plan, qs, self.gamma)
            log_q_pi = G * -_column(self.gamma)
            log_q_pi = log_q_pi if plan.log_E is None else log_q_pi + plan.log_E
            return Outlook(plan.policies, q_pi, G, log_q_pi)

        return judge


def _column(gamma: Precision) -> float | Tensor:
    """One precision for all, or a column of one for each agent."""
    return gamma[..., None] if isinstance(gamma, Tensor) and gamma.ndim else gamma
