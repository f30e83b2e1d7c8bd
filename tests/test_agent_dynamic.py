"""Dynamic programming in expected free energy: exact where states are seen, and linear in the horizon."""

import pytest
import torch
from torch.testing import assert_close

from arr_coc.agent.agent import Agent
from arr_coc.agent.dynamic import DynamicProgramming, Induction, dynamic_policies
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import REWARD
from arr_coc.agent.planning import Plan, infer_policies
from arr_coc.agent.rollout import rollout
from arr_coc.agent.sophisticated import Search, Tree, sophisticated_policies
from arr_coc.agent.worlds import GridWorld
from tests.planning_models import beliefs, model_of

EXACT = {"rtol": 0.0, "atol": 1e-12}
UNPRUNED = {"least_action": 0.0, "least_branch": 0.0}


def seen(seed: int, states: int = 4, actions: int = 3, times: int | None = None) -> GenerativeModel:
    model = model_of(seed, (states,), (states,), (actions,), preferred_times=times)
    return model.replace(A=(torch.eye(states, dtype=torch.float64),))


@pytest.mark.parametrize("gamma", [0.0, 0.7, 8.0, float("inf")])
def test_where_states_are_seen_it_is_the_sophisticated_tree_of_any_precision(gamma: float) -> None:
    model, states = seen(0), (torch.eye(4, dtype=torch.float64),)

    table = dynamic_policies(Induction.of(model, 4, gamma), states)

    tree = sophisticated_policies(Tree.of(model, Search(horizon=4, **UNPRUNED)), states, gamma)
    assert_close(table.G, tree.G, **EXACT)
    assert_close(table.q_pi, tree.q_pi, **EXACT)


def test_preferences_over_time_belong_to_their_depth() -> None:
    model, states = seen(1, times=5), (torch.eye(4, dtype=torch.float64),)

    table = dynamic_policies(Induction.of(model, 3, 2.0, time=1), states)

    tree = sophisticated_policies(Tree.of(model, Search(horizon=3, **UNPRUNED), time=1), states, 2.0)
    assert_close(table.G, tree.G, **EXACT)


def test_of_several_factors_it_is_that_of_their_joint_states() -> None:
    model = model_of(2, (2, 3), (2, 3), (2, 2), A_factors=((0,), (1,)))
    model = model.replace(A=(torch.eye(2, dtype=torch.float64), torch.eye(3, dtype=torch.float64)))
    states = tuple(torch.eye(n, dtype=torch.float64)[[1, 0]] for n in (2, 3))

    table = dynamic_policies(Induction.of(model, 3, 2.0), states)

    tree = sophisticated_policies(Tree.of(model, Search(horizon=3, **UNPRUNED)), states, 2.0)
    assert_close(table.G, tree.G, **EXACT)


def test_without_chance_the_best_is_that_of_all_sequences_of_actions() -> None:
    world = GridWorld(plan=("S..", ".#.", "..G"), dtype=torch.float64)
    model, states = world.model(), (torch.eye(8, dtype=torch.float64),)

    table = dynamic_policies(Induction.of(model, 5, float("inf"), REWARD), states)

    sequences = infer_policies(Plan.of(model, 5, REWARD), states).G
    assert_close(table.G.amin(1), sequences.amin(1), **EXACT)


def test_without_epistemic_terms_it_is_value_iteration() -> None:
    model = seen(3)
    reward, value = torch.log_softmax(model.C[0], 0), torch.zeros(4, dtype=torch.float64)
    for _ in range(30):
        action_value = torch.einsum("nsa,n->sa", model.B[0], reward + value)
        value = action_value.amax(1)

    table = Induction.of(model, 30, float("inf"), REWARD)

    assert_close(table.G[0], -action_value, **EXACT)


def test_where_states_are_hidden_only_the_first_look_counts() -> None:
    model, qs = model_of(4, (3,), (3,), (2,)), beliefs(4, (3,))

    G = dynamic_policies(Induction.of(model, 2, 1.5), qs).G

    known = infer_policies(model, (torch.eye(3, dtype=torch.float64),)).G
    value = (torch.softmax(-1.5 * known, 1) * known).sum(1)
    expected = infer_policies(model, qs).G + torch.einsum("nsa,bs,n->ba", model.B[0], qs[0], value)
    assert_close(G, expected, **EXACT)


def test_what_is_to_be_learned_draws_it_on_from_afar() -> None:
    model = seen(5, states=3, actions=2)
    model = model.replace(C=(torch.zeros(3, dtype=torch.float64),))
    counts = torch.full((3, 3, 2), 200.0, dtype=torch.float64)
    counts[:, 2, 1] = 0.5  # what action 1 does in state 2 is hardly known
    stay, go = torch.eye(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64).roll(1, 0)
    model = model.replace(B=(torch.stack([stay, go], 2),), pB=(counts,))

    draw = [
        Induction.of(model, horizon, float("inf")).G[0] @ torch.tensor([1.0, -1.0]).double()
        for horizon in (1, 2, 3)
    ]

    gain = draw[0][2]  # of trying it, over staying
    assert gain > 0.1
    assert draw[2][0] > 0.9 * gain
    assert draw[1][0].abs() < 0.1 * gain  # two steps do not lead there


def test_an_agent_that_prefers_the_goal_alone_walks_the_shortest_way() -> None:
    world = GridWorld()
    agent = Agent(world.model(), DynamicProgramming(horizon=12, gamma=16.0))

    cells = rollout(agent, world, 12, torch.Generator().manual_seed(0)).observations[0][0]

    goal = world.find("G")
    assert cells.tolist().index(goal) == shortest(world)
    assert cells[-1] == goal


def test_it_says_what_does_not_fit() -> None:
    model = seen(0)
    with pytest.raises(ValueError, match="horizon must be at least 1, got 0"):
        Induction.of(model, 0)
    with pytest.raises(ValueError, match="gamma must not be negative, got -1"):
        Induction.of(model, 1, -1.0)
    with pytest.raises(ValueError, match="one by one"):
        Induction.of(model.expand(2), 1)
    with pytest.raises(ValueError, match="no information gain about parameters"):
        Induction.of(model_of(0, (2, 2), (2,), (2, 1), counts="B"), 1)


def shortest(world: GridWorld) -> int:
    """Breadth first, over the plan itself."""
    cells = set(world.cells)
    start, goal = world.cells[world.find("S")], world.cells[world.find("G")]
    frontier, far, steps = {start}, {start}, 0
    while goal not in frontier:
        frontier = {
            (r + down, c + right) for r, c in frontier for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1))
        }
        frontier = (frontier & cells) - far
        far |= frontier
        steps += 1
    return steps
