"""Claims about bandits: Thompson sampling, upper confidence bounds, information gain."""

import torch

from arr_coc.agent.novelty import dirichlet_information
from arr_coc.agent.planning import Plan, expected_free_energy
from arr_coc.agent.unify.bandits import (
    expected_free_energy_of_arms,
    expected_softmax,
    probability_of_best,
    softmax_of_means,
    ucb_bonus,
)
from arr_coc.agent.unify.claims.claim import Claim
from arr_coc.agent.unify.problems import DTYPE, source
from arr_coc.agent.worlds.bandit import Bandit

SHARP = 300.0
"""A precision that is nearly infinite."""


def _arms(seed: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Counts of losses and wins of two arms, neither of which is sure to be better."""
    a, b, c, d = (torch.randint(1, 13, (4,), generator=source(seed)) + 1).tolist()
    return (a, b), (c, d)


def thompson_gap(seed: int) -> float:
    """The limit of E_theta[softmax(gamma theta)], and how often Thompson sampling pulls an arm.

    What is missing at a finite gamma falls with its square, so two precisions tell where it ends.
    """
    one, other = _arms(seed)
    half, full = (expected_softmax(one, other, gamma) for gamma in (SHARP / 2, SHARP))
    return abs((4 * full - half) / 3 - probability_of_best(one, other))


def guide_thompson_gap(seed: int) -> float:
    """softmax(gamma E theta) at a precision of 300, and how often Thompson sampling pulls an arm."""
    one, other = _arms(seed)
    return abs(softmax_of_means(one, other, SHARP) - probability_of_best(one, other))


def _pulled(seed: int) -> torch.Tensor:
    """Counts of an arm with some chance, after 10^4, 10^5 and 10^6 pulls: (outcomes, arms)."""
    chance = 0.05 + 0.9 * torch.rand((), generator=source(seed), dtype=DTYPE)
    n = torch.tensor([1e4, 1e5, 1e6], dtype=DTYPE)
    return torch.stack([(1 - chance) * n, chance * n])


def information_rate_gap(seed: int) -> float:
    """Information gain of one more pull after n and 1 / 2n, relative."""
    counts = _pulled(seed)
    n = counts.sum(0)
    return float((2 * n * dirichlet_information(counts, counts / n) - 1).abs().max())


def guide_rate_gap(seed: int) -> float:
    """How the bonus of UCB1 falls with n, and how information gain does: their powers of n differ by this."""
    counts = _pulled(seed)
    n = counts.sum(0)
    both = torch.stack([dirichlet_information(counts, counts / n), ucb_bonus(n, 10**7)]).log()
    falls = (both[:, -1] - both[:, 0]) / (n[-1] / n[0]).log()
    return float((falls[0] - falls[1]).abs())


def arm_gap(seed: int) -> float:
    """G of arms in closed form, and that of the agent's plan in the bandit's own model; and of its KL."""
    g = source(seed)
    counts = 0.5 + 9 * torch.rand(1, 4, 2, generator=g, dtype=DTYPE)
    win = float(3 * torch.rand((), generator=g))
    model = Bandit(arms=4, win=win, dtype=DTYPE).model()
    of_outcomes = counts[0].T
    model = model.replace(
        A=(of_outcomes / of_outcomes.sum(0), model.A[1]), pA=(of_outcomes, torch.eye(4, dtype=DTYPE))
    )
    # The state is the arm, which is no secret: what outcomes tell of it is not what exploration is about.
    terms = expected_free_energy(Plan.of(model, 1, detail=True), (model.D[0][None],))
    told = -terms.utility - terms.information_A - torch.log(torch.tensor(4.0, dtype=DTYPE))
    off = (told - expected_free_energy_of_arms(counts, win)).abs().max()
    p = counts / counts.sum(-1, keepdim=True)
    kl = torch.zeros(1, 4, dtype=DTYPE)
    for outcome in range(2):
        more = counts.clone()
        more[..., outcome] += 1
        one, before = (torch.distributions.Dirichlet(x) for x in (more, counts))
        kl += p[..., outcome] * torch.distributions.kl_divergence(one, before)
    return float(torch.maximum(off, (kl - terms.information_A).abs().max()))


CLAIMS = (
    Claim(
        "Thompson sampling",
        "Thompson sampling is active inference: sampling Q(pi) = softmax(gamma E r) samples beliefs",
        "it is E_theta[softmax(gamma r_theta)] as gamma grows, with the expectation outside",
        thompson_gap,
        1e-5,
        guide_thompson_gap,
    ),
    Claim(
        "UCB bonus",
        "UCB's exploration term and EFE's epistemic term are the same kind of bonus",
        "the information gain of a pull falls as 1 / 2n and does not grow with ln N; UCB's as 1 / sqrt(n)",
        information_rate_gap,
        1e-3,
        guide_rate_gap,
    ),
    Claim(
        "EFE of an arm",
        "EFE derives exploration from information theory",
        "G of an arm is -E ln P(o) - E_o KL[Beta after || Beta before]",
        arm_gap,
        1e-10,
    ),
)
