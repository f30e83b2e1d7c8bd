"""The T-maze: an agent that looks before it leaps, and what makes it leap at once.

Expected behaviour comes from enumerating two-step plans over two contexts, with no function of ours in it.
"""

import math
from itertools import product

import pytest
import torch
from torch.testing import assert_close

from arr_coc.agent.agent import Agent
from arr_coc.agent.planner import Exhaustive, MonteCarlo, Planner, Sophisticated
from arr_coc.agent.rollout import Record, rollout
from arr_coc.agent.sophisticated import Search
from arr_coc.agent.worlds.tmaze import TMaze

CENTRE, LEFT, RIGHT, CUE = range(4)
NOTHING, REWARD, LOSS = range(3)
RIGHT_ARM_PAYS = 0.98


def live(world: TMaze, gamma: float, batch: int, seed: int = 0, **settings: float) -> Record:
    agent = Agent(
        world.model(),
        Exhaustive(policies=2, gamma=gamma),
        batch=batch,
        generator=torch.Generator().manual_seed(seed),
        **settings,
    )
    return rollout(agent, world, steps=2, generator=torch.Generator().manual_seed(seed + 1))


def test_the_agent_goes_to_the_cue_first_and_then_to_the_reward() -> None:
    world = TMaze(reward_probability=1.0)

    record = live(world, gamma=16.0, batch=200)

    told = record.observations[2][:, 1]
    assert set(record.actions[:, 0, 0].tolist()) == {CUE}
    assert torch.equal(
        record.actions[:, 1, 0], told
    )  # outcomes 1 and 2 of the cue are the numbers of the arms
    assert set(told.tolist()) == {LEFT, RIGHT}
    assert set(record.observations[1][:, 2].tolist()) == {REWARD}


def test_the_cue_settles_what_is_believed_of_the_context() -> None:
    record = live(TMaze(), gamma=16.0, batch=100)

    before, after = record.qs[1][:, 0], record.qs[1][:, 1]

    assert_close(before, torch.full((100, 2), 0.5))
    assert_close(after.max(1).values, torch.ones(100))
    assert_close(record.F[:, 1], torch.full((100,), math.log(2)))  # one bit was learned of what had been open


# What two steps of behaviour should be


def likelihood(place: int, context: int, outcome: int, cue: int) -> float:
    if place in (LEFT, RIGHT):
        wins = RIGHT_ARM_PAYS if (place == LEFT) == (context == 0) else 1 - RIGHT_ARM_PAYS
        return (0.0, wins, 1 - wins)[outcome] * (cue == NOTHING)
    if place == CUE:
        return float(outcome == NOTHING and cue == (LEFT, RIGHT)[context])
    return float(outcome == NOTHING and cue == NOTHING)


SEEN = list(product(range(3), range(3)))


def entropy(p: list[float]) -> float:
    return -sum(x * math.log(x) for x in p if x > 0)


def moved(place: int, action: int) -> int:
    return place if place in (LEFT, RIGHT) else action


def expected_free_energy(
    place: int, q: tuple[float, float], plan: tuple[int, ...], utility: list[float]
) -> float:
    G = 0.0
    for action in plan:
        place = moved(place, action)
        columns = [[likelihood(place, context, *seen) for seen in SEEN] for context in (0, 1)]
        qo = [q[0] * a + q[1] * b for a, b in zip(*columns, strict=True)]
        information = entropy(qo) - sum(w * entropy(column) for w, column in zip(q, columns, strict=True))
        G -= information + sum(p * utility[outcome] for p, (outcome, _) in zip(qo, SEEN, strict=True))
    return G


def action_probabilities(
    place: int, q: tuple[float, float], utility: list[float], gamma: float
) -> list[float]:
    plans = list(product(range(4), repeat=2))
    weights = [math.exp(-gamma * expected_free_energy(place, q, plan, utility)) for plan in plans]
    return [
        sum(w for plan, w in zip(plans, weights, strict=True) if plan[0] == a) / sum(weights)
        for a in range(4)
    ]


