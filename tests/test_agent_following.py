"""Policies followed by messages: where the truth is known, against it; as a planner, against the function."""

from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.agent import Agent
from arr_coc.agent.following import follow_policies, model_average
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import EFE, REWARD, Objective
from arr_coc.agent.planning import Plan, infer_policies
from arr_coc.agent.policies import all_policies
from arr_coc.agent.retrospective import Retrospective
from arr_coc.agent.rollout import rollout
from arr_coc.agent.worlds.tmaze import TMaze
from arr_coc.agent.worth import Worth
from tests.agent_models import ONE, TWO, World
from tests.lives import draw

double = torch.double
worlds = pytest.mark.parametrize("world", [ONE, TWO], ids=["one", "two"])


def certain() -> GenerativeModel:
    """States are seen, actions lead to one state each, and the start is known: messages are exact."""
    to = torch.tensor([[1, 2], [2, 0], [0, 1]])
    return GenerativeModel(
        A=torch.eye(3, dtype=double),
        B=torch.nn.functional.one_hot(to, 3).permute(2, 0, 1).double(),
        C=torch.tensor([0.0, 1.0, -0.5], dtype=double),
        D=torch.tensor([1.0, 0.0, 0.0], dtype=double),
    )


def test_where_everything_is_certain_what_remains_is_the_reward_of_the_states_to_come() -> None:
    model, policies = certain(), all_policies((2,), 3)
    seen = torch.tensor([[0, 1, 0]])  # the first two actions were 0 and 1

    now = follow_policies(model, [seen], policies)[-1]

    reward, step = torch.log_softmax(model.C[0], 0), model.B[0].argmax(0)
    agree = (policies[:, 0, 0] == 0) & (policies[:, 1, 0] == 1)
    ends = step[0, policies[:, 2, 0]]
    assert_close(now.G[0, agree], -(reward[0] + reward[ends])[agree], atol=1e-6, rtol=0.0)
    assert_close(now.q_pi[0, agree].sum(), torch.tensor(1.0, dtype=double), atol=1e-6, rtol=0.0)
    assert_close(now.average[0][0, :3].argmax(1), torch.tensor([0, 1, 0]))


@worlds
def test_what_beliefs_are_worth_is_what_a_plan_that_leads_to_them_is_worth(world: World) -> None:
    # A plan's own predictions, valued as they stand, add up to the plan's G.
    model = world.model().replace(pB=None, pD=None)
    policy, qs = world.moves(1, 2), world.beliefs(2)
    steps = [qs]
    for action in policy[0]:
        steps.append(
            tuple(
                torch.einsum("ij,bj->bi", b[(..., action[f])], q)
                for f, (b, q) in enumerate(zip(model.B, steps[-1], strict=True))
            )
        )
    beliefs = tuple(torch.stack(q, 1) for q in zip(*steps, strict=True))

    worth = Worth.of(model, 3, EFE)(beliefs, now=1)

    assert_close(worth, infer_policies(Plan.of(model, policy), qs).G[:, 0])


@worlds
def test_an_agent_of_a_batch_with_a_model_of_its_own_is_followed_as_it_would_be_alone(world: World) -> None:
    seen, first, second = world.observations(2, 3), world.model(0), world.model(1)
    both = first.expand(2).replace(
        **{
            name: tuple(map(torch.stack, zip(value, second.tensors()[name], strict=True)))
            for name, value in first.tensors().items()
        }
    )
    policies = all_policies(world.actions, 2)

    together = follow_policies(both, seen, policies, precision="inferred")

    for row, model in enumerate((first, second)):
        alone = follow_policies(model, [o[row : row + 1] for o in seen], policies, precision="inferred")
        for step, own in zip(together, alone, strict=True):
            assert_close(step.F[row], own.F[0])
            assert_close(step.G[row], own.G[0])
            assert_close(step.q_pi[row], own.q_pi[0])
            assert_close([q[row] for q in step.average], [q[0] for q in own.average])


