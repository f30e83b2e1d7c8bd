"""Bernoulli bandits: Thompson sampling, UCB1 and expected free energy, and how their explorations differ.

Beliefs are Beta counts of losses and wins, (..., arms, 2), as `pA` of `arr_coc.agent.worlds.Bandit` has them.
"""

from collections.abc import Callable
from functools import lru_cache
from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.novelty import dirichlet_information

Counts = Float[Tensor, "runs arms 2"]
Rule = Callable[[Counts, int, torch.Generator], Int[Tensor, " runs"]]
"""From counts, the number of pulls so far and a source of chance to the arm to pull."""

WIN = 1


def expected_free_energy_of_arms(counts: Counts, win: float) -> Float[Tensor, "runs arms"]:
    """G of pulling each arm once, in nats: -E ln P~(outcome) less the information about its chance.

    `win`: log-preference for winning over losing.
    """
    p = counts / counts.sum(-1, keepdim=True)
    wished = torch.log_softmax(counts.new_tensor([0.0, win]), 0)
    return -p @ wished - dirichlet_information(counts.movedim(-1, 0), p.movedim(-1, 0))


def ucb_bonus(n: Float[Tensor, "*arms"], pulls: int) -> Float[Tensor, "*arms"]:
    """sqrt(2 ln N / n) of UCB1, https://doi.org/10.1023/A:1013689704352. In units of reward."""
    return (2 * log(pulls) / n).sqrt()


def thompson(counts: Counts, pulls: int, generator: torch.Generator) -> Int[Tensor, " runs"]:
    """The best arm of chances drawn from the beliefs."""
    # A Beta is a ratio of Gammas, which is the one draw of it in torch that takes a generator.
    gamma = torch._standard_gamma(counts, generator=generator)
    return (gamma[..., WIN] / gamma.sum(-1)).argmax(1)


def ucb1(counts: Counts, pulls: int, generator: torch.Generator) -> Int[Tensor, " runs"]:
    """Every arm once, then the highest mean of what was seen plus bonus. The prior's counts are not seen."""
    n = counts.sum(-1) - 2.0
    mean = (counts[..., WIN] - 1.0) / n.clamp_min(1.0)
    bound = mean + ucb_bonus(n.clamp_min(1.0), max(pulls, 2))
    return torch.where(n > 0, bound, torch.inf).argmax(1)


def greedy(counts: Counts, pulls: int, generator: torch.Generator) -> Int[Tensor, " runs"]:
    """The highest mean of the beliefs, ties by chance."""
    return _lowest(-counts[..., WIN] / counts.sum(-1), generator)


def least_free_energy_arm(win: float) -> Rule:
    """The arm of least G, ties by chance."""

    def rule(counts: Counts, pulls: int, generator: torch.Generator) -> Int[Tensor, " runs"]:
        return _lowest(expected_free_energy_of_arms(counts, win), generator)

    return rule


def regret(
    rule: Rule, chances: Float[Tensor, "runs arms"], steps: int, generator: torch.Generator
) -> Float[Tensor, "runs steps"]:
    """Expected reward lost so far to the best arm, after each pull; beliefs begin at Beta(1, 1)."""
    counts = torch.ones(*chances.shape, 2, dtype=chances.dtype)
    best, rows = chances.amax(1), torch.arange(len(chances))
    lost = []
    for pulls in range(steps):
        arm = rule(counts, pulls, generator)
        won = torch.rand(len(chances), generator=generator, dtype=chances.dtype) < chances[rows, arm]
        counts[rows, arm, won.long()] += 1
        lost.append(best - chances[rows, arm])
    return torch.stack(lost, 1).cumsum(1)


def probability_of_best(one: tuple[int, int], other: tuple[int, int]) -> float:
    """P(the first of two arms is better): how often Thompson sampling pulls it. For whole (losses, wins).

    A sum of Beta functions, the chance that so many wins of the first come before all those of the other.
    """
    (b1, a1), (b2, a2) = one, other

    def log_beta(x: Tensor, y: Tensor) -> Tensor:
        return x.lgamma() + y.lgamma() - (x + y).lgamma()

    i = torch.arange(a1, dtype=torch.float64)
    first, second = (torch.tensor(float(x), dtype=torch.float64) for x in (b1, b2))
    logs = (
        log_beta(a2 + i, first + second)
        - (first + i).log()
        - log_beta(1 + i, first)
        - log_beta(torch.tensor(float(a2), dtype=torch.float64), second)
    )
    return float(logs.exp().sum())


def expected_softmax(one: tuple[int, int], other: tuple[int, int], gamma: float) -> float:
    """E_theta[softmax(gamma theta)] of the first of two arms, by Gauss's rule, for gamma up to 300."""
    x, w = _gauss()
    densities = []
    for losses, wins in (one, other):
        log_norm = sum(torch.tensor(float(c), dtype=x.dtype).lgamma() for c in (losses, wins))
        log_norm = log_norm - torch.tensor(float(losses + wins), dtype=x.dtype).lgamma()
        density = torch.xlogy(wins - 1.0, x) + torch.xlogy(losses - 1.0, 1 - x) - log_norm
        densities.append(w * density.exp())
    chosen = torch.sigmoid(gamma * (x[:, None] - x[None, :]))
    return float(densities[0] @ chosen @ densities[1])


def softmax_of_means(one: tuple[int, int], other: tuple[int, int], gamma: float) -> float:
    """softmax(gamma E theta) of the first of two arms: what the guide takes for Thompson sampling."""
    means = [wins / (losses + wins) for losses, wins in (one, other)]
    return float(torch.sigmoid(torch.tensor(gamma * (means[0] - means[1]), dtype=torch.float64)))


@lru_cache(maxsize=1)
def _gauss(n: int = 768) -> tuple[Tensor, Tensor]:
    """Nodes and weights of Gauss-Legendre on (0, 1), from the eigenvalues of Legendre's recurrence."""
    k = torch.arange(1, n, dtype=torch.float64)
    beside = k / (4 * k**2 - 1).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    return (nodes + 1) / 2, vectors[0] ** 2


def _lowest(cost: Tensor, generator: torch.Generator) -> Tensor:
    near = cost <= cost.amin(1, keepdim=True) + 1e-12
    return torch.multinomial(near.to(cost.dtype), 1, generator=generator)[:, 0]
