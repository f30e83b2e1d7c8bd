"""Agents that remember: against the forward algorithm; what their settings do; what they refuse."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.agent import Agent
from arr_coc.agent.experience import Learning
from arr_coc.agent.inductive import Intention
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import REWARD
from arr_coc.agent.planner import Exhaustive, MonteCarlo, Planner, Sophisticated
from arr_coc.agent.rollout import rollout
from arr_coc.agent.sequence import filter_states
from arr_coc.agent.sophisticated import Search
from arr_coc.agent.worlds.bandit import Bandit
from arr_coc.agent.worlds.grid import GridWorld
from arr_coc.agent.worlds.tmaze import TMaze
from tests.lives import ACTIONS, OBSERVATIONS, draw, lived, one_factor, table

double = torch.double


def test_beliefs_follow_the_forward_algorithm_and_the_free_energies_add_up_to_the_surprise() -> None:
    model = one_factor()
    agent = Agent(model, Exhaustive(1), batch=2)

    F = torch.stack(lived(agent, OBSERVATIONS, ACTIONS)).sum(0)

    A, B, D = model.A[0], model.B[0], model.D[0]
    for row in range(2):
        message = D
        for step, o in enumerate(OBSERVATIONS[row].tolist()):
            if step:
                message = B[:, :, ACTIONS[row, step - 1, 0]] @ message
            message = message if o < 0 else A[o] * message
        assert_close(F[row], -message.sum().log())
        assert_close(agent.qs[0][row], message / message.sum())


def test_looking_twice_at_the_same_step_replaces_the_first_look() -> None:
    agent = Agent(one_factor(), Exhaustive(1))
    agent.infer_states((torch.tensor([0]),))
    (once,) = agent.infer_states((torch.tensor([1]),))

    (alone,) = Agent(one_factor(), Exhaustive(1)).infer_states((torch.tensor([1]),))

    assert torch.equal(once, alone)


def test_a_missing_observation_does_not_change_the_model() -> None:
    model = TMaze().model()
    before = [t.clone() for t in model.A]
    agent = Agent(model, Exhaustive(1))

    agent.infer_states((torch.tensor([0]), None, torch.tensor([-1])))

    assert agent.model is model
    assert all(map(torch.equal, before, model.A))


def test_a_reset_forgets_what_happened_and_keeps_what_was_learned() -> None:
    agent = Agent(one_factor(), Exhaustive(1), batch=2, learning=Learning(A=1.0))
    lived(agent, OBSERVATIONS, ACTIONS)
    learned = agent.model

    agent.reset()

    assert agent.model is learned
    assert (agent.step, agent.action, agent.outlook) == (0, None, None)
    assert_close(agent.qs[0], learned.D[0].expand(2, -1))


def test_beliefs_come_in_the_precision_and_on_the_device_of_the_model() -> None:
    agent = Agent(one_factor(), Exhaustive(1), batch=2)

    agent.infer_states((OBSERVATIONS[:, 0],))
    outlook = agent.infer_policies()

    assert {agent.qs[0].dtype, agent.F.dtype, outlook.q_pi.dtype, outlook.G.dtype} == {double}


def test_an_agent_of_a_batch_lives_as_it_would_alone() -> None:
    world = GridWorld(plan=("S.", ".G"), slip=0.3, blur=0.2)
    record = rollout(Agent(world.model(), Exhaustive(2), batch=6), world, steps=4, generator=draw(0))

    agent = Agent(world.model(), Exhaustive(2))
    for step in range(4):
        agent.infer_states([o[3:4, step] for o in record.observations])
        outlook = agent.infer_policies()
        assert_close(outlook.G[0], record.G[3, step])
        assert_close(agent.F[0], record.F[3, step])
        assert torch.equal(agent.act()[0], record.actions[3, step])


def test_a_record_holds_one_observation_more_than_actions() -> None:
    world = TMaze()

    record = rollout(Agent(world.model(), Exhaustive(2), batch=5), world, steps=3, generator=draw(0))

    assert [tuple(o.shape) for o in record.observations] == [(5, 4)] * 3
    assert [tuple(q.shape) for q in record.qs] == [(5, 4, 4), (5, 4, 2)]
    assert tuple(record.actions.shape) == (5, 3, 1)
    assert tuple(record.F.shape) == (5, 4)
    assert tuple(record.q_pi.shape) == tuple(record.G.shape) == (5, 3, 16)


def test_a_record_can_be_filtered_again_to_the_same_beliefs() -> None:
    world = GridWorld(plan=("S.", ".G"), slip=0.3, blur=0.2)
    model = world.model()

    record = rollout(Agent(model, Exhaustive(1), batch=4), world, steps=3, generator=draw(2))
    again = filter_states(model, record.observations, record.actions)

    assert_close(again.qs[0], record.qs[0])
    assert_close(again.F, record.F)


def test_the_same_seeds_give_the_same_life_and_others_another() -> None:
    world = TMaze()

    def life(seed: int) -> Tensor:
        agent = Agent(world.model(), Exhaustive(2, gamma=1.0), batch=50, alpha=1.0, generator=draw(seed))
        return rollout(agent, world, steps=3, generator=draw(0)).actions

    assert torch.equal(life(1), life(1))
    assert not torch.equal(life(1), life(2))


# Settings


def two_factors() -> GenerativeModel:
    """Two factors that every observation ties together, and two modalities that say much the same."""
    A = (table(4, 2, 3, seed=0), table(3, 2, 3, seed=1))
    B = (table(2, 2, 2, seed=2), table(3, 3, 3, seed=3))
    return GenerativeModel(A, B, tuple(torch.zeros(len(a), dtype=double) for a in A))


def looked(**settings: Any) -> Agent:
    planner = settings.pop("planner", Exhaustive(1))
    agent = Agent(two_factors(), planner, batch=2, **settings)
    weights = torch.softmax(torch.randn(2, 4, generator=draw(0), dtype=double), dim=1)
    agent.infer_states((weights, torch.tensor([2, 0])))
    agent.infer_policies()
    return agent


def test_the_method_of_inference_is_the_one_asked_for() -> None:
    exact, mean_field, auto = (looked(method=m).F for m in ("exact", "mean_field", "auto"))

    assert (mean_field > exact + 1e-4).all()  # a product of marginals cannot explain what ties the factors
    assert_close(auto, exact)


def test_weights_over_outcomes_mean_what_is_asked_for() -> None:
    believed, sensed = (looked(soft=soft) for soft in ("expected_log", "likelihood"))

    assert (believed.F > sensed.F + 1e-4).all()  # Jensen: E ln p is below ln E p, for the same weights


@pytest.mark.parametrize(
    "planner",
    [
        Exhaustive(2),
        Exhaustive(1, gamma=2.0),
        Exhaustive(1, objective=REWARD),
        Exhaustive(1, information="per_modality"),
        Exhaustive(1, intention=Intention((torch.tensor([0.0, 1.0]).double(), torch.zeros(3).double()))),
        Sophisticated(Search(horizon=2)),
        Sophisticated(Search(horizon=1), gamma=2.0),
    ],
)
def test_every_setting_of_a_planner_changes_what_is_planned(planner: Planner) -> None:
    plain, other = looked().outlook, looked(planner=planner).outlook

    assert plain is not None
    assert other is not None
    assert plain.q_pi.shape != other.q_pi.shape or not torch.allclose(plain.q_pi, other.q_pi)


def test_trees_of_one_step_judge_as_plans_of_one_step_do() -> None:
    search = Search(horizon=1)
    exact = looked(method="exact")
    # A tree is given the product of marginals, as plans are.
    for planner in (Sophisticated(search), MonteCarlo(search, simulations=6)):
        tree = looked(planner=planner, method="exact").outlook
        assert tree is not None
        assert exact.outlook is not None
        assert torch.equal(tree.policies, exact.outlook.policies)
        assert_close(tree.G, exact.outlook.G)
        assert_close(tree.q_pi, exact.outlook.q_pi)
        assert_close(tree.log_q_pi, exact.outlook.log_q_pi)


# Mistakes


def test_steps_out_of_order_are_refused() -> None:
    agent = Agent(one_factor(), Exhaustive(1))

    with pytest.raises(RuntimeError, match=r"call infer_states\(obs\) first"):
        agent.infer_policies()
    agent.infer_states((torch.tensor([0]),))
    with pytest.raises(RuntimeError, match=r"call infer_policies\(\) first"):
        agent.act()
    agent.learn()
    with pytest.raises(RuntimeError, match="learned from already"):
        agent.learn()


def test_a_model_for_each_of_three_is_none_for_two() -> None:
    with pytest.raises(ValueError, match="for each of 3 agents and batch is 2"):
        Agent(one_factor().expand(3), Exhaustive(1), batch=2)


@pytest.mark.parametrize("name", list("ABCDE"))
def test_learning_without_counts_is_refused(name: str) -> None:
    model = one_factor().replace(**{f"p{name}": None})

    with pytest.raises(
        ValueError, match=f"learning {name} needs counts to start from: give the model p{name}"
    ):
        Agent(model, Exhaustive(1), learning=Learning(**{name: 1.0}))


def test_a_negative_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="rates of learning must not be negative"):
        Agent(one_factor(), Exhaustive(1), learning=Learning(A=-1.0))


def test_habits_are_counted_for_the_policies_there_are() -> None:
    agent = Agent(one_factor().replace(E=None), Exhaustive(2), learning=Learning(E=1.0))
    agent.infer_states((torch.tensor([0]),))
    agent.infer_policies()
    agent.act()
    agent.infer_states((torch.tensor([0]),))

    with pytest.raises(ValueError, match="pE counts 2 policies, the planner has 4"):
        agent.learn()


def test_observations_and_actions_of_another_number_of_agents_are_refused() -> None:
    agent = Agent(one_factor(), Exhaustive(1), batch=2)

    with pytest.raises(ValueError, match=r"obs must be of 2 agents in every modality, got \[3\]"):
        agent.infer_states((torch.tensor([0, 1, 2]),))
    agent.infer_states((torch.tensor([0, 1]),))
    with pytest.raises(ValueError, match=r"\(batch, controls\) = \(2, 1\), got \(3, 1\)"):
        agent.did(torch.zeros(3, 1, dtype=torch.long))
    with pytest.raises(ValueError, match="actions must lie between 0 and"):
        agent.did(torch.tensor([[0], [-1]]))


def test_an_episode_is_finished_once() -> None:
    agent = Agent(one_factor(), Exhaustive(1), learning=Learning(D=1.0))
    agent.infer_states((torch.tensor([0]),))
    agent.finish()

    with pytest.raises(RuntimeError, match=r"call infer_states\(obs\) first"):
        agent.finish()


@pytest.mark.parametrize("planner", [Sophisticated(Search(2)), MonteCarlo(Search(2))])
def test_a_tree_says_that_it_has_no_curiosity_about_parameters(planner: Planner) -> None:
    agent = Agent(Bandit().model(), planner)
    agent.infer_states((None, None))

    with pytest.raises(ValueError, match="no information gain about parameters"):
        agent.infer_policies()


@pytest.mark.parametrize("gamma", [math.inf, -1.0, math.nan])
def test_a_precision_that_is_none_is_refused(gamma: float) -> None:
    with pytest.raises(ValueError, match="gamma must be finite and not negative"):
        Exhaustive(1, gamma=gamma)


def test_a_rollout_takes_at_least_one_step() -> None:
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        rollout(Agent(TMaze().model(), Exhaustive(1)), TMaze(), steps=0)
