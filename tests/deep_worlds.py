"""Tiny worlds and agents that the deep agent's tests share."""

import torch
from torch import Tensor

from arr_coc.agent.deep import (
    DeepAgent,
    DeepSettings,
    GaussianPreference,
    ModelShape,
    PlanSearch,
    RuleSearch,
)

CENTRE = GaussianPreference(mean=(0.0,), std=(0.5,))


def slide(x: Tensor, action: Tensor) -> Tensor:
    """A point on a line (batch, 1), pushed right by action 1 and left by action 0."""
    return x + 0.25 * (2 * action.to(x)[:, None] - 1)


def agent(rule: str = "plan", seed: int = 0, state_dim: int | None = None, **settings: object) -> DeepAgent:
    """An agent for the line, small enough to learn in a second."""
    search = RuleSearch(horizon=5, candidates=16, commit=1)
    if rule == "plans":
        search = PlanSearch(horizon=5, candidates=16, commit=1, hold=2)  # type: ignore[assignment]
    chosen = DeepSettings(
        rule="value" if rule == "value" else "plan", search=search, batch=64, gamma=5.0, discount=0.8,
        **settings,  # type: ignore[arg-type]
    )  # fmt: skip
    return DeepAgent(
        ModelShape(obs_dim=1, n_actions=2, state_dim=state_dim, hidden=16, depth=1), CENTRE, chosen, seed
    )


def live_at_random(pupil: DeepAgent, steps: int = 8, rows: int = 32) -> None:
    """Give it steps of many copies of the line, each done by chance."""
    x = torch.randn(rows, 1, generator=pupil.generator)
    for t in range(steps):
        action = torch.randint(2, (rows,), generator=pupil.generator)
        after = slide(x, action)
        no = torch.zeros(rows, dtype=torch.bool)
        pupil.observe(x, action, after, no, ~no if t == 0 else no)
        x = after
    pupil.standardise()


def distance(pupil: DeepAgent, start: float = 2.0, steps: int = 12, rows: int = 8) -> float:
    """Mean distance from the centre over the last four of so many steps of the agent's own."""
    pupil.begin()
    x = torch.full((rows, 1), start)
    far = []
    for _ in range(steps):
        x = slide(x, pupil.act(x, explore=False).action)
        far.append(x.abs().mean())
    return float(torch.stack(far[-4:]).mean())
