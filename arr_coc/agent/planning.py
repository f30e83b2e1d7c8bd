"""Planning: the expected free energy of every policy, and the posterior over policies.

plan = Plan.of(model, policies=3)                    # once: what policies share, and the tables
q_pi, G = infer_policies(plan, qs, gamma=16.0)       # at every step
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.inductive import Intention, inductive_cost, reachability
from arr_coc.agent.maths import Beliefs, log_exact
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import EFE, ExpectedFreeEnergy, Information, Objective
from arr_coc.agent.policies import Policies, PolicyTensor, resolve
from arr_coc.agent.prefixes import Prefixes, moved
from arr_coc.agent.rollup import Program, evaluate
from arr_coc.agent.sharing import share
from arr_coc.agent.tables import Tables, columns, lay_out, make_tables

Gamma = float | Float[Tensor, ""] | Float[Tensor, " batch"]

CHUNK = 2**18
"""Entries of predicted outcomes held at once: 1 MB in float32, which stays in a core's cache."""


class PolicyPosterior(NamedTuple):
    """What every planner returns."""

    q_pi: Float[Tensor, "batch policies"]
    """Posterior over policies."""
    G: Float[Tensor, "batch policies"]
    """Expected free energy in nats, lower is better."""


@dataclass(frozen=True)
class Plan:
    """A model and policies, to be planned with again and again. Made by `Plan.of`; a change needs another.

    Differentiable in the model's tensors if they require gradients when it is made.
    """

    model: GenerativeModel
    policies: PolicyTensor
    objective: Objective
    information: Information
    intention: Intention | None
    time: int
    program: Program
    tables: Tables
    reachable: tuple[Tensor, ...]
    log_E: Float[Tensor, "*batch policies"] | None

    @classmethod
    def of(
        cls,
        model: GenerativeModel,
        policies: Policies = 1,
        objective: Objective = EFE,
        information: Information = "joint",
        intention: Intention | None = None,
        time: int = 0,
        detail: bool = False,
        chunk: int = CHUNK,
    ) -> "Plan":
        """Find what policies share and lay out the tables.

        `policies`: given, or a horizon over which all are taken, or a function of the model. `time`: the row
        of time-varying preferences that belongs to the first step. `detail`: keep the terms of G apart.
        `chunk`: entries of predicted outcomes held at once.
        """
        given = resolve(model, policies)
        if model.E is not None and model.E.shape[-1] != len(given):
            raise ValueError(f"E is a prior over {model.E.shape[-1]} policies, but there are {len(given)}")
        layout = lay_out(model, given.shape[1], objective, information, detail)
        extra = [(f, True) for f in range(model.n_factors) if model.pB is not None and objective.parameters]
        extra += [(f, False) for f in range(model.n_factors) if intention is not None]
        found = share(
            given, model.n_actions, model.B_factors, model.B_controls, layout.sets, extra, model.n_states
        )
        prefixes: Prefixes = moved(found, model.device)
        owners = {f: [s for s in layout.sets if f in s] for f in range(model.n_factors)}
        fusible = tuple(
            s
            for s, factors in enumerate(layout.sets)
            if len(factors) == 1
            and intention is None
            and owners[factors[0]] == [factors]
            and factors[0] not in prefixes.passive
            and model.B_factors[factors[0]] == factors
            and prefixes.transitions[-1][factors[0]].is_full
        )
        outcomes = tuple(columns(model, layout, s, objective) for s in range(len(layout.sets)))
        program = Program(
            prefixes, layout, model.B_factors, model.n_states, outcomes,
            objective.entropy, objective.inductive, chunk,
        )  # fmt: skip

        def tabulate(one: GenerativeModel) -> Tables:
            return make_tables(one, prefixes, layout, objective, time, fusible)

        tables = tabulate(model) if model.batch is None else _each(model, tabulate)
        reachable = () if intention is None else reachability(model, intention)
        log_E = None if model.E is None else log_exact(model.E)
        return cls(model, given, objective, information, intention, time, program, tables, reachable, log_E)


