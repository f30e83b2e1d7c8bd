"""Lives in worlds: behaviour that can be worked out, and what recorded behaviour tells of an agent."""

import math
from dataclasses import replace

import gymnasium
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.agent import Agent
from arr_coc.agent.experience import Learning
from arr_coc.agent.inductive import Intention
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import REWARD
from arr_coc.agent.planner import Exhaustive
from arr_coc.agent.rollout import behaviour_log_likelihood, rollout
from arr_coc.agent.sequence import filter_states
from arr_coc.agent.worlds.bandit import Bandit
from arr_coc.agent.worlds.chain import EpistemicChain
from arr_coc.agent.worlds.grid import GridWorld
from arr_coc.agent.worlds.gym import GymWorld, as_gymnasium
from arr_coc.agent.worlds.imagined import Imagined
from arr_coc.agent.worlds.tmaze import TMaze
from tests.lives import draw, one_factor

double = torch.double


def test_preferences_may_change_over_time() -> None:
    # Two places, known and reached at will; the second is wanted at first, then the first.
    C = torch.tensor([[0.0, 3.0], [3.0, 0.0], [0.0, 3.0]])
    go = torch.eye(2)[:, None, :].repeat(1, 2, 1)
    model = GenerativeModel(A=(torch.eye(2),), B=(go,), C=(C,))
    agent = Agent(model, Exhaustive(1))
    done = []

    for _ in range(3):
        agent.infer_states((torch.tensor([-1]),))
        agent.infer_policies()
        done.append(int(agent.act()))

    assert done == [1, 0, 1]


@pytest.mark.parametrize(("horizon", "intention"), [(6, False), (1, True)])
def test_the_shortest_way_through_the_grid_is_found_by_far_sight_or_by_intention(
    horizon: int, intention: bool
) -> None:
    world = GridWorld(plan=("S#G", ".#.", "..."))
    goal = torch.zeros(len(world.cells))
    goal[world.find("G")] = 1.0
    aim = Intention(states=(goal,), depth=8) if intention else None
    agent = Agent(world.model(), Exhaustive(horizon, intention=aim), batch=2)

    record = rollout(agent, world, steps=6, generator=draw(0))

    way = [world.cells[i] for i in record.observations[0][0].tolist()]
    assert way == [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2)]


def test_an_agent_follows_a_chain_of_cues_to_the_cheese() -> None:
    world = EpistemicChain()
    agent = Agent(world.model(), Exhaustive(4), batch=16)

    record = rollout(agent, world, steps=7, generator=draw(3))

    cell, first, second, outcome = record.observations
    cheese, shock = (world.axes.observation("outcome", name) for name in ("cheese", "shock"))
    told_first, told_second = (told.ne(0).byte().argmax(1) for told in (first, second))
    found = outcome.eq(cheese).byte().argmax(1)
    assert set(told_first.tolist()) == {1}  # the first cue is one step away
    assert ((told_first < told_second) & (told_second < found)).all()
    assert set(outcome[:, -1].tolist()) == {cheese}
    assert not (outcome == shock).any()
    assert (
        len({tuple(way) for way in cell.tolist()}) > 4
    )  # one way for each place of the second cue, at least


def test_curiosity_about_chances_tries_more_arms_and_finds_better_ones() -> None:
    world = Bandit(arms=4, win=0.5)

    def live(planner: Exhaustive) -> tuple[float, float]:
        agent = Agent(world.model().expand(200), planner, batch=200, learning=Learning(A=1.0))
        arm = rollout(agent, world, steps=30, generator=draw(5)).actions[..., 0]
        chance = world.process.A[0][:, 1]
        tried = torch.stack([(arm == a).any(1) for a in range(4)], dim=1).float().mean()
        regret = (chance.amax(1, keepdim=True) - chance.gather(1, arm))[:, 15:].mean()
        return float(tried), float(regret)

    tried_curious, regret_curious = live(Exhaustive(1))
    tried_greedy, regret_greedy = live(Exhaustive(1, objective=REWARD))

    assert tried_curious > tried_greedy + 0.15
    assert regret_curious < 0.75 * regret_greedy
    assert regret_greedy < 0.15  # half of what pulling at random costs, 4/5 less 1/2


