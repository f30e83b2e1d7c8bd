"""Our worlds as gymnasium's environments, and its environments as worlds."""

import gymnasium
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from arr_coc.agent.worlds.gym import GymWorld, as_gymnasium
from arr_coc.agent.worlds.tmaze import TMaze
from arr_coc.agent.worlds.world import Observations
from tests.agent_worlds import WORLDS
from tests.lives import draw

CENTRE, LEFT, RIGHT, CUE = range(4)


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
