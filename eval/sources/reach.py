"""Reach and grasp on two levels: which action above, when, and what a flat agent of the same depth does."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from arr_coc.agent.action import action_marginals
from arr_coc.agent.agent import Agent
from arr_coc.agent.hierarchy import Goal, Hierarchy, live
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.planner import Exhaustive
from arr_coc.agent.rollout import rollout
from arr_coc.agent.worlds import Imagined

SOURCE = (
    "Priorelli and Stoianov (2025), Dynamic planning in hierarchical active inference, "
    "https://doi.org/10.1016/j.neunet.2024.107075, section 4.2; the discrete level's states, actions, "
    "preferences, 3 steps of planning and 10 fast steps for a slow one: "
    "https://github.com/priorelli/dynamic-planning, 4.2_dynamic_planning"
)
ACTIONS = ("stay", "to ball", "open", "close")
CELLS, GRIPS, CLOSED, PICKED = 24, 4, 3, 1
FAST = 10


def row(
    seeds: tuple[int, ...], say: Callable[[str], None], balls: tuple[int, ...] = (3, 8, 13, 18, 23)
) -> dict[str, Any]:
    """The ball in cells beyond reach of a fast plan; the hand begins at the left, open."""
    orders, picked_at, flat = set(), {}, {}
    first = None
    for ball in balls:
        say(f"reach and grasp: ball in cell {ball}")
        below, world = _below(ball), Imagined(_below(ball))
        upper = Agent(_above(), Exhaustive(3, gamma=1.0), soft="likelihood")
        lower = Agent(below, Exhaustive(2))
        record = live(Hierarchy(upper, lower, _goals(ball), FAST), world, 4)
        if first is None:
            first = _first(upper)
        names = [ACTIONS[a] for a in record.upper_actions[0, :, 0].tolist()]
        held = (record.observations[2][0] == PICKED).tolist()
        until = names[: (held.index(True) - 1) // FAST + 1] if any(held) else names
        orders.add(" > ".join(dict.fromkeys(until)))
        picked_at[str(ball)] = held.index(True) if any(held) else None
        wants = below.replace(C=(*below.C[:2], torch.tensor([0.0, 36.8])))
        alone = rollout(Agent(wants, Exhaustive(2)), world, 4 * FAST)
        flat[ball] = bool((alone.observations[2][0] == PICKED).any())
    return {
        "figure": "section 4.2: the hand reaches the ball open, then closes; no slow action comes too early",
        "citation": SOURCE,
        "published": {"order": "to ball > close"},
        "ours": {
            "orders": sorted(orders),
            "picked": sum(step is not None for step in picked_at.values()) / len(balls),
            "fast_steps_until_picked": picked_at,
            "least_possible": "as many as the cell's number and three to close",
            "first_action_above": first,
            "flat_agent_of_the_same_depth_picked": sum(flat.values()) / len(balls),
        },
        "seeds": [seeds[0]],
        "note": "nothing here is drawn. The source's fast level is continuous and prints no numbers; here it "
        "is a row of cells and four openings of the hand, with goals from above that grow with nearness",
    }


def _first(agent: Agent) -> dict[str, float]:
    agent.reset()
    agent.infer_states([torch.tensor([0])] * 3 + [None])
    outlook = agent.infer_policies()
    p = action_marginals(outlook.q_pi, outlook.policies, (4,))[0][0]
    return dict(zip(ACTIONS, p.tolist(), strict=True))


def _above() -> GenerativeModel:
    """Position (free, ball), hand (open, closed), ball (placed, picked); their joint state is preferred."""
    eye = torch.eye(2)
    position = torch.stack([eye, eye[:, [1, 1]], eye, eye], 2)
    hand = torch.stack([eye, eye, eye[:, [0, 0]], eye[:, [1, 1]]], 2)
    ball = eye[:, None, None, :, None].repeat(1, 2, 2, 1, 4)
    ball[:, :, :, :, 2] = eye[:, 0, None, None, None]  # an open hand holds nothing
    ball[:, 1, 0, :, 3] = eye[:, 1, None]  # open and at the ball, closing picks it
    joint = torch.eye(8).view(8, 2, 2, 2)
    wanted = (torch.eye(8)[-1] + 1e-16).log()
    return GenerativeModel(
        A=(eye, eye, eye, joint),
        B=(position, hand, ball),
        C=(torch.zeros(2), torch.zeros(2), torch.zeros(2), wanted),
        D=(eye[0], eye[0], eye[0]),
        A_factors=((0,), (1,), (2,), (0, 1, 2)),
        B_factors=((0,), (1,), (0, 1, 2)),
        B_controls=((0,), (0,), (0,)),
    )


def _below(ball: int) -> GenerativeModel:
    """Cell, opening and ball; controls: left, stay, right, and open, stay, close by one."""
    picked = torch.eye(2)[:, None, None, :, None].repeat(1, CELLS, GRIPS, 1, 3)
    picked[:, :, :, :, 0] = torch.eye(2)[:, 0, None, None, None]
    picked[:, ball, CLOSED - 1, :, 2] = torch.eye(2)[:, 1, None]
    return GenerativeModel(
        A=(torch.eye(CELLS), torch.eye(GRIPS), torch.eye(2)),
        B=(_steps(CELLS), _steps(GRIPS), picked),
        C=(torch.zeros(CELLS), torch.zeros(GRIPS), torch.zeros(2)),
        D=(torch.eye(CELLS)[0], torch.eye(GRIPS)[0], torch.eye(2)[0]),
        A_factors=((0,), (1,), (2,)),
        B_factors=((0,), (1,), (0, 1, 2)),
        B_controls=((0,), (1,), (1,)),
    )


def _goals(ball: int) -> tuple[Goal, ...]:
    cells, grips = torch.arange(CELLS), torch.arange(GRIPS)
    nearness = torch.stack([torch.zeros(CELLS), -(cells - ball).abs().float()], 1)
    opening = torch.stack([-grips.float(), (grips - CLOSED).float()], 1)
    return (
        Goal(0, prefers=0, table=nearness, factor=0, report=_is(cells == ball)),
        Goal(1, prefers=1, table=opening, factor=1, report=_is(grips == CLOSED)),
        Goal(2, prefers=2, table=torch.zeros(2, 2), factor=2, report=torch.eye(2)),
    )


def _is(true: Tensor) -> Tensor:
    """(false or true, states)."""
    return torch.stack([~true, true]).float()


def _steps(n: int) -> Tensor:
    """(next, previous, down or stay or up)."""
    eye, at = torch.eye(n), torch.arange(n)
    return torch.stack([eye[:, (at + by).clamp(0, n - 1)] for by in (-1, 0, 1)], 2)
