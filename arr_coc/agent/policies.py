"""Which sequences of actions are considered: given, all combinations, or what a function says."""

from collections.abc import Callable, Sequence
from math import prod
from typing import TypeAlias

import torch
from jaxtyping import Int
from torch import Tensor

from arr_coc.agent.model import GenerativeModel

PolicyTensor: TypeAlias = Int[Tensor, "policies horizon controls"]
Policies: TypeAlias = PolicyTensor | int | Callable[[GenerativeModel], PolicyTensor]
"""Given; all combinations over so many steps; or a function of the model."""

MANY = 20_000_000
"""More combinations than this are refused: a planner that searches (`tree_search`) fits them better."""


def all_policies(
    n_actions: Sequence[int], horizon: int, controls: Sequence[int] | None = None
) -> PolicyTensor:
    """Every combination of actions over `horizon` steps, in the order of counting: the last action varies
    fastest.

    `controls`: the controls that vary; the others stay at action 0. Default: all.
    """
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1, got {horizon}")
    varying = set(range(len(n_actions)) if controls is None else controls)
    if not varying <= set(range(len(n_actions))):
        raise ValueError(f"controls must be below {len(n_actions)}, got {sorted(varying)}")
    sizes = [n if c in varying else 1 for c, n in enumerate(n_actions)]
    count = prod(sizes) ** horizon
    if count > MANY:
        raise ValueError(
            f"{count} policies of {horizon} steps are too many: "
            "shorten the horizon, name fewer controls, or search"
        )
    left, columns = torch.arange(count), []
    for size in reversed(sizes * horizon):
        columns.append(left % size)
        left = left // size
    if not columns:
        return torch.zeros(1, horizon, 0, dtype=torch.long)
    return torch.stack(columns[::-1], 1).view(count, horizon, len(sizes))


def repeated_policies(n_actions: Sequence[int], horizon: int) -> PolicyTensor:
    """Every action held for `horizon` steps."""
    return all_policies(n_actions, 1).expand(-1, horizon, -1).contiguous()


def resolve(model: GenerativeModel, policies: Policies) -> PolicyTensor:
    """The policies as a tensor, checked against the model's controls."""
    if isinstance(policies, int):
        given = all_policies(model.n_actions, policies)
    elif isinstance(policies, Tensor):
        given = policies
    else:
        given = policies(model)
    if given.ndim != 3 or given.shape[2] != model.n_controls or 0 in given.shape[:2]:
        raise ValueError(
            f"policies must be (policies, horizon, controls={model.n_controls}), got {tuple(given.shape)}"
        )
    for c, n in enumerate(model.n_actions):
        low, high = int(given[..., c].min()), int(given[..., c].max())
        if low < 0 or high >= n:
            raise ValueError(f"actions of control {c} must lie in 0..{n - 1}, got {low}..{high}")
    return given.to(model.device)
