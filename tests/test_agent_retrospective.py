"""Policies with a past: against the forward algorithm of each, and as plans without one at the start."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.agent import Agent
from arr_coc.agent.planner import Exhaustive
from arr_coc.agent.planning import infer_policies
from arr_coc.agent.policies import all_policies
from arr_coc.agent.precision import infer_precision
from arr_coc.agent.retrospective import Retrospective
from arr_coc.agent.rollout import rollout
from arr_coc.agent.worlds.tmaze import TMaze
from tests.lives import ACTIONS, OBSERVATIONS, draw, one_factor

double = torch.double


def after_two_steps(planner: Retrospective, shared: bool = True) -> Agent:
    """Two agents that have seen three things and done two."""
    model = one_factor().replace(E=None, pE=None)
    agent = Agent(model if shared else model.expand(2), planner, batch=2)
    for step in range(3):
        agent.infer_states((OBSERVATIONS[:, step],))
        agent.infer_policies()
        if step < 2:
            agent.did(ACTIONS[:, step])
    return agent


def evidence(row: int, plan: Tensor) -> tuple[Tensor, Tensor]:
    """-ln P(o | plan) of three observations, and the belief after them, by the forward algorithm."""
    model = one_factor()
    message = model.D[0]
    for step in range(3):
        if step:
            message = model.B[0][:, :, plan[step - 1, 0]] @ message
        o = int(OBSERVATIONS[row, step])
        message = message if o < 0 else model.A[0][o] * message
    return -message.sum().log(), message / message.sum()


@pytest.mark.parametrize("shared", [True, False])
def test_policies_are_weighed_by_their_evidence_and_by_what_they_promise(shared: bool) -> None:
    agent = after_two_steps(Retrospective(policies=4, gamma=2.0), shared)
    plans = all_policies((2,), 4)
    model = one_factor().replace(E=None, pE=None)

    outlook = agent.infer_policies()

    for row in range(2):
        F, G = [], []
        for plan in plans:
            surprise, q = evidence(row, plan)
            F.append(surprise)
            G.append(infer_policies(model, (q[None],), policies=plan[None, 2:]).G[0, 0])
        assert_close(outlook.G[row], torch.stack(G))
        assert_close(outlook.q_pi[row], torch.softmax(-2.0 * torch.stack(G) - torch.stack(F), 0))
    assert torch.equal(outlook.policies, plans[:, 2:])


def test_at_the_start_no_policy_has_a_past() -> None:
    model = one_factor().replace(E=None, pE=None)
    looks = []
    for planner in (Retrospective(policies=3), Exhaustive(policies=3)):
        agent = Agent(model, planner, batch=2)
        agent.infer_states((OBSERVATIONS[:, 0],))
        looks.append(agent.infer_policies())

    assert_close(looks[0].G, looks[1].G)
    assert_close(looks[0].q_pi, looks[1].q_pi)


def test_precision_is_inferred_from_how_evidence_and_promise_agree() -> None:
    fixed = after_two_steps(Retrospective(policies=4, gamma=2.0)).outlook
    inferred = after_two_steps(Retrospective(policies=4, gamma=2.0, precision="inferred")).outlook
    assert fixed is not None
    assert inferred is not None
    F = -(fixed.log_q_pi + 2.0 * fixed.G)

    gamma = infer_precision(fixed.G, F, prior_beta=0.5).gamma

    assert_close(inferred.q_pi, torch.softmax(-gamma[:, None] * fixed.G - F, 1))
    assert (gamma - 2.0).abs().min() > 1e-3


def test_habits_count() -> None:
    E = torch.softmax(torch.randn(4, generator=draw(0), dtype=double), 0)
    agent = Agent(one_factor().replace(E=E, pE=None), Retrospective(policies=2, gamma=1e-9))
    agent.infer_states((torch.tensor([1]),))

    assert_close(agent.infer_policies().q_pi[0], E)


def test_a_plan_for_the_whole_episode_asks_the_cue_and_then_goes_to_the_reward() -> None:
    world = TMaze(reward_probability=1.0)
    agent = Agent(world.model(), Retrospective(policies=2), batch=50)

    record = rollout(agent, world, steps=2, generator=draw(0))

    cue = world.axes.actions["go"].index("cue")
    assert set(record.actions[:, 0, 0].tolist()) == {cue}
    assert torch.equal(record.actions[:, 1, 0], record.observations[2][:, 1])
    with pytest.raises(ValueError, match="policies of 2 steps are over at step 2"):
        rollout(agent, world, steps=3, generator=draw(0))