def paid(
    place: int, q: tuple[float, float], context: int, left: int, utility: list[float], gamma: float
) -> float:
    """Probability of a reward at the last of the `left` steps."""
    total = 0.0
    for action, p in enumerate(action_probabilities(place, q, utility, gamma)):
        to = moved(place, action)
        for seen in SEEN:
            each = [likelihood(to, c, *seen) for c in (0, 1)]
            if each[context] == 0:
                continue
            evidence = q[0] * each[0] + q[1] * each[1]
            after = (q[0] * each[0] / evidence, q[1] * each[1] / evidence)
            later = (
                float(seen[0] == REWARD) if left == 1 else paid(to, after, context, left - 1, utility, gamma)
            )
            total += p * each[context] * later
    return total


def behaviour(gamma: float, reward: float, loss: float = -3.0) -> tuple[float, float]:
    """How often the cue comes first, and how often there is a reward at the end."""
    log_z = math.log(1 + math.exp(reward) + math.exp(loss))
    utility = [-log_z, reward - log_z, loss - log_z]
    half = (0.5, 0.5)
    first = action_probabilities(CENTRE, half, utility, gamma)
    return first[CUE], sum(0.5 * paid(CENTRE, half, c, 2, utility, gamma) for c in (0, 1))


TABLE = {
    # reward: (cue first, reward at the end) for gamma 0, 1, 4, 16; the log-preference for a loss is -3
    0.0: [(0.250, 0.375), (0.598, 0.285), (0.941, 0.284), (1.000, 0.107)],
    1.0: [(0.250, 0.375), (0.523, 0.512), (0.940, 0.910), (1.000, 0.980)],
    2.0: [(0.250, 0.375), (0.411, 0.598), (0.896, 0.903), (1.000, 0.980)],
    3.0: [(0.250, 0.375), (0.287, 0.598), (0.388, 0.681), (0.803, 0.886)],
    6.0: [(0.250, 0.375), (0.066, 0.530), (0.001, 0.500), (0.000, 0.500)],
}
GAMMAS = (0.0, 1.0, 4.0, 16.0)


@pytest.mark.parametrize("reward", TABLE)
def test_behaviour_by_precision_and_preference_is_the_table(reward: float) -> None:
    """Curiosity needs precision to show; and a reward worth more than the risk is taken without looking."""
    world = TMaze(reward=reward, loss=-3.0, reward_probability=RIGHT_ARM_PAYS)

    for gamma, row in zip(GAMMAS, TABLE[reward], strict=True):
        record = live(world, gamma, batch=4000, alpha=1.0)
        lived = (
            float((record.actions[:, 0, 0] == CUE).float().mean()),
            float((record.observations[1][:, 2] == REWARD).float().mean()),
        )

        assert_close(behaviour(gamma, reward), row, atol=5e-4, rtol=0)
        assert_close(lived, row, atol=0.025, rtol=0)


def test_one_who_knows_that_a_cue_will_be_used_asks_where_a_fixed_plan_gambles() -> None:
    """A plan fixed beforehand wins nothing by the cue; a tree of plans that react to what was seen does."""
    world = TMaze(reward=6.0, loss=-3.0, reward_probability=RIGHT_ARM_PAYS)
    search = Search(horizon=2, least_action=0.0, least_branch=0.0)
    planners: dict[str, Planner] = {
        "fixed": Exhaustive(policies=2),
        "reacting": Sophisticated(search),
        "sampled": MonteCarlo(search, simulations=100, generator=torch.Generator().manual_seed(0)),
    }

    records = {
        name: rollout(Agent(world.model(), planner, batch=2), world, 2, torch.Generator().manual_seed(1))
        for name, planner in planners.items()
    }

    first = {name: set(record.actions[:, 0, 0].tolist()) for name, record in records.items()}
    assert first == {"fixed": {LEFT}, "reacting": {CUE}, "sampled": {CUE}}
    for name in ("reacting", "sampled"):
        assert torch.equal(records[name].actions[:, 1, 0], records[name].observations[2][:, 1])