def infer_policies(
    plan: Plan | GenerativeModel,
    qs: Beliefs,
    gamma: Gamma = 1.0,
    F: Float[Tensor, "batch policies"] | None = None,
    policies: Policies = 1,
) -> PolicyPosterior:
    """q_pi = softmax(ln E - gamma G - F), the minimiser of KL[Q || E] + gamma E_Q G + E_Q F.

    `qs`: beliefs now. `gamma`: precision over policies, one or one for each agent. `F`: free energy of each
    policy's past in nats, where policies have one. `policies`: if a model is given instead of a plan.
    """
    if isinstance(plan, GenerativeModel):
        plan = Plan.of(plan, policies)
    G = _values(plan, qs) if not plan.program.layout.detail else expected_free_energy(plan, qs).G
    return PolicyPosterior(policy_posterior(G, gamma, plan.log_E, F), G)


def expected_free_energy(plan: Plan, qs: Beliefs) -> ExpectedFreeEnergy:
    """Every term of the expected free energy of every policy. The plan must be made with `detail=True`."""
    if not plan.program.layout.detail:
        raise ValueError("this plan holds only the sum G: make it with Plan.of(..., detail=True)")
    negentropy, ambiguity, novelty, utility, novelty_B, inductive = _values(plan, qs).unbind(-1)
    return ExpectedFreeEnergy(utility, -negentropy, ambiguity, novelty, -novelty_B, inductive, plan.objective)


def policy_posterior(
    G: Float[Tensor, "batch policies"],
    gamma: Gamma = 1.0,
    log_E: Float[Tensor, "*batch policies"] | None = None,
    F: Float[Tensor, "batch policies"] | None = None,
) -> Float[Tensor, "batch policies"]:
    """softmax(ln E - gamma G - F) over policies."""
    scores = -(G * (gamma[:, None] if isinstance(gamma, Tensor) and gamma.ndim else gamma))
    if log_E is not None:
        scores = scores + log_E
    if F is not None:
        scores = scores - F
    return torch.softmax(scores, -1)


def compiled(plan: Plan, **options: Any) -> Callable[..., PolicyPosterior]:
    """`infer_policies` of this plan as one compiled function of (qs, gamma, F): half a minute once, then
    faster.

    `options` go to `torch.compile`. It compiles anew for another number of agents. That the plan is what it
    was is not checked at every call: a plan never changes.
    """

    def of_plan(
        qs: Beliefs, gamma: Gamma = 1.0, F: Float[Tensor, "batch policies"] | None = None
    ) -> PolicyPosterior:
        return infer_policies(plan, qs, gamma, F)

    # What is compiled is found by code and checks: with a code of its own, no check must tell plans apart.
    of_plan.__code__ = of_plan.__code__.replace()
    given = {"dynamic": False} | options
    if "mode" not in given:  # torch takes a mode or options
        given["options"] = {"guard_filter_fn": _of_arguments} | (given.get("options") or {})
    return torch.compile(of_plan, **given)


def _of_arguments(checks: Sequence[Any]) -> list[bool]:
    """Which of torch.compile's checks are of the arguments or of torch's own state, not of the plan."""
    return [not c.name or c.name.partition("[")[0] in ("qs", "gamma", "F") for c in checks]


def _values(plan: Plan, qs: Beliefs) -> Tensor:
    for f, (q, n) in enumerate(zip(qs, plan.model.n_states, strict=True)):
        if q.ndim != 2 or q.shape[1] != n:
            raise ValueError(f"qs[{f}] must be (batch, {n}), got {tuple(q.shape)}")
    if plan.model.batch not in (None, len(qs[0])):
        raise ValueError(f"the model is of {plan.model.batch} agents, but qs of {len(qs[0])}")
    costs: tuple[Tensor, ...] = ()
    if plan.intention is not None:
        costs = inductive_cost(plan.reachable, qs, plan.intention.epsilon)
    if plan.model.batch is None:
        return evaluate(plan.program, plan.tables, qs, costs)

    def one(tables: Tables, q: tuple[Tensor, ...], cost: tuple[Tensor, ...]) -> Tensor:
        return evaluate(plan.program, tables, [x[None] for x in q], [x[None] for x in cost])[0]

    return torch.func.vmap(one)(plan.tables, tuple(qs), costs)


def _each(model: GenerativeModel, make: Callable[[GenerativeModel], Tables]) -> Tables:
    """`make` for every agent's own model."""
    named = model.tensors()

    def of(tensors: dict[str, Any]) -> Tables:
        return make(model.replace(**tensors))

    return torch.func.vmap(of)(named)