def test_weights_say_what_an_index_says_and_missing_observations_say_nothing() -> None:
    model, policies = TWO.model(), all_policies(TWO.actions, 2)
    seen = list(TWO.observations(2, 2))
    seen[1] = torch.full_like(seen[1], -1)
    weights: list[Tensor | None] = [torch.nn.functional.one_hot(seen[0], TWO.obs[0]).double(), None]

    told, same = follow_policies(model, seen, policies), follow_policies(model, weights, policies)

    for one, other in zip(told, same, strict=True):
        assert_close(one.F, other.F)
        assert_close(one.G, other.G)


def test_the_average_belief_is_that_of_the_only_policy_left() -> None:
    q_pi = torch.tensor([[0.0, 1.0]], dtype=double)
    qs = (torch.rand(1, 2, 3, 4, generator=draw(0), dtype=double),)

    assert torch.equal(model_average(qs, q_pi)[0], qs[0][:, 1])


@pytest.mark.parametrize("objective", [EFE, REWARD, Objective(parameters=0.0)])
@pytest.mark.parametrize("precision", ["fixed", "inferred"])
def test_an_agent_that_follows_its_policies_finds_what_the_function_says(
    objective: Objective, precision: Literal["fixed", "inferred"]
) -> None:
    model, seen, taken = ONE.model(), ONE.observations(2, 3), ONE.moves(2, 2)
    planner = Retrospective(2, 2.0, precision, "messages", objective)
    agent = Agent(model, planner, batch=2)

    looks = []
    for step in range(2):
        agent.infer_states([o[:, step] for o in seen])
        looks.append(agent.infer_policies())
        agent.did(taken[:, step])

    ours = follow_policies(model, [o[:, :2] for o in seen], 2, 2.0, precision, objective)
    for step, (look, now) in enumerate(zip(looks, ours, strict=True)):
        assert_close(look.G, now.G)
        assert_close(look.q_pi, now.q_pi)
        assert torch.equal(look.policies, all_policies(ONE.actions, 2)[:, step:])


def test_who_follows_policies_by_messages_asks_the_cue_and_then_goes_to_the_reward() -> None:
    world = TMaze(reward_probability=1.0)
    planner = Retrospective(policies=2, beliefs="messages")
    agent = Agent(world.model(), planner, batch=20, sampling="joint")

    record = rollout(agent, world, steps=2, generator=draw(0))

    assert set(record.actions[:, 0, 0].tolist()) == {world.axes.actions["go"].index("cue")}
    assert torch.equal(record.actions[:, 1, 0], record.observations[2][:, 1])


def test_an_agent_that_has_seen_nothing_yet_goes_by_what_it_wants() -> None:
    model = certain()
    agent = Agent(model, Retrospective(1, 8.0, beliefs="messages"))
    agent.infer_states([None])

    outlook = agent.infer_policies()

    # State 1 is wanted, and action 0 leads there.
    assert outlook.q_pi[0, 0] > 0.99


def test_what_cannot_be_followed_is_said() -> None:
    model = ONE.model()
    with pytest.raises(ValueError, match="policies of 1 steps have 2 observations at most, got 3"):
        follow_policies(model, ONE.observations(1, 3), 1)
    with pytest.raises(ValueError, match="obs must have a modality that is not None"):
        follow_policies(model, [None], 1)
    with pytest.raises(ValueError, match="E is a prior over 2 policies, but there are 3"):
        follow_policies(model.replace(E=torch.tensor([0.5, 0.5]).double()), ONE.observations(1, 1), 1)
    with pytest.raises(ValueError, match="merge the models of a batch one by one"):
        Worth.of(model.expand(2), 2, EFE, arithmetic="spm")
    with pytest.raises(ValueError, match="SPM's information is that of joint outcomes, got 'per_modality'"):
        Worth.of(model, 2, EFE, "per_modality", "spm")
