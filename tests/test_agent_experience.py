"""What a life teaches: exact counts, and each switch its own part of the model."""

from typing import Literal

import pytest
import torch
from torch.testing import assert_close

from arr_coc.agent.agent import Agent
from arr_coc.agent.experience import Learning
from arr_coc.agent.learning import update_A, update_B
from arr_coc.agent.planner import Exhaustive
from arr_coc.agent.rollout import rollout
from arr_coc.agent.sequence import smooth_states
from arr_coc.agent.worlds.bandit import Bandit
from arr_coc.agent.worlds.grid import GridWorld
from arr_coc.agent.worlds.tmaze import TMaze
from tests.lives import ACTIONS, OBSERVATIONS, draw, lived, one_factor

CENTRE, LEFT, RIGHT, CUE = range(4)
double = torch.double


@pytest.mark.parametrize("name", list("ABCDE"))
def test_every_learning_switch_changes_its_own_part_of_the_model_and_nothing_else(name: str) -> None:
    # pymdp takes learn_C, learn_D and learn_E and does nothing with them.
    model = one_factor()
    agent = Agent(model, Exhaustive(1), batch=2, learning=Learning(**{name: 1.0}))

    lived(agent, OBSERVATIONS, ACTIONS)
    agent.finish()

    changed = {
        field
        for field, new in agent.model.tensors().items()
        if not all(map(torch.equal, new, model.tensors()[field]))
    }
    assert changed == {name, f"p{name}"}


def test_without_learning_the_model_is_the_same_object() -> None:
    model = one_factor()
    agent = Agent(model, Exhaustive(1), batch=2)

    lived(agent, OBSERVATIONS, ACTIONS)
    agent.finish()

    assert agent.model is model


def test_counts_of_a_bandit_are_what_was_seen() -> None:
    world = Bandit(arms=3, chances=(0.2, 0.5, 0.8))
    agent = Agent(world.model().expand(20), Exhaustive(1), batch=20, learning=Learning(A=1.0))

    record = rollout(agent, world, steps=15, generator=draw(0))

    outcome, arm = (o[:, 1:] for o in record.observations)
    for row in range(20):
        counts = torch.ones(2, 3)
        for o, a in zip(outcome[row], arm[row], strict=True):
            counts[o, a] += 1
        assert_close(agent.model.pA[0][row], counts)
        assert_close(agent.model.A[0][row], counts / counts.sum(0))


def test_agents_that_share_a_model_learn_from_each_other() -> None:
    world = Bandit(arms=3, chances=(0.2, 0.5, 0.8))
    agent = Agent(world.model(), Exhaustive(1), batch=20, learning=Learning(A=1.0))

    rollout(agent, world, steps=15, generator=draw(0))

    assert agent.model.batch is None
    assert_close(agent.model.pA[0].sum(), torch.tensor(6.0 + 20 * 15))


def test_where_states_are_seen_transitions_are_counted() -> None:
    world = GridWorld(plan=("S.", ".G"), slip=0.3)
    known = world.model()
    counts = torch.ones_like(known.B[0])
    model = known.replace(pB=(counts,), B=(counts / 4,))
    agent = Agent(
        model, Exhaustive(1, gamma=0.0), batch=8, alpha=1.0, learning=Learning(B=1.0), generator=draw(0)
    )

    record = rollout(agent, world, steps=30, generator=draw(1))

    cell, action = record.observations[0], record.actions[..., 0]
    for before, after, a in zip(cell[:, :-1].flatten(), cell[:, 1:].flatten(), action.flatten(), strict=True):
        counts[after, before, a] += 1
    assert_close(agent.model.pB[0], counts)


def test_exact_pairs_are_the_joint_of_two_states_given_all_that_was_seen() -> None:
    model = one_factor()
    agent = Agent(model, Exhaustive(1), learning=Learning(B=1.0))
    o, action = (2, 0), 1
    first = model.A[0][o[0]] * model.D[0]
    joint = model.A[0][o[1]][:, None] * model.B[0][:, :, action] * (first / first.sum())

    lived(agent, torch.tensor([o]), torch.tensor([[[action]]]))

    assert_close(agent.model.pB[0][:, :, 1], model.pB[0][:, :, 1] + joint / joint.sum())
    assert_close(agent.model.pB[0][:, :, 0], model.pB[0][:, :, 0])


