"""Planners: how an agent judges what it might do. Each makes of a model a function of beliefs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isinf
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.experience import Step
from arr_coc.agent.inductive import Intention
from arr_coc.agent.mcts import monte_carlo_policies
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import EFE, Information, Objective
from arr_coc.agent.planning import Gamma, Plan, PolicyPosterior, infer_policies
from arr_coc.agent.policies import Policies
from arr_coc.agent.sophisticated import Search, Tree, sophisticated_policies


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


Judge = Callable[[Sequence[Step]], Outlook]
"""Makes an outlook of what was seen and done, of which the last step is now."""


@runtime_checkable
class Planner(Protocol):
    """What an agent plans with."""

    @property
    def looks_back(self) -> bool:
        """Whether it wants to know all steps since the reset, or only the last one."""
        ...

    def __call__(self, model: GenerativeModel, time: int) -> Judge:
        """Get ready to judge policies that begin at step `time`, as often as the model stays what it is."""
        ...


@dataclass(frozen=True)
class Exhaustive:
    """Every policy: `infer_policies`, whose settings these are."""

    policies: Policies = 1
    """Given, or a horizon over which all are taken, or a function of the model."""
    gamma: Gamma = 16.0
    objective: Objective = EFE
    information: Information = "joint"
    intention: Intention | None = None
    looks_back: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if isinstance(self.gamma, float | int) and not 0 <= self.gamma < inf:
            raise ValueError(
                f"gamma must be finite and not negative, got {self.gamma}; alpha may be infinite"
            )

    def __call__(self, model: GenerativeModel, time: int) -> Judge:
        """Find what policies share, once."""
        plan = Plan.of(model, self.policies, self.objective, self.information, self.intention, time)

        def judge(steps: Sequence[Step]) -> Outlook:
            q_pi, G = infer_policies(plan, steps[-1].qs, self.gamma)
            return Outlook(plan.policies, q_pi, G, _log_posterior(G, self.gamma, plan.log_E))

        return judge


@dataclass(frozen=True)
class Sophisticated:
    """A tree whose later actions know what was seen: `sophisticated_policies`. Policies are first actions."""

    search: Search
    gamma: Gamma = 16.0
    looks_back: ClassVar[bool] = False

    def __call__(self, model: GenerativeModel, time: int) -> Judge:
        """Merge the model's factors, once."""
        tree = _tree(model, self.search, time)

        def judge(steps: Sequence[Step]) -> Outlook:
            return _outlook(tree, sophisticated_policies(tree, steps[-1].qs, self.gamma), self.gamma)

        return judge


@dataclass(frozen=True)
class MonteCarlo:
    """The same tree, explored where it seems to pay: `monte_carlo_policies`, whose settings these are."""

    search: Search
    gamma: Gamma = 16.0
    simulations: int = 256
    exploration: float = 1.0
    generator: torch.Generator | None = None
    looks_back: ClassVar[bool] = False

    def __call__(self, model: GenerativeModel, time: int) -> Judge:
        """Merge the model's factors, once."""
        tree = _tree(model, self.search, time)

        def judge(steps: Sequence[Step]) -> Outlook:
            found = monte_carlo_policies(
                tree, steps[-1].qs, self.gamma, None, self.simulations, self.exploration, self.generator
            )
            return _outlook(tree, found, self.gamma)

        return judge


def _tree(model: GenerativeModel, search: Search, time: int) -> Tree:
    if search.objective.parameters and (model.pA is not None or model.pB is not None):
        raise ValueError(
            "a tree over joint states has no information gain about parameters: give "
            "Search(objective=replace(EFE, parameters=0.0)), a model without pA and pB, or use Exhaustive"
        )
    return Tree.of(model, search, time)


def _outlook(tree: Tree, found: PolicyPosterior, gamma: Gamma) -> Outlook:
    q_pi, G = found
    if isinstance(gamma, float | int) and isinf(gamma):
        return Outlook(tree.policies, q_pi, G, q_pi.log())
    return Outlook(tree.policies, q_pi, G, _log_posterior(G, gamma, tree.steps[0].log_E))


def _log_posterior(G: Tensor, gamma: Gamma, log_E: Tensor | None) -> Tensor:
    """log_E - gamma G, for one gamma or one for each agent."""
    scores = G * -(gamma[..., None] if isinstance(gamma, Tensor) and gamma.ndim else gamma)
    return scores if log_E is None else scores + log_E
