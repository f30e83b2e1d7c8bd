"""Worlds against the tables they come from, and each against what it is there to show."""

from dataclasses import replace

import gymnasium
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.worlds.bandit import Bandit
from arr_coc.agent.worlds.chain import EpistemicChain
from arr_coc.agent.worlds.grid import MOVES, GridWorld
from arr_coc.agent.worlds.gym import GymWorld, as_gymnasium
from arr_coc.agent.worlds.imagined import Imagined
from arr_coc.agent.worlds.slots import SlotMachines
from arr_coc.agent.worlds.tmaze import TMaze
from arr_coc.agent.worlds.world import Observations, World
from tests.lives import one_factor

WORLDS: dict[str, World] = {
    "tmaze": TMaze(reward_probability=0.8, cue_reliability=0.9),
    "grid": GridWorld(slip=0.3, blur=0.4),
    "chain": EpistemicChain(
        rows=3, columns=3, first=(1, 0), second=((0, 1), (2, 1)), rewards=((0, 2), (2, 2))
    ),
    "bandit": Bandit(chances=(0.1, 0.5, 0.9)),
    "drawn bandit": Bandit(arms=4),
    "imagined": Imagined(one_factor()),
    "slots": SlotMachines(hint_reliability=0.8, left_better=0.6),
}
every_world = pytest.mark.parametrize("name", WORLDS)
CENTRE, LEFT, RIGHT, CUE = range(4)


def draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def actions(world: World, batch: int, seed: int) -> Tensor:
    generator = draw(seed)
    return torch.stack(
        [torch.randint(n, (batch,), generator=generator) for n in world.model().n_actions], dim=1
    )


def walk(world: World, batch: int, seed: int, steps: int = 4) -> list[Tensor]:
    seen = [*world.reset(batch, draw(seed))]
    for t in range(steps):
        seen += world.step(actions(world, batch, 100 + t))
    return [*seen, world.states]


def same(action: int, batch: int) -> Tensor:
    return torch.full((batch, 1), action)


@every_world
def test_observations_have_the_modalities_of_the_model_and_lie_in_them(name: str) -> None:
    world = WORLDS[name]
    n_obs = world.model().n_obs

    first = world.reset(5, draw(0))
    later = world.step(actions(world, 5, 1))

    for seen in (first, later):
        assert [tuple(o.shape) for o in seen] == [(5,)] * len(n_obs)
        assert all(int(o.max()) < n for o, n in zip(seen, n_obs, strict=True))
    assert all(int(o.min()) >= 0 for o in later)
    assert all(int(o.min()) >= 0 for o in first) == world.shows_start


@every_world
def test_every_axis_has_a_name_for_every_index(name: str) -> None:
    axes, model = WORLDS[name].axes, WORLDS[name].model()

    assert tuple(map(len, axes.states.values())) == model.n_states
    assert tuple(map(len, axes.observations.values())) == model.n_obs
    assert tuple(map(len, axes.actions.values())) == model.n_actions


@every_world
def test_the_same_seed_gives_the_same_world(name: str) -> None:
    first, again, other = (walk(WORLDS[name], 40, seed) for seed in (0, 0, 1))

    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, other))


@pytest.mark.parametrize("name", sorted(WORLDS.keys() - {"drawn bandit"}))  # whose copies differ, see below
def test_a_world_moves_and_shows_as_often_as_its_tables_say(name: str) -> None:
    world = WORLDS[name]
    batch = 12_000
    world.reset(batch, draw(2))
    truth = world.process.map(lambda t: t[0]) if world.process.batch else world.process
    action = torch.stack([torch.full((batch,), n - 1) for n in truth.n_actions], dim=1)
    world.step(action)
    before = world.states

    seen = world.step(action)

    here = before[:, :1].eq(before[:1, :1]).all(1) if truth.n_factors == 1 else before.eq(before[0]).all(1)
    assert int(here.sum()) > 500
    after = world.states[here]
    for f, (b, parents, controls) in enumerate(
        zip(truth.B, truth.parents_of, truth.controls_of, strict=True)
    ):
        expected = b[(slice(None), *before[0, list(parents)], *action[0, list(controls)])]
        assert_close(often(after[:, f], len(expected)), expected.float(), atol=0.06, rtol=0)
    still = here & world.states.eq(after[0]).all(1)
    for m, (a, factors) in enumerate(zip(truth.A, truth.modality_factors, strict=True)):
        expected = a[(slice(None), *after[0, list(factors)])]
        assert_close(often(seen[m][still], len(expected)), expected.float(), atol=0.06, rtol=0)


