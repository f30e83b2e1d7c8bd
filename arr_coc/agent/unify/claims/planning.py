"""Claims about planning as inference: the posterior over policies, tree search, and what curiosity costs."""

import torch
from torch import Tensor

from arr_coc.agent.mcts import monte_carlo_policies
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import EFE, REWARD, Objective
from arr_coc.agent.planning import policy_posterior
from arr_coc.agent.sophisticated import Search, Tree
from arr_coc.agent.unify.claims.claim import Claim
from arr_coc.agent.unify.dynamic_programming import closed_loop
from arr_coc.agent.unify.planning import expected_income
from arr_coc.agent.unify.problems import DTYPE, distributions, partly_seen, source

HORIZON = 3
SIMULATIONS = 150


def _policies(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """G, F of the past and ln E of six policies for two agents, other posteriors, and gamma."""
    g = source(seed)
    G, F, others = (torch.randn(2, 6, generator=g, dtype=DTYPE) for _ in range(3))
    return G, F, distributions(g, 6).log(), torch.softmax(others, 1), 0.5 + seed % 8


def posterior_gap(seed: int) -> float:
    """KL[Q || E] + E_Q[gamma G + F] of the posterior and its closed form; others' are not below."""
    G, F, log_E, others, gamma = _policies(seed)
    least = -torch.logsumexp(log_E - gamma * G - F, 1)

    def free_energy(q: Tensor) -> Tensor:
        return (q * (q.log() - log_E + gamma * G + F)).sum(1)

    off = (free_energy(policy_posterior(G, gamma, log_E, F)) - least).abs()
    return float(torch.maximum(off, (least - free_energy(others)).clamp_min(0)).max())


def guide_posterior_gap(seed: int) -> float:
    """Probabilities under the guide's softmax(-gamma G)."""
    G, F, log_E, _, gamma = _policies(seed)
    return float((policy_posterior(G, gamma, log_E, F) - torch.softmax(-gamma * G, 1)).abs().max())


def _even(seed: int) -> GenerativeModel:
    """A world in which no outcome is rare, so that a search meets all of them."""
    model = partly_seen(source(seed))
    return model.replace(A=(0.8 * model.A[0] + 0.1,))


def _searched(model: GenerativeModel, objective: Objective, seed: int) -> Tensor:
    tree = Tree.of(model, Search(2, objective))
    found = monte_carlo_policies(
        tree, (model.D[0][None],), simulations=SIMULATIONS, exploration=8.0, generator=source(seed)
    )
    return found.G[0]


def search_gap(seed: int) -> float:
    """G by a search with UCB and by the whole tree, with and without information gain."""
    model = _even(seed)
    pairs = (
        (_searched(model, aim, seed), closed_loop(model, (model.D[0][None],), 2, aim)[0])
        for aim in (EFE, REWARD)
    )
    return max(float((a - b).abs().max()) for a, b in pairs)


def bonus_gap(seed: int) -> float:
    """How actions differ in what information gain adds to the G that a search with UCB alone ends at."""
    model = _even(seed)
    reward, G = (closed_loop(model, (model.D[0][None],), 2, aim)[0] for aim in (REWARD, EFE))
    return float(((reward - reward.mean()) - (G - G.mean())).abs().max())


def _incomes(seed: int) -> tuple[float, float, float]:
    model = partly_seen(source(seed))
    best = -float(closed_loop(model, (model.D[0][None],), HORIZON).amin())
    by_reward, by_G = (float(expected_income(model, model.D[0], HORIZON, aim)) for aim in (REWARD, EFE))
    return best, by_reward, by_G


def income_gap(seed: int) -> float:
    """V* and what the plan for reward earns; how much more the plan for G earns, if it does."""
    best, by_reward, by_G = _incomes(seed)
    return max(abs(best - by_reward), by_G - best, 0.0)


def curiosity_price(seed: int) -> float:
    """What the plan for G, with its information gain, earns less than V*."""
    best, _, by_G = _incomes(seed)
    return max(best - by_G, 0.0)


CLAIMS = (
    Claim(
        "posterior over policies",
        "Q(pi) = softmax(-gamma G(pi))",
        "softmax(ln E - gamma G - F) has the least KL[Q || E] + E_Q[gamma G + F]",
        posterior_gap,
        1e-10,
        guide_posterior_gap,
        "habit E is uniform and the past speaks for no policy",
    ),
    Claim(
        "UCB in a tree",
        "UCB's exploration term in tree search and the epistemic term of EFE are equivalent",
        "a search with UCB ends at its tree's own G, with or without information gain: no bonus is left",
        search_gap,
        1e-10,
        bonus_gap,
    ),
    Claim(
        "one computation",
        "Active inference, reinforcement learning and planning are the same computation",
        "closed-loop planning for reward earns V*; with the whole tree in view information gain adds nothing",
        income_gap,
        1e-10,
        curiosity_price,
        "information gain is left out",
    ),
)
