"""The explore-exploit task: the odds of asking first have a closed form, and so has when it is not done.

By hand, with precision 1 and open plans: asking first and choosing at once are both one choice and one other
step, so their outcomes differ in the size of the win only, rs/2 of half the trials, and the hint tells ln 2.
"""

import math

import pytest
import torch
from torch.testing import assert_close

from arr_coc.agent.action import action_marginals
from arr_coc.agent.agent import Agent
from arr_coc.agent.experience import Learning
from arr_coc.agent.retrospective import Retrospective
from arr_coc.agent.rollout import Record, rollout
from arr_coc.agent.worlds import SlotMachines

START, HINT, LEFT, RIGHT = range(4)
LOSS, WIN = 1, 2
DOUBLE = {"dtype": torch.float64}


def first_look(world: SlotMachines, gamma: float = 1.0) -> torch.Tensor:
    """Probability of each action at the start of a trial."""
    agent = Agent(world.model(), Retrospective(world.policies, gamma, "inferred"))
    agent.infer_states(world.reset())
    outlook = agent.infer_policies()
    return action_marginals(outlook.q_pi, outlook.policies, (4,))[0][0]


def live(world: SlotMachines, batch: int, **settings: object) -> tuple[Agent, Record]:
    agent = Agent(
        world.model(),
        Retrospective(world.policies, 1.0, "inferred"),
        batch=batch,
        alpha=32.0,
        generator=torch.Generator().manual_seed(0),
        **settings,  # type: ignore[arg-type]
    )
    return agent, rollout(agent, world, 2, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("rs", [0.0, 3.0, 4.0, 8.0])
@pytest.mark.parametrize("la", [1.0, 5.0])
def test_the_odds_of_asking_first_are_those_computed_by_hand(rs: float, la: float) -> None:
    p = first_look(SlotMachines(rs, la, **DOUBLE))

    odds = math.log(p[HINT] / (p[LEFT] + p[RIGHT]))
    assert odds == pytest.approx(math.log(2) - rs / 4, abs=1e-12)


def test_a_less_reliable_hint_is_worth_what_it_tells() -> None:
    reliable, useless = (first_look(SlotMachines(4.0, hint_reliability=p, **DOUBLE)) for p in (1.0, 0.5))

    odds = [math.log(p[HINT] / (p[LEFT] + p[RIGHT])) for p in (reliable, useless)]

    assert odds[0] - odds[1] == pytest.approx(math.log(2), abs=1e-12)


def test_the_hint_is_asked_for_until_a_win_is_worth_eight_bits() -> None:
    # Two plans begin with the hint and one with either machine: 2 e^(ln 2 - rs/4) = 1.
    limit = 8 * math.log(2)

    asks, dares = (first_look(SlotMachines(limit + off, **DOUBLE)) for off in (-1e-3, 1e-3))

    assert asks.argmax() == HINT
    assert dares.argmax() in (LEFT, RIGHT)


def test_at_four_it_asks_and_follows_the_hint_and_at_eight_it_dares() -> None:
    (_, careful), (_, daring) = (live(SlotMachines(rs), batch=200) for rs in (4.0, 8.0))

    assert (careful.actions[:, 0, 0] == HINT).float().mean() > 0.99
    asked = careful.actions[:, 0, 0] == HINT
    assert set(careful.actions[asked, 1, 0].tolist()) == {LEFT}
    assert (daring.actions[:, 0, 0] == HINT).float().mean() < 0.01


def test_the_better_machine_pays_as_often_as_it_says() -> None:
    world = SlotMachines(left_better=0.0)
    world.reset(4000, torch.Generator().manual_seed(0))

    for choice, chance in ((LEFT, 0.2), (RIGHT, 0.8)):
        _, outcome, seen = world.step(torch.full((4000, 1), choice))
        assert set(seen.tolist()) == {choice}
        assert set(outcome.tolist()) == {LOSS, WIN}
        assert (outcome == WIN).float().mean().item() == pytest.approx(chance, abs=0.03)


def test_who_was_told_once_expects_the_same_again() -> None:
    world = SlotMachines(**DOUBLE)

    agent, record = live(world, batch=1, learning=Learning(D=0.5))

    assert record.actions[0, 0, 0] == HINT
    assert_close(agent.model.D[0], torch.tensor([0.75, 0.25], dtype=torch.float64))