def often(values: Tensor, n: int) -> Tensor:
    return torch.bincount(values, minlength=n) / len(values)


@every_world
def test_a_world_must_be_reset_before_it_is_stepped(name: str) -> None:
    world = replace(WORLDS[name])

    with pytest.raises(RuntimeError, match=r"has not begun: call reset"):
        world.step(torch.zeros(1, 1, dtype=torch.long))


@every_world
@pytest.mark.parametrize("wrong", [-1, 99])
def test_an_action_that_does_not_exist_is_refused(name: str, wrong: int) -> None:
    world = WORLDS[name]
    world.reset(2, draw(0))

    with pytest.raises(ValueError, match="actions must lie between 0 and"):
        world.step(same(wrong, 2))


@every_world
def test_actions_for_another_batch_are_refused(name: str) -> None:
    world = WORLDS[name]
    world.reset(2, draw(0))

    with pytest.raises(ValueError, match=r"shape \(batch, controls\) = \(2, 1\), got \(3, 1\)"):
        world.step(same(0, 3))


@pytest.mark.parametrize("name", sorted(WORLDS.keys() - {"imagined"}))  # which is given as it is
def test_a_model_comes_in_the_dtype_that_is_asked_for(name: str) -> None:
    world = replace(WORLDS[name], dtype=torch.double)

    assert {t.dtype for group in world.model().tensors().values() for t in group} == {torch.double}


def test_probabilities_in_double_precision_are_as_given() -> None:
    outcome = TMaze(reward_probability=0.98, dtype=torch.double).model().A[1]

    assert outcome[1, LEFT, 0].item() == 0.98


def test_the_cue_of_the_maze_tells_the_arm_with_the_reward() -> None:
    world = TMaze(reward_probability=1.0)
    world.reset(200, draw(0))

    told = world.step(same(CUE, 200))[2]
    outcome = world.step(told[:, None])[1]  # the cue's outcomes 1 and 2 are the arms' numbers too

    assert (LEFT, RIGHT) == (1, 2)
    assert set(told.tolist()) == {1, 2}
    assert set(outcome.tolist()) == {TMaze.OUTCOMES.index("reward")}


def test_an_arm_of_the_maze_holds_whoever_entered_it() -> None:
    world = TMaze()
    world.reset(50, draw(0))
    world.step(same(LEFT, 50))

    place = world.step(same(CUE, 50))[0]

    assert set(place.tolist()) == {LEFT}


def test_walls_and_edges_of_the_grid_stop_a_walk() -> None:
    world = GridWorld(plan=("S#", ".G"))

    def end(*names: str) -> tuple[int, int]:
        (cell,) = world.reset(1, draw(0))
        for name in names:
            (cell,) = world.step(same(list(MOVES).index(name), 1))
        return world.cells[int(cell)]

    assert end("right") == end("up") == end("left") == end("stay") == (0, 0)
    assert end("down", "right") == (1, 1)
    assert end("down", "right", "up") == (1, 1)


@pytest.mark.parametrize("plan", [("S.",), ("SG", "G.")])
def test_a_plan_has_exactly_one_goal(plan: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="one cell 'G', got"):
        GridWorld(plan=plan).model()


def test_cues_of_the_chain_lead_to_the_cheese() -> None:
    world = EpistemicChain(
        rows=1, columns=6, start=(0, 0), first=(0, 1), second=((0, 2), (0, 3)), rewards=((0, 4), (0, 5))
    )
    batch, right = 64, list(MOVES).index("right")
    world.reset(batch, draw(0))
    at_first, at_2, at_3, at_4, at_5 = (world.step(same(right, batch)) for _ in range(5))
    second_cell, side = at_first[1] - 1, torch.where(at_2[2] > 0, at_2[2], at_3[2]) - 1

    assert torch.equal(at_2[2] > 0, second_cell == 0)
    assert torch.equal(at_3[2] > 0, second_cell == 1)
    assert torch.equal(torch.where(side == 0, at_4[3], at_5[3]), torch.ones(batch, dtype=torch.long))
    assert torch.equal(torch.where(side == 0, at_5[3], at_4[3]), torch.full((batch,), 2))


