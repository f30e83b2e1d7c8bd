"""Planners that know what will be seen: sophisticated inference and Monte-Carlo search."""

import pytest
import torch
from torch.testing import assert_close

from arr_coc.agent.mcts import monte_carlo_policies
from arr_coc.agent.merge import joint_likelihood, merged, merged_beliefs
from arr_coc.agent.objective import REWARD
from arr_coc.agent.planning import Plan, infer_policies
from arr_coc.agent.sophisticated import Search, Tree, sophisticated_policies
from tests.agent_models import beliefs, model_of

EXACT = {"rtol": 0.0, "atol": 1e-12}
UNPRUNED = {"least_action": 0.0, "least_branch": 0.0}


def test_without_epistemic_terms_it_is_value_iteration_on_a_world_that_is_seen() -> None:
    model = model_of(0, (5,), (5,), (3,)).replace(A=(torch.eye(5, dtype=torch.float64),))
    reward, value = torch.log_softmax(model.C[0], 0), torch.zeros(5, dtype=torch.float64)
    for _ in range(5):
        action_value = torch.einsum("nsa,n->sa", model.B[0], reward + value)
        value = action_value.amax(1)

    tree = Tree.of(model, Search(horizon=5, objective=REWARD, **UNPRUNED))
    told = sophisticated_policies(tree, (torch.eye(5, dtype=torch.float64),), float("inf"))

    assert_close(told.G, -action_value, **EXACT)
    assert torch.equal(told.q_pi.argmax(1), action_value.argmax(1))


@pytest.mark.parametrize("gamma", [0.5, 4.0])
def test_it_is_its_recursive_definition(gamma: float) -> None:
    model, qs = model_of(1, (3, 2), (2, 2), (2, 1)), beliefs(1, (3, 2), batch=2)

    told = sophisticated_policies(Tree.of(model, Search(horizon=3, **UNPRUNED)), qs, gamma)

    step = Plan.of(merged(model), 1)
    for i in range(2):
        assert_close(told.G[i], _by_recursion(step, merged_beliefs(qs)[i], 3, gamma), **EXACT)


def test_over_one_step_it_is_the_plan_of_one_step() -> None:
    model, qs = model_of(2, (3, 2), (3, 2), (2, 2)), beliefs(2, (3, 2))

    told, plain = (
        sophisticated_policies(Tree.of(model, Search(horizon=1)), qs, 2.0),
        infer_policies(model, qs, 2.0),
    )

    assert_close(told.G, plain.G, **EXACT)
    assert_close(told.q_pi, plain.q_pi, **EXACT)


def test_knowing_what_will_be_seen_is_never_worse_and_here_better_than_a_fixed_sequence() -> None:
    gains = []
    for seed in range(5):
        model, qs = model_of(seed, (3,), (3,), (2,)), beliefs(seed, (3,))
        tree = Tree.of(model, Search(3, REWARD, **UNPRUNED))

        closed = sophisticated_policies(tree, qs, float("inf")).G.amin(1)
        gains.append(infer_policies(Plan.of(model, 3, REWARD), qs).G.amin(1) - closed)

    assert torch.stack(gains).min() > -1e-12
    assert torch.stack(gains).max() > 1e-3


def test_a_row_of_a_batch_is_what_it_is_alone() -> None:
    model, qs = model_of(4, (3,), (3,), (3,)), beliefs(4, (3,), batch=3)
    tree = Tree.of(model, Search(horizon=3))

    together, alone = sophisticated_policies(tree, qs, 2.0), sophisticated_policies(tree, (qs[0][2:],), 2.0)

    assert_close(together.G[2:], alone.G, **EXACT)


def test_pruning_only_drops_what_is_unlikely() -> None:
    model, qs = model_of(5, (4,), (4,), (3,)), beliefs(5, (4,))
    searches = (Search(3, **UNPRUNED), Search(3, least_action=1e-9, least_branch=1e-4))

    full, pruned = (sophisticated_policies(Tree.of(model, s), qs, 2.0).G for s in searches)

    assert_close(pruned, full, rtol=0.0, atol=1e-2)


