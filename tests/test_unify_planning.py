"""What a search finds by its budget: the same where nothing is hidden, not where information comes first."""

import pytest
import torch
from torch.testing import assert_close

from arr_coc.agent.experience import Step
from arr_coc.agent.objective import EFE, REWARD
from arr_coc.agent.rollout import Record
from arr_coc.agent.unify.dynamic_programming import conditional_plans
from arr_coc.agent.unify.planning import SEARCHERS, expected_income, returns, value_of
from arr_coc.agent.unify.problems import partly_seen, source
from arr_coc.agent.worlds import EpistemicChain, GridWorld, TMaze

LINE = GridWorld(plan=("S..G",))


def earned(name: str, simulations: int | None) -> float:
    """In three steps, as many as the goal is away."""
    return float(value_of(SEARCHERS[name], LINE, 3, simulations, 3, 1, seed=0).mean())


@pytest.mark.parametrize("simulations", [5, 12])
def test_without_anything_hidden_a_search_finds_the_same_with_and_without_information_gain(
    simulations: int,
) -> None:
    model = LINE.model()
    found = [
        SEARCHERS[name].planner(3, simulations, 0)(model, 0)([Step((), (model.D[0][None],))]).G
        for name in ("reward, UCB", "EFE, UCB")
    ]

    assert torch.equal(*found)


def test_information_gain_is_no_bonus_for_what_the_search_has_not_tried() -> None:
    assert earned("reward, UCB", None) == earned("EFE, no bonus", None) == LINE.goal
    assert earned("EFE, UCB", 40) == LINE.goal
    assert earned("EFE, no bonus", 40) == 0.0


def test_where_information_comes_first_a_small_budget_finds_it_by_expected_free_energy_only() -> None:
    world = EpistemicChain()
    right = world.axes.actions["move"].index("right")  # where the first cue is
    model = world.model()
    now = [Step((), tuple(d[None] for d in model.D))]

    by_reward, by_G = (
        SEARCHERS[name].planner(2, 5, 0)(model, 0)(now).G[0] for name in ("reward, UCB", "EFE, UCB")
    )

    assert (by_reward == by_reward[0]).all()  # nothing to be seen of the cheese yet
    assert by_G.argmin() == right
    assert (by_G <= by_G[right]).sum() == 1


def test_an_income_is_the_log_preferences_of_what_was_seen_after_the_start() -> None:
    model = TMaze(reward=2.0, loss=-4.0).model()
    places, outcomes, cues = torch.tensor([[0, 3, 1]]), torch.tensor([[1, 0, 1]]), torch.tensor([[0, 1, 0]])
    nothing, policies = torch.zeros(1, 3), torch.zeros(1, 2, 1)
    record = Record((places, outcomes, cues), torch.zeros(1, 2, 1).long(), (), nothing, policies, policies)

    assert_close(returns(model, record), torch.tensor([2.0]))  # the reward at the start does not count


@pytest.mark.parametrize("seed", range(2))
def test_nobody_earns_more_than_the_best_conditional_plan_and_who_plans_for_reward_earns_as_much(
    seed: int,
) -> None:
    model = partly_seen(source(seed))
    best = (conditional_plans(model, 3) @ model.D[0]).max()

    assert_close(expected_income(model, model.D[0], 3, REWARD), best, rtol=0.0, atol=1e-12)
    assert expected_income(model, model.D[0], 3, EFE) <= best + 1e-12