def test_an_agent_walks_a_frozen_lake_of_gymnasium() -> None:
    def lake() -> gymnasium.Env:
        return gymnasium.make("FrozenLake-v1", is_slippery=False)

    ways = lake().unwrapped.P
    B, reached = torch.zeros(16, 16, 4), torch.zeros(2, 16)
    reached[0] = 1.0
    for state, actions in ways.items():
        for action, ends in actions.items():
            for p, following, reward, _ in ends:
                B[following, state, action] += p
                if reward:
                    reached[:, following] = torch.tensor([0.0, 1.0])
    model = GenerativeModel(
        A=(torch.eye(16), reached),
        B=(B,),
        C=(torch.zeros(16), torch.tensor([0.0, 4.0])),
        D=(torch.eye(16)[0],),
    )
    world = GymWorld(lake, rewards=(0.0, 1.0))

    rollout(Agent(model, Exhaustive(6), batch=3), world, steps=6, generator=draw(0))

    assert world.returns.tolist() == [1.0, 1.0, 1.0]


def test_an_agent_lives_in_our_worlds_through_gymnasium_as_it_does_without() -> None:
    world = TMaze(reward_probability=1.0)
    wrapped = GymWorld(lambda: as_gymnasium(TMaze(reward_probability=1.0), length=2))
    agent = Agent(world.model(), Exhaustive(2), batch=8)

    record = rollout(agent, wrapped, steps=2, generator=draw(0))

    cue = world.axes.actions["go"].index("cue")
    assert set(record.actions[:, 0, 0].tolist()) == {cue}
    assert torch.equal(record.actions[:, 1, 0], record.observations[2][:, 1])
    assert wrapped.done.all()
    assert set(wrapped.returns.tolist()) == {2.0}  # the log-preference for the reward


def test_beliefs_in_a_world_that_is_as_believed_are_calibrated() -> None:
    """On average the true state is given what beliefs expect it to be given: E q(s) = E sum_s q(s)^2."""
    model = one_factor()
    world = Imagined(model)
    agent = Agent(model, Exhaustive(1, gamma=0.3), batch=20_000, alpha=1.0, generator=draw(0))

    record = rollout(agent, world, steps=3, generator=draw(1))

    q = record.qs[0][:, -1]
    given = q.gather(1, world.states).mean()
    assert_close(given, q.square().sum(1).mean(), atol=0.008, rtol=0)
    assert given > 1 / 3 + 0.05  # and they say something


def test_several_controls_move_factors_that_depend_on_each_other() -> None:
    """Two switches, and a lamp that is lit if both were on before: a factor with parents and no control."""
    switch = torch.eye(2)[:, None, :].repeat(1, 2, 1)  # (next, previous, action)
    lamp = torch.zeros(2, 2, 2)
    lamp[0], lamp[0, 1, 1], lamp[1, 1, 1] = 1.0, 0.0, 1.0
    model = GenerativeModel(
        A=torch.eye(2),
        B=(switch, switch, lamp),
        C=torch.tensor([0.0, 5.0]),
        D=[torch.tensor([1.0, 0.0])] * 3,
        A_factors=[[2]],
        B_factors=[[0], [1], [0, 1]],
        B_controls=[[0], [1], []],
    )
    agent = Agent(model, Exhaustive(2), batch=3)
    world = Imagined(model)

    record = rollout(agent, world, steps=2, generator=draw(0))

    assert record.actions[:, 0].tolist() == [[1, 1]] * 3
    assert record.observations[0].tolist() == [[0, 0, 1]] * 3
    assert world.axes.actions == {"control 0": ("0", "1"), "control 1": ("0", "1")}


