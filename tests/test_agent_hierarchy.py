"""Two levels: with nothing to say the upper one changes nothing; what goes down and up a link is Bayes."""

from itertools import product

import pytest
import torch
from torch.testing import assert_close

from arr_coc.agent.agent import Agent
from arr_coc.agent.hierarchy import Context, Goal, Hierarchy, live
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.planner import Exhaustive
from arr_coc.agent.rollout import rollout
from arr_coc.agent.worlds import GridWorld, Imagined, TMaze
from tests.agent_models import columns

DOUBLE = {"dtype": torch.float64}
EXACT = {"rtol": 0.0, "atol": 1e-12}


def above(states: int, batch: int = 1, A: torch.Tensor | None = None) -> Agent:
    """A level that can only look on: its state stays what it is."""
    eye = torch.eye(states, **DOUBLE)
    A = eye if A is None else A
    model = GenerativeModel(A, eye[..., None], torch.zeros(len(A), **DOUBLE))
    return Agent(model, Exhaustive(1), batch, soft="likelihood")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_under_a_level_with_one_outcome_lives_the_flat_agent() -> None:
    world = GridWorld(plan=("S..", "..G"), slip=0.3, blur=0.2, **DOUBLE)
    model, batch = world.model(), 5
    nothing = model.replace(C=(torch.zeros_like(model.C[0]),))
    goal = Goal(0, prefers=0, table=model.C[0][:, None], factor=0, report=torch.ones(1, 6, **DOUBLE))

    flat = rollout(Agent(model, Exhaustive(3), batch), world, 6, seeded(0))
    lower = Agent(nothing, Exhaustive(3), batch)
    deep = live(Hierarchy(above(1, batch), lower, (goal,), steps=2), world, 3, seeded(0))

    assert torch.equal(deep.actions, flat.actions)
    assert torch.equal(deep.observations[0], flat.observations[0])


def test_a_context_above_is_a_factor_that_stays_what_it_is() -> None:
    world, batch = TMaze(cue_reliability=0.9, **DOUBLE), 20
    link = Context(0, factor=1, table=torch.eye(2, **DOUBLE))

    flat = rollout(Agent(world.model(), Exhaustive(2), batch), world, 2, seeded(1))
    lower = Agent(world.model(), Exhaustive(2), batch)
    deep = live(Hierarchy(above(2, batch), lower, (link,), steps=1), world, 2, seeded(1))

    assert torch.equal(deep.actions, flat.actions)
    assert_close(deep.upper_qs[0], flat.qs[1], **EXACT)
    assert deep.upper_qs[0].max() > 0.99  # it learned which it is


def test_the_evidence_of_an_episode_is_that_of_all_it_could_have_been() -> None:
    g = seeded(2)
    A = columns(3, 2, draw=g)  # of the outcomes above, by its states
    link = Context(0, factor=0, table=columns(4, 3, draw=g))
    below = GenerativeModel(columns(5, 4, draw=g), columns(4, 4, 2, draw=g), torch.zeros(5, **DOUBLE))
    upper, lower = above(2, A=A), Agent(below, Exhaustive(1), generator=seeded(0), alpha=0.0)
    hierarchy = Hierarchy(upper, lower, (link,), steps=3)
    hierarchy.descend()
    start = lower.prior
    seen, done = [(torch.tensor([o]),) for o in (1, 4, 0)], [torch.tensor([[a]]) for a in (1, 0)]

    told = upper.infer_states(hierarchy.ascend(seen, done, start))[0][0]

    joint = torch.zeros(2, **DOUBLE)
    for state, outcome, *path in product(range(2), range(3), *[range(4)] * 3):
        p = 0.5 * A[outcome, state] * link.table[path[0], outcome]
        for t, s in enumerate(path):
            p = p * below.A[0][seen[t][0].item(), s]
            if t:
                p = p * below.B[0][s, path[t - 1], done[t - 1].item()]
        joint[state] += p
    assert_close(told, joint / joint.sum(), **EXACT)
    assert_close(start[0][0], link.table @ A @ torch.full((2,), 0.5, **DOUBLE), **EXACT)


def test_goals_from_above_lead_where_the_same_agent_alone_sees_nothing_to_want() -> None:
    # Nine cells in a row, the level below looks two steps ahead; the one above knows three thirds of the row.
    cells, thirds = 9, 3
    eye, wide = torch.eye(cells, **DOUBLE), torch.eye(thirds, **DOUBLE)
    walk = torch.stack([step(cells, -1), step(cells, 1)], 2)
    stride = torch.stack([step(thirds, -1), step(thirds, 1)], 2)
    third = torch.arange(cells) // 3
    below = GenerativeModel(eye, walk, torch.zeros(cells, **DOUBLE), eye[0])
    model = GenerativeModel(wide, stride, torch.tensor([0.0, 0.0, 8.0], **DOUBLE), wide[0])
    world = Imagined(below)
    middle = torch.tensor([1.0, 4.0, 7.0], **DOUBLE)
    far = -(torch.arange(cells, **DOUBLE)[:, None] - middle).abs()
    goal = Goal(0, prefers=0, table=far, factor=0, report=wide[:, third])

    alone = below.replace(C=(8.0 * eye[7],))
    flat = rollout(Agent(alone, Exhaustive(2)), world, 9)
    upper = Agent(model, Exhaustive(2), soft="likelihood")
    deep = live(Hierarchy(upper, Agent(below, Exhaustive(2)), (goal,), steps=3), world, 3)

    assert flat.observations[0].max() < 2
    assert deep.observations[0][0, -1] in (6, 7, 8)
    assert deep.upper_actions[0, :2, 0].tolist() == [1, 1]
    assert deep.upper_qs[0][0].argmax(1).tolist()[0] == 0
    assert deep.upper_qs[0][0, -1, 2] == 1.0


def test_it_says_what_does_not_fit() -> None:
    lower = Agent(TMaze(**DOUBLE).model(), Exhaustive(1))
    link = Context(0, 1, torch.eye(2, **DOUBLE))
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        Hierarchy(above(2), lower, (link,), 0)
    with pytest.raises(ValueError, match="levels of 3 and 1 agents"):
        Hierarchy(above(2, 3), lower, (link,), 1)
    with pytest.raises(ValueError, match="a column for each of its 3 outcomes, got"):
        Hierarchy(above(3), lower, (link,), 1)
    hard = Agent(above(2).model, Exhaustive(1))
    with pytest.raises(ValueError, match="soft='likelihood'"):
        Hierarchy(hard, lower, (link,), 1)


def step(n: int, by: int) -> torch.Tensor:
    """(next, previous) on a line of n."""
    go = torch.zeros(n, n, **DOUBLE)
    go[(torch.arange(n) + by).clamp(0, n - 1), torch.arange(n)] = 1.0
    return go