def test_a_bandit_shows_nothing_before_the_first_pull_and_draws_new_chances_for_every_copy() -> None:
    world = Bandit(arms=2)

    first = world.reset(3000, draw(0))
    outcome, arm = world.step(same(1, 3000))
    chance = world.process.A[0][:, 1, 1]

    assert all(set(o.tolist()) == {-1} for o in first)
    assert set(arm.tolist()) == {1}
    assert_close(outcome[chance > 0.5].float().mean(), torch.tensor(0.75), atol=0.03, rtol=0)
    assert_close(outcome[chance < 0.5].float().mean(), torch.tensor(0.25), atol=0.03, rtol=0)


def test_a_bandit_wants_one_chance_for_each_arm() -> None:
    with pytest.raises(ValueError, match="chances must be given for 3 arms, got 2"):
        Bandit(chances=(0.1, 0.2))
    with pytest.raises(ValueError, match=r"chances must lie in \[0, 1\], got \(0.1, 0.2, 1.3\)"):
        Bandit(chances=(0.1, 0.2, 1.3))


@pytest.mark.parametrize("name", sorted(WORLDS.keys() - {"slots"}))  # whose preferences change over time
def test_every_world_is_a_gymnasium_environment(name: str) -> None:
    env = as_gymnasium(WORLDS[name], length=3)
    check_env(env, skip_render_check=True)  # raises where gymnasium's contract is broken

    env.reset(seed=1)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(3)]

    assert ends == [(False, False), (False, False), (False, True)]


def test_the_reward_of_a_world_is_the_log_preference_of_what_is_seen() -> None:
    env = as_gymnasium(TMaze(reward=5.0, loss=-7.0, reward_probability=1.0, prior=(1.0, 0.0)), length=2)

    def reward(action: int) -> float:
        env.reset(seed=0)
        return float(env.step([action])[1])

    assert [reward(a) for a in (CENTRE, LEFT, RIGHT, CUE)] == [0.0, 5.0, -7.0, 0.0]


def frozen_lake() -> gymnasium.Env:
    return gymnasium.make("FrozenLake-v1", is_slippery=False)


def test_a_gymnasium_environment_is_stepped_in_copies_that_end_by_themselves() -> None:
    world = GymWorld(frozen_lake, rewards=(0.0, 1.0))
    down, right = 1, 2
    first = world.reset(2, draw(0))
    plans = [[down, down, right, right, down, right], [right, down, down, down, down, down]]  # goal; hole

    seen: list[Observations] = [world.step(torch.tensor([[a], [b]])) for a, b in zip(*plans, strict=True)]

    assert [o.tolist() for o in first] == [[0, 0], [-1, -1]]
    assert [s[0].tolist() for s in seen] == [[4, 1], [8, 5], [9, -1], [10, -1], [14, -1], [15, -1]]
    assert [s[1].tolist() for s in seen] == [[0, 0], [0, 0], [0, -1], [0, -1], [0, -1], [1, -1]]
    assert world.done.tolist() == [True, True]
    assert world.returns.tolist() == [1.0, 0.0]


def test_a_tuple_of_discrete_spaces_is_one_modality_each() -> None:
    world = GymWorld(lambda: gymnasium.make("Blackjack-v1"))

    seen = world.reset(4, draw(0))

    assert [tuple(o.shape) for o in seen] == [(4,)] * 3


def test_a_reward_without_a_level_is_refused() -> None:
    world = GymWorld(lambda: gymnasium.make("CliffWalking-v1"), rewards=(0.0, 1.0))
    world.reset(1, draw(0))

    with pytest.raises(ValueError, match=r"a reward of -1.0, which is none of rewards=\(0.0, 1.0\)"):
        world.step(torch.tensor([[0]]))


def test_a_continuous_environment_is_refused() -> None:
    with pytest.raises(ValueError, match="wrap the environment to make it discrete"):
        GymWorld(lambda: gymnasium.make("CartPole-v1")).reset(1, draw(0))


def test_a_missing_gymnasium_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gymnasium", None)

    with pytest.raises(ImportError, match=r"pip install 'arr-coc\[gym\]'"):
        as_gymnasium(TMaze(), length=2)
