"""Counterfactual learning, its mixture with planning, and learned preferences: their closed forms."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from arr_coc.agent.agent import Agent
from arr_coc.agent.counterfactual import Counterfactual, Mixed, update_bias, update_mapping
from arr_coc.agent.desirability import update_desirability
from arr_coc.agent.dynamic import DynamicProgramming
from arr_coc.agent.experience import Step
from arr_coc.agent.maths import entropy
from arr_coc.agent.planner import Exhaustive
from arr_coc.agent.rollout import rollout
from arr_coc.agent.worlds import GridWorld
from tests.planning_models import beliefs, model_of

EXACT = {"rtol": 0.0, "atol": 1e-12}
SURE, OPEN, NEVER = (torch.tensor([risk], dtype=torch.float64) for risk in (0.0, 0.5, 1.0))


def test_who_knows_nothing_takes_every_action_alike() -> None:
    model, qs = model_of(0, (3, 2), (2,), (2, 3)), beliefs(0, (3, 2))

    outlook = Counterfactual.of(model)(model, 0)([Step((), qs)])

    assert_close(outlook.q_pi, torch.full((2, 6), 1 / 6, dtype=torch.float64), **EXACT)


def test_what_went_well_n_times_is_forgone_half_as_often_each_time() -> None:
    n, state = 7, torch.eye(3, dtype=torch.float64)[1]
    mapping = torch.full((4, 3), 0.25, dtype=torch.float64)

    learned = update_mapping(mapping, state.expand(n, -1), torch.full((n,), 2), SURE.expand(n))

    assert_close(learned[2, 1], torch.tensor(1 - 0.75 / 2**n, dtype=torch.float64), **EXACT)
    assert torch.equal(learned[:, [0, 2]], mapping[:, [0, 2]])


def test_a_risk_of_one_half_teaches_nothing_and_one_of_one_rules_an_action_out() -> None:
    state, action = torch.eye(2, dtype=torch.float64)[:1], torch.tensor([0])
    mapping = torch.tensor([[0.7, 0.5], [0.3, 0.5]], dtype=torch.float64)

    same, without = (update_mapping(mapping, state, action, risk) for risk in (OPEN, NEVER))

    assert_close(same, mapping, **EXACT)
    assert_close(without[:, 0], torch.tensor([0.0, 1.0], dtype=torch.float64), **EXACT)


def test_it_learns_of_a_state_as_far_as_it_believes_to_have_been_there() -> None:
    q = torch.tensor([[0.25, 0.75]], dtype=torch.float64)
    mapping = torch.full((2, 2), 0.5, dtype=torch.float64)

    learned = update_mapping(mapping, q, torch.tensor([1]), torch.tensor([0.1], dtype=torch.float64))

    gained = 0.8 * q[0]
    assert_close(learned[1], (0.5 + gained) / (1 + gained), **EXACT)


def test_a_walk_that_went_well_is_walked_again() -> None:
    world = GridWorld(dtype=torch.float64)
    teacher = Agent(world.model(), DynamicProgramming(12))
    walk = rollout(teacher, world, 12)
    habit = Counterfactual.of(world.model())
    steps = walk.qs[0][0, :-1], walk.actions[0, :, 0]

    learned = replace(habit, mapping=update_mapping(habit.mapping, *steps, SURE.expand(12)))
    again = rollout(Agent(world.model(), learned), world, 12)

    assert torch.equal(again.observations[0], walk.observations[0])


@pytest.mark.parametrize("bias", [0.0, 1.0])
@pytest.mark.parametrize("gamma", [1.5, float("inf")])
def test_a_mixture_of_one_is_that_one(bias: float, gamma: float) -> None:
    model, steps = model_of(1, (3, 2), (2,), (2, 2)), [Step((), beliefs(1, (3, 2)))]
    habit, plan = Counterfactual.of(model), DynamicProgramming(2, gamma)
    habit = replace(habit, mapping=torch.rand(4, 6, dtype=torch.float64).softmax(0))

    mixed = Mixed(habit, plan, torch.full((6,), bias, dtype=torch.float64))(model, 0)(steps)

    alone = (plan if bias else habit)(model, 0)(steps)
    assert_close(mixed.q_pi, alone.q_pi, **EXACT)
    assert_close(mixed.G, alone.G, **EXACT)


def test_the_surer_one_gains_where_one_is() -> None:
    here = torch.tensor([0.2, 0.8], dtype=torch.float64)
    vague, sure = (torch.tensor(p, dtype=torch.float64) for p in ([0.5, 0.5], [0.9, 0.1]))
    half = torch.full((2,), 0.5, dtype=torch.float64)

    for habit, plan in ((vague, sure), (sure, vague)):
        learned = update_bias(half, here, habit, plan)
        assert_close(learned, 0.5 + here * (entropy(habit) - entropy(plan)), **EXACT)
    assert update_bias(half, 100 * here, vague, sure).tolist() == [1.0, 1.0]


def test_desirability_settles_where_it_is_what_it_leads_to() -> None:
    # States 0 and 1 lead to each other or to the end, state 2, as P says; each step costs a nat.
    P = torch.tensor([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5]], dtype=torch.float64)
    cost = torch.tensor(-1.0, dtype=torch.float64)
    moves = [(0, 1), (0, 2), (1, 0), (1, 2)]  # each as often as P says
    before, after = torch.tensor(moves * 2000).T
    rates = 1 / (10 + torch.arange(len(before), dtype=torch.float64) / 4)

    z = update_desirability(torch.ones(3).double(), before, after, cost.expand(len(before)), rates)

    settled = torch.linalg.solve(torch.eye(2).double() - cost.exp() * P[:, :2], cost.exp() * P[:, 2])
    assert_close(z[:2], settled, rtol=0.0, atol=2e-3)
    assert z[2] == 1.0


def test_they_say_what_does_not_fit() -> None:
    model, one = model_of(0, (2,), (2,), (2,)), torch.tensor([0])
    mapping, q = Counterfactual.of(model).mapping, torch.eye(2, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"risk must lie in \[0, 1\], got 2"):
        update_mapping(mapping, q[:1], one, 2 * NEVER)
    with pytest.raises(ValueError, match=r"rate must lie in \[0, 1\], got -1"):
        update_desirability(q[0], one, one, SURE, -1.0)
    mixed = Mixed(Counterfactual.of(model), Exhaustive(policies=2), q[0])
    with pytest.raises(ValueError, match="4 policies of 2 steps"):
        mixed(model, 0)([Step((), (q,))])
