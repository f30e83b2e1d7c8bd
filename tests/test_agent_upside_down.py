"""The upside-down agent: hindsight is arithmetic, commands are statistics, what is fitted is a frequency."""

import pytest
import torch
from torch.testing import assert_close

from arr_coc.agent.upside_down import (
    Behaviour,
    Command,
    Episode,
    Hindsight,
    act,
    aspiration,
    fit,
    keep_best,
)


def episode(*rewards: float, action: int = 0, state: float = 0.0) -> Episode:
    n = len(rewards)
    return Episode(torch.full((n, 1), state), torch.full((n,), action), torch.tensor(rewards))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_what_came_of_a_step_is_the_return_and_the_time_that_were_left() -> None:
    past = Hindsight.of([episode(1.0, 2.0, 4.0), episode(8.0)])

    assert past.command.desired_return.tolist() == [7.0, 6.0, 4.0, 8.0]
    assert past.command.horizon.tolist() == [3.0, 2.0, 1.0, 1.0]


def test_of_a_long_episode_no_more_steps_are_drawn_than_of_a_short_one() -> None:
    past = Hindsight.of([episode(*[1.0] * 90, action=0), episode(1.0, action=1)])

    _, command, actions = past.draw(8000, seeded())

    assert actions.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert set(command.horizon[actions == 0].tolist()) == set(range(1, 91))


def test_a_command_asks_for_the_mean_of_the_best_and_at_most_a_deviation_more() -> None:
    best = [episode(*[1.0] * n) for n in (10, 20, 30)]

    command = aspiration(best, 2000, seeded())

    deviation = (200 / 3) ** 0.5
    assert command.horizon.unique().tolist() == [20.0]
    assert command.desired_return.min().item() == pytest.approx(20.0, abs=0.1)
    assert command.desired_return.max().item() == pytest.approx(20.0 + deviation, abs=0.1)


def test_a_command_is_worn_down_by_what_was_had() -> None:
    left = Command(torch.tensor([5.0, 5.0]), torch.tensor([3.0, 1.0])).after(torch.tensor([2.0, -1.0]))

    assert left.desired_return.tolist() == [3.0, 6.0]
    assert left.horizon.tolist() == [2.0, 1.0]


def test_the_best_are_kept_and_of_equals_the_later() -> None:
    episodes = [episode(3.0, state=0.0), episode(1.0), episode(3.0, state=1.0), episode(9.0)]

    kept = keep_best(episodes, 2)

    assert [e.total for e in kept] == [3.0, 9.0]
    assert kept[0].states[0, 0] == 1.0


def test_the_behaviour_function_learns_how_often_an_action_led_to_a_return() -> None:
    # One step. Action 1 brings 1, action 0 brings 0; with a return of 0 one was taken three times in four.
    frequencies = {(0.0, 0): 3, (0.0, 1): 1, (1.0, 1): 4}
    past = [episode(r, action=a) for (r, a), n in frequencies.items() for _ in range(n)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        behaviour = Behaviour(1, 2, width=16, scale=(1.0, 1.0))
    optimiser = torch.optim.Adam(behaviour.parameters(), 3e-3)

    fit(behaviour, optimiser, past, 600, 128, seeded())

    wanted = Command(torch.tensor([0.0, 1.0]), torch.ones(2))
    p = torch.softmax(behaviour(torch.zeros(2, 1), wanted), 1)[:, 1]
    assert_close(p, torch.tensor([0.25, 1.0]), rtol=0.0, atol=0.03)


def test_an_action_is_the_likeliest_or_drawn_as_it_is_likely() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        behaviour = Behaviour(2, 3)
    states, command = torch.randn(1, 2, generator=seeded()), Command(torch.ones(1), torch.ones(1))
    p = torch.softmax(behaviour(states, command), 1)[0]

    greedy = act(behaviour, states, command, greedy=True)
    many = Command(torch.ones(6000), torch.ones(6000))
    drawn = act(behaviour, states.expand(6000, -1), many, generator=seeded(1))

    assert greedy.item() == p.argmax()
    assert_close(drawn.bincount(minlength=3) / 6000, p.detach(), rtol=0.0, atol=0.03)


def test_an_episode_without_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="as many states, actions and rewards, at least one, got 0, 0 and 0"):
        Episode(torch.zeros(0, 1), torch.zeros(0).long(), torch.zeros(0))