def test_a_model_for_each_agent_is_a_world_for_each() -> None:
    left, right = (TMaze(prior=prior, dtype=double).model() for prior in ((1.0, 0.0), (0.0, 1.0)))
    both = left.expand(2).replace(D=tuple(torch.stack(d) for d in zip(left.D, right.D, strict=True)))
    agent = Agent(both, Exhaustive(2), batch=2)

    record = rollout(agent, Imagined(both), steps=1, generator=draw(0))

    assert record.actions[:, 0, 0].tolist() == [1, 2]  # each knows its arm
    with pytest.raises(ValueError, match="has 2 copies, each its own, got batch=3"):
        Imagined(both).reset(3)


# Recorded behaviour


def test_the_likelihood_of_behaviour_is_the_product_of_the_probabilities_acted_upon() -> None:
    world = TMaze()
    agent = Agent(world.model(), Exhaustive(1, gamma=1.0), batch=7, alpha=1.0, generator=draw(0))
    record = rollout(agent, world, steps=3, generator=draw(1))

    log_prob = behaviour_log_likelihood(agent, record.observations, record.actions)

    # One step ahead a policy is an action.
    acted_upon = record.q_pi.gather(2, record.actions)[..., 0]
    assert_close(log_prob.exp(), acted_upon)


def test_fitting_recorded_behaviour_recovers_precision_and_preference() -> None:
    world = TMaze(reward=2.0, loss=-3.0, dtype=double)
    truth = Agent(world.model(), Exhaustive(2, gamma=1.5), batch=600, alpha=1.0, generator=draw(0))
    record = rollout(truth, world, steps=3, generator=draw(1))
    log_gamma, reward = (torch.tensor(x, dtype=double, requires_grad=True) for x in (0.0, 0.0))
    optimiser = torch.optim.LBFGS([log_gamma, reward], max_iter=25, line_search_fn="strong_wolfe")
    model = world.model()

    def loss() -> Tensor:
        optimiser.zero_grad()
        outcomes = torch.stack([torch.zeros_like(reward), reward, torch.full_like(reward, -3.0)])
        believer = model.replace(C=(model.C[0], outcomes, model.C[2]))
        agent = Agent(believer, Exhaustive(2, gamma=log_gamma.exp()), batch=600, alpha=1.0)
        nats = -behaviour_log_likelihood(agent, record.observations, record.actions).sum() / 600
        nats.backward()
        return nats

    optimiser.step(loss)

    assert_close(log_gamma.exp().item(), 1.5, atol=0.2, rtol=0)
    assert_close(reward.item(), 2.0, atol=0.25, rtol=0)


def test_the_slope_of_a_likelihood_is_its_finite_difference() -> None:
    world = TMaze(dtype=double)
    model = world.model()
    record = rollout(
        Agent(model, Exhaustive(2), batch=3, alpha=1.0, generator=draw(0)), world, steps=2, generator=draw(1)
    )

    def nats(gamma: Tensor, alpha: Tensor, preference: Tensor, cue: Tensor) -> Tensor:
        believer = model.replace(
            C=(model.C[0], preference, model.C[2]), D=(model.D[0], torch.softmax(cue, 0))
        )
        agent = Agent(believer, Exhaustive(2, gamma=gamma), batch=3, alpha=alpha)
        return behaviour_log_likelihood(agent, record.observations, record.actions)

    inputs = [
        torch.tensor(x, dtype=double, requires_grad=True) for x in (1.3, 0.8, [0.0, 1.0, -2.0], [0.3, 0.1])
    ]
    assert torch.autograd.gradcheck(nats, inputs)


def test_a_generative_world_explains_its_own_record_better_than_a_wrong_model_does() -> None:
    world = TMaze(cue_reliability=0.9, dtype=double)
    record = rollout(
        Agent(world.model(), Exhaustive(1, gamma=0.0), batch=300, alpha=1.0, generator=draw(0)),
        world,
        steps=3,
        generator=draw(1),
    )

    def surprise(reliability: float) -> float:
        believed = replace(world, cue_reliability=reliability).model()
        return float(filter_states(believed, record.observations, record.actions).F.sum())

    assert surprise(0.9) < min(surprise(0.7), surprise(0.99))
    assert math.isfinite(surprise(0.99))
