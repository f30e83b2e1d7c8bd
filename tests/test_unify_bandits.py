"""Bandits: how often Thompson sampling pulls an arm, what a pull tells, and what exploring costs."""

from itertools import pairwise
from math import log, sqrt

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.unify.bandits import (
    Rule,
    expected_free_energy_of_arms,
    expected_softmax,
    greedy,
    least_free_energy_arm,
    probability_of_best,
    regret,
    softmax_of_means,
    thompson,
    ucb1,
    ucb_bonus,
)
from arr_coc.agent.unify.problems import source

Pair = tuple[int, int]
ARMS: list[tuple[Pair, Pair]] = [((3, 2), (2, 3)), ((1, 1), (4, 9)), ((6, 2), (1, 1))]
RULES: list[Rule] = [thompson, ucb1, greedy, least_free_energy_arm(2.0)]


def chances(*of_arms: float, runs: int = 200) -> Tensor:
    return torch.tensor(of_arms, dtype=torch.double).expand(runs, -1)


@pytest.mark.parametrize(("one", "other"), ARMS)
def test_the_probability_of_being_best_is_the_integral_of_density_and_distribution(
    one: Pair, other: Pair
) -> None:
    (b1, a1), (b2, a2) = one, other

    exact, _ = integrate.quad(lambda x: stats.beta.pdf(x, a1, b1) * stats.beta.cdf(x, a2, b2), 0, 1)

    assert probability_of_best(one, other) == pytest.approx(exact, abs=1e-9)
    assert probability_of_best(one, other) + probability_of_best(other, one) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("one", "other"), ARMS)
def test_an_expected_softmax_is_the_double_integral(one: Pair, other: Pair) -> None:
    (b1, a1), (b2, a2) = one, other

    middle = (torch.arange(400, dtype=torch.double) + 0.5) / 400
    of_one, of_other = (torch.tensor(stats.beta.pdf(middle.numpy(), a, b)) for a, b in ((a1, b1), (a2, b2)))
    chosen = 1 / (1 + (-7.0 * (middle[:, None] - middle)).exp())
    exact = (of_one[:, None] * of_other * chosen).mean()

    assert expected_softmax(one, other, 7.0) == pytest.approx(float(exact), abs=1e-4)


def test_thompson_sampling_pulls_as_often_as_an_arm_is_best() -> None:
    one, other = ARMS[0]
    counts = torch.tensor([one, other], dtype=torch.double).expand(20_000, 2, 2)

    pulled = (thompson(counts, 8, source(0)) == 0).double().mean()

    assert float(pulled) == pytest.approx(probability_of_best(one, other), abs=0.012)  # four standard errors


def test_it_is_the_limit_of_expected_softmaxes_and_not_of_the_softmax_of_means() -> None:
    one, other = ARMS[0]
    best = probability_of_best(one, other)

    off = [abs(expected_softmax(one, other, gamma) - best) for gamma in (30.0, 100.0, 300.0)]
    assert all(later < sooner / 8 for sooner, later in pairwise(off))  # as the square of gamma
    assert softmax_of_means(one, other, 300.0) < 1e-9 < best


def test_a_pull_tells_less_and_less_and_the_bonus_of_ucb_does_not_forget_the_time() -> None:
    counts = torch.tensor([[[50.0, 50.0], [200.0, 200.0]]], dtype=torch.double)

    information = expected_free_energy_of_arms(counts, 0.0)
    told = log(2) - information[0]  # without preferences G is ln 2 less the information

    assert_close(told, torch.tensor([0.5 / 100, 0.5 / 400], dtype=torch.double), rtol=0.01, atol=0.0)
    assert ucb_bonus(torch.tensor(100.0), 10_000).item() == pytest.approx(sqrt(2 * log(10_000) / 100))
    assert ucb_bonus(torch.tensor(100.0), 10**8) > ucb_bonus(torch.tensor(100.0), 10**4)


def test_ucb_tries_every_arm_once_and_then_what_could_be_best() -> None:
    lost = regret(ucb1, chances(1.0, 0.5, 0.0, runs=50), 3, source(0))
    assert torch.equal(lost[:, -1], torch.full((50,), 1.5, dtype=torch.double))  # 0 + 1/2 + 1

    counts = torch.tensor([[[1.0, 11.0], [2.0, 2.0], [31.0, 1.0]]], dtype=torch.double)
    bounds = [mean + sqrt(2 * log(42) / n) for mean, n in ((1.0, 10), (0.5, 2), (0.0, 30))]
    assert ucb1(counts, 42, source(0)).item() == bounds.index(max(bounds)) == 1


@pytest.mark.parametrize("rule", RULES)
def test_regret_never_falls_and_is_none_where_all_arms_are_alike(rule: Rule) -> None:
    different = regret(rule, chances(0.2, 0.7), 40, source(1))
    alike = regret(rule, chances(0.4, 0.4), 40, source(1))

    assert (different.diff(dim=1) >= 0).all()
    assert different[:, -1].max() <= 40 * 0.5 + 1e-9
    assert alike.abs().max() == 0


def test_the_same_chance_is_the_same_regret() -> None:
    one, two = (regret(thompson, chances(0.2, 0.7), 30, source(3)) for _ in range(2))

    assert torch.equal(one, two)


def test_expected_free_energy_may_settle_on_a_worse_arm_where_the_others_do_not() -> None:
    arms = chances(0.5, 0.6, runs=300)
    settled = {}
    for name, rule in {"EFE": least_free_energy_arm(2.0), "Thompson": thompson, "UCB1": ucb1}.items():
        late = regret(rule, arms, 800, source(4))[:, -300:].diff(dim=1)
        settled[name] = float((late > 0).all(1).double().mean())

    assert settled["EFE"] > 0.1  # never the better arm in the last 300 pulls
    assert settled["Thompson"] < 0.05
    assert settled["UCB1"] == 0.0
