"""Agents that remember: against the forward algorithm, exact counts, and behaviour that can be worked out."""

import math
from dataclasses import replace
from typing import Any, Literal

import gymnasium
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.agent import Agent
from arr_coc.agent.experience import Learning
from arr_coc.agent.inductive import Intention
from arr_coc.agent.learning import update_A, update_B
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import REWARD
from arr_coc.agent.planner import Exhaustive, MonteCarlo, Planner, Sophisticated
from arr_coc.agent.rollout import log_likelihood, rollout
from arr_coc.agent.sequence import filter_states, smooth_states
from arr_coc.agent.sophisticated import Search
from arr_coc.agent.worlds.bandit import Bandit
from arr_coc.agent.worlds.chain import EpistemicChain
from arr_coc.agent.worlds.grid import GridWorld
from arr_coc.agent.worlds.gym import GymWorld
from arr_coc.agent.worlds.tmaze import TMaze

CENTRE, LEFT, RIGHT, CUE = range(4)
double = torch.double


def draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def table(*shape: int, seed: int) -> Tensor:
    return torch.softmax(1.5 * torch.randn(shape, generator=draw(seed), dtype=double), dim=0)


def one_factor(seed: int = 0) -> GenerativeModel:
    """Three states, four outcomes, two actions, and counts for everything."""
    A, B, D = table(4, 3, seed=seed), table(3, 3, 2, seed=seed + 1), table(3, seed=seed + 2)
    return GenerativeModel(
        A=(A,),
        B=(B,),
        C=(torch.tensor([0.0, 1.0, 2.0, 0.5], dtype=double),),
        D=(D,),
        pA=(5 * A,),
        pB=(5 * B,),
        pD=(5 * D,),
        E=torch.full((2,), 0.5, dtype=double),
        pE=torch.full((2,), 5.0, dtype=double),
    )


def lived(agent: Agent, observations: Tensor, actions: Tensor) -> list[Tensor]:
    """Free energies of one modality's recorded observations (batch, steps + 1)."""
    F = []
    for step in range(observations.shape[1]):
        agent.infer_states((observations[:, step],))
        agent.learn()
        F.append(agent.F)
        if step < actions.shape[1]:
            agent.infer_policies()
            agent.did(actions[:, step])
    return F


OBSERVATIONS = torch.tensor([[0, 3, 1, 1], [2, -1, 0, 3]])
ACTIONS = torch.tensor([[[0], [1], [1]], [[1], [1], [0]]])


# Remembering


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


@pytest.mark.parametrize("name", ["A", "B", "D", "E"])
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


# Learning


@pytest.mark.parametrize("name", ["A", "B", "D", "E"])
def test_every_learning_switch_changes_its_own_part_of_the_model_and_nothing_else(name: str) -> None:
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


# Behaviour


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


# Recorded behaviour


def test_the_likelihood_of_behaviour_is_the_product_of_the_probabilities_acted_upon() -> None:
    world = TMaze()
    agent = Agent(world.model(), Exhaustive(1, gamma=1.0), batch=7, alpha=1.0, generator=draw(0))
    record = rollout(agent, world, steps=3, generator=draw(1))

    log_prob = log_likelihood(agent, record.observations, record.actions)

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
        nats = -log_likelihood(agent, record.observations, record.actions).sum() / 600
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
        return log_likelihood(agent, record.observations, record.actions)

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