def test_independent_pairs_are_the_product_of_what_was_believed() -> None:
    model = one_factor()
    agent = Agent(model, Exhaustive(1), learning=Learning(B=0.5, forgetting=0.1, pairs="independent"))
    agent.infer_states((torch.tensor([2]),))
    agent.learn()
    (before,) = agent.qs
    agent.did(torch.tensor([[1]]))
    (after,) = agent.infer_states((torch.tensor([0]),))

    agent.learn()

    new = 0.9 * model.pB[0][:, :, 1] + 0.5 * after[0][:, None] * before[0]
    assert_close(agent.model.pB[0][:, :, 1], new)


@pytest.mark.parametrize("when", ["step", "end"])
def test_steps_into_the_unseen_teach_nothing_of_transitions(when: Literal["step", "end"]) -> None:
    """An episode that ended early is padded with missing observations: what is believed there is B itself."""
    model = one_factor().expand(2)
    observations = torch.tensor([[0, 3, -1, -1], [2, -1, 0, -1]])
    agent = Agent(model, Exhaustive(1), batch=2, learning=Learning(B=1.0, when=when))

    lived(agent, observations, ACTIONS)
    agent.finish()

    counted = (agent.model.pB[0] - model.pB[0]).sum((1, 2, 3))
    # With hindsight the second row's gap counts, for what was seen after it.
    assert_close(counted, torch.tensor([1.0, 1.0 if when == "step" else 2.0], dtype=double))


def test_hindsight_teaches_where_things_started() -> None:
    model = one_factor().expand(2)
    agent = Agent(model, Exhaustive(1), batch=2, learning=Learning(D=2.0))
    A, B, D = (t[0] for t in (model.A[0], model.B[0], model.D[0]))

    lived(agent, OBSERVATIONS, ACTIONS)
    agent.finish()

    for row in range(2):
        joint = A[OBSERVATIONS[row, 0]] * D  # of the first state and all later ones, summed from the back
        later = torch.ones(3, dtype=double)
        for step in (3, 2, 1):
            o = OBSERVATIONS[row, step]
            later = B[:, :, ACTIONS[row, step - 1, 0]].T @ (later if o < 0 else A[o] * later)
        first = joint * later / (joint * later).sum()
        assert_close(agent.model.pD[0][row], model.pD[0][row] + 2 * first)


def test_learning_at_the_end_counts_what_is_believed_with_hindsight() -> None:
    model = one_factor().expand(2)
    agent = Agent(model, Exhaustive(1), batch=2, learning=Learning(A=1.0, B=1.0, when="end"))

    lived(agent, OBSERVATIONS, ACTIONS)
    assert agent.model is model
    agent.finish()

    smoothed = smooth_states(model, (OBSERVATIONS,), ACTIONS)
    assert_close(agent.model.pA, update_A(model, (OBSERVATIONS,), smoothed.qs).pA)
    assert_close(agent.model.pB, update_B(model, smoothed.pairs, ACTIONS).pB)


def test_habits_grow_with_the_policies_pursued() -> None:
    model = one_factor().expand(2)
    agent = Agent(model, Exhaustive(1, gamma=1.0), batch=2, learning=Learning(E=1.0))
    pursued = torch.zeros(2, 2, dtype=double)

    for step in range(3):
        agent.infer_states((OBSERVATIONS[:, step],))
        agent.learn()
        pursued += agent.infer_policies().q_pi
        agent.act()
    agent.infer_states((OBSERVATIONS[:, 3],))
    agent.learn()

    assert_close(agent.model.pE, model.pE + pursued)


def test_who_has_learned_where_the_reward_is_no_longer_asks_the_cue() -> None:
    world = TMaze(prior=(1.0, 0.0))
    model = TMaze().model()
    counts = (model.D[0].clone(), torch.ones(2))
    agent = Agent(model.replace(pD=counts), Exhaustive(2), learning=Learning(D=1.0))

    first = [int(rollout(agent, world, steps=2, generator=draw(i)).actions[0, 0, 0]) for i in range(40)]

    assert first[0] == CUE
    assert first[-1] == LEFT
    assert first == sorted(first, reverse=True)  # the cue until it is not worth a step, then never again
