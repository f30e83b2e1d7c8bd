"""Models of random shape with policies and beliefs, and G by its definition: enumeration of every outcome."""

import random
from dataclasses import dataclass
from itertools import product as combinations

import torch
from torch import Tensor

from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.policies import all_policies
from tests.agent_models import beliefs, model_of


@dataclass(frozen=True)
class Drawn:
    """A random model, policies of it, and beliefs."""

    model: GenerativeModel
    policies: Tensor
    qs: tuple[Tensor, ...]


def drawn(seed: int) -> Drawn:
    """A model of random shape: dependencies between factors, shared controls, subsets of policies, counts, C
    over time."""
    r = random.Random(seed)
    factors, modalities, horizon = r.randint(1, 3), r.randint(1, 3), r.randint(1, 3)
    n_states = tuple(r.randint(2, 3) for _ in range(factors))
    n_actions = tuple(r.randint(1, 3) for _ in range(r.randint(1, factors)))
    A_factors = tuple(
        tuple(r.sample(range(factors), r.randint(0 if r.random() < 0.2 else 1, factors)))
        for _ in range(modalities)
    )
    B_factors = tuple(
        tuple(sorted({f} | {r.randrange(factors) for _ in range(r.random() < 0.3)})) for f in range(factors)
    )
    controls = [[c] if c < len(n_actions) else [] for c in range(factors)]
    if len(n_actions) > 1 and r.random() < 0.3:
        controls[0].append(1)
    counts = ("A" if r.random() < 0.3 else "") + ("B" if r.random() < 0.3 else "")
    model = model_of(
        seed, n_states, tuple(r.randint(2, 3) for _ in range(modalities)), n_actions, A_factors, B_factors,
        tuple(map(tuple, controls)), horizon + 1 if r.random() < 0.3 else None, counts,
    )  # fmt: skip
    policies = all_policies(n_actions, horizon)
    g = torch.Generator().manual_seed(seed)
    if r.random() < 0.5:
        policies = policies[
            torch.randperm(len(policies), generator=g)[: max(1, len(policies) // r.randint(1, 8))]
        ]
    elif r.random() < 0.3:
        policies = policies[torch.randint(len(policies), (7,), generator=g)]
    return Drawn(model, policies[torch.randperm(len(policies), generator=g)[:30]], beliefs(seed, n_states))


def by_enumeration(drawn: Drawn, joint: bool, first_time: int = 0) -> dict[str, Tensor]:
    """The terms of G of every policy, (batch, policies), outcome by outcome and state by state."""
    names = ("utility", "outcome_entropy", "ambiguity", "information_A", "information_B")
    rows = [
        _of_policy(drawn.model, [q[i] for q in drawn.qs], policy, joint, first_time)
        for i in range(len(drawn.qs[0]))
        for policy in drawn.policies.tolist()
    ]
    table = torch.stack(rows).view(len(drawn.qs[0]), len(drawn.policies), len(names))
    return dict(zip(names, table.unbind(-1), strict=True))


def _of_policy(
    model: GenerativeModel, q: list[Tensor], policy: list[list[int]], joint: bool, first: int
) -> Tensor:
    total = torch.zeros(5, dtype=q[0].dtype)
    for t, action in enumerate(policy):
        after = []
        for f in range(model.n_factors):
            done = (..., *(action[c] for c in model.B_controls[f]))
            p = model.B[f][done]
            if model.pB is not None:
                total[4] += _expected(_gain(model.pB[f])[done] * p, [q[g] for g in model.B_factors[f]]).sum()
            after.append(_expected(p, [q[g] for g in model.B_factors[f]]))
        q = after
        states = list(combinations(*(range(n) for n in model.n_states)))
        chance = [torch.stack([x[i] for x, i in zip(q, s, strict=True)]).prod() for s in states]
        likelihood = [
            torch.stack([a[(slice(None), *(s[f] for f in fs))] for s in states], 1)
            for a, fs in zip(model.A, model.A_factors, strict=True)
        ]  # of each modality (obs, states)
        weights = torch.stack(chance)
        for m, a in enumerate(likelihood):
            c = model.C[m][first + t] if model.C[m].ndim == 2 else model.C[m]
            total[0] += (a @ weights) @ torch.log_softmax(c, 0)
            if model.pA is not None:
                gain = _gain(model.pA[m])
                of_state = [gain[(slice(None), *(s[f] for f in model.A_factors[m]))] for s in states]
                total[3] += ((torch.stack(of_state, 1) * a).sum(0) * weights).sum()
        groups = [list(range(len(likelihood)))] if joint else [[m] for m in range(len(likelihood))]
        for group in groups:
            for outcome in combinations(*(range(len(likelihood[m])) for m in group)):
                seen = torch.stack([likelihood[m][o] for m, o in zip(group, outcome, strict=True)]).prod(0)
                total[1] -= torch.special.xlogy(seen @ weights, seen @ weights)
                total[2] -= torch.special.xlogy(seen, seen) @ weights
    return total


def _expected(p: Tensor, beliefs: list[Tensor]) -> Tensor:
    for q in reversed(beliefs):
        p = p @ q
    return p


def _gain(a: Tensor) -> Tensor:
    """KL[Dir(a + e_o) || Dir(a)] for each o, by the library's own densities."""
    columns = a.reshape(len(a), -1)
    out = torch.empty_like(columns)
    for o in range(len(a)):
        more = columns.clone()
        more[o] += 1
        one, two = (torch.distributions.Dirichlet(x.T) for x in (more, columns))
        out[o] = torch.distributions.kl_divergence(one, two)
    return out.view_as(a)