def test_preferences_over_time_are_those_of_each_depth() -> None:
    model = model_of(6, (3,), (3,), (2,), preferred_times=4)
    now = model.replace(C=(model.C[0][1],))
    qs = beliefs(6, (3,))

    told = sophisticated_policies(Tree.of(model, Search(1), time=1), qs).G

    assert_close(told, infer_policies(now, qs).G, **EXACT)
    with pytest.raises(ValueError, match=r"C\[0\] has 4 rows"):
        Tree.of(model, Search(horizon=4), time=1)


def test_it_has_gradients() -> None:
    model, qs = model_of(7, (3,), (2,), (2,)), beliefs(7, (3,), batch=1)

    def of(q: torch.Tensor, C: torch.Tensor) -> tuple[torch.Tensor, ...]:
        tree = Tree.of(model.replace(C=(C,)), Search(horizon=2, **UNPRUNED))
        return tuple(sophisticated_policies(tree, (torch.softmax(q, 1),), 1.5))

    inputs = (qs[0].log().requires_grad_(), model.C[0].clone().requires_grad_())
    assert torch.autograd.gradcheck(of, inputs)


def test_monte_carlo_search_converges_to_the_sophisticated_one_without_a_discount_of_what_surprises() -> None:
    model, qs = model_of(8, (3,), (2,), (2,)), beliefs(8, (3,))
    tree = Tree.of(model, Search(horizon=2, **UNPRUNED))

    exact = sophisticated_policies(tree, qs, float("inf")).G
    told = monte_carlo_policies(tree, qs, simulations=200, generator=torch.Generator().manual_seed(0))

    assert_close(told.G, exact, **EXACT)
    assert_close(told.q_pi.sum(1), torch.ones(2, dtype=torch.float64))


def test_monte_carlo_search_is_its_generator_and_repeats() -> None:
    model, qs = model_of(9, (3,), (3,), (2,)), beliefs(9, (3,))
    tree = Tree.of(model, Search(horizon=3))

    first, again, other = (
        monte_carlo_policies(tree, qs, simulations=30, generator=torch.Generator().manual_seed(seed)).G
        for seed in (1, 1, 2)
    )

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_searches_say_what_does_not_fit() -> None:
    model, qs = model_of(0, (3,), (3,), (4,)), beliefs(0, (3,))
    with pytest.raises(ValueError, match="horizon must be at least 1, got 0"):
        Search(horizon=0)
    with pytest.raises(ValueError, match="at least 4, one for each first action"):
        monte_carlo_policies(Tree.of(model, Search()), qs, simulations=3)
    with pytest.raises(ValueError, match="branch='outcomes'"):
        monte_carlo_policies(Tree.of(model, Search(branch="states")), qs)
    with pytest.raises(ValueError, match="too many for exact joint transitions"):
        Tree.of(model_of(0, (20, 20, 20), (2,), (2, 1, 1), ((0,),)), Search())
    with pytest.raises(ValueError, match="one by one"):
        Tree.of(model.expand(2), Search())


def _by_recursion(step: Plan, q: torch.Tensor, steps: int, gamma: float) -> torch.Tensor:
    G = infer_policies(step, (q[None],)).G[0]
    if steps == 1:
        return G
    likelihood, later = joint_likelihood(step.model), []
    for action in range(len(G)):
        value = torch.zeros((), dtype=q.dtype)
        for seen in likelihood * (step.model.B[0][:, :, action] @ q):
            below = _by_recursion(step, seen / seen.sum(), steps - 1, gamma)
            value = value + seen.sum() * (torch.softmax(-gamma * below, 0) @ below)
        later.append(value)
    return G + torch.stack(later)
