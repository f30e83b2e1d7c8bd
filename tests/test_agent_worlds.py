"""Worlds against the tables they come from, and each against what it is there to show."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.worlds.bandit import Bandit
from arr_coc.agent.worlds.chain import EpistemicChain
from arr_coc.agent.worlds.grid import MOVES, GridWorld
from arr_coc.agent.worlds.tmaze import TMaze
from arr_coc.agent.worlds.world import World
from tests.agent_worlds import WORLDS

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
    for f, (b, parents, controls) in enumerate(zip(truth.B, truth.B_factors, truth.B_controls, strict=True)):
        expected = b[(slice(None), *before[0, list(parents)], *action[0, list(controls)])]
        assert_close(often(after[:, f], len(expected)), expected.float(), atol=0.06, rtol=0)
    still = here & world.states.eq(after[0]).all(1)
    for m, (a, factors) in enumerate(zip(truth.A, truth.A_factors, strict=True)):
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
