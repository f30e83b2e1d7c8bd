"""Climb a set function: add the token with the largest gain, again and again."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from arr_coc.types import SetFunction


@runtime_checkable
class Valued(SetFunction, Protocol):
    """A set function steered by one measure and valued in another: `gains` steers, `values` is recorded."""

    def values(self) -> Float[Tensor, "picture steps"]:
        """Value of the set after each token added, in nats where it has them; 0 for the empty set."""
        ...


@dataclass(frozen=True)
class Climb:
    """A greedy path: its first k steps are the greedy set of every size k."""

    keep: Bool[Tensor, "picture visual"]
    """The tokens picked."""
    order: Int[Tensor, "picture steps"]
    """Which token each step picked; -1 past a picture's budget."""
    gains: Float[Tensor, "picture steps"]
    """Value that each step added; NaN past a picture's budget."""


@dataclass(frozen=True)
class Walked:
    """A set function with the path that was climbed on it: a shorter climb only has to cut that off."""

    of_sets: SetFunction
    path: Climb
    among: Bool[Tensor, "picture visual"]
    """Where the path was free to go."""
    budget: Int[Tensor, " picture"]
    """How long it is in each picture."""

    def gains(self) -> Float[Tensor, "picture visual"]:
        """Those of the set function, nothing picked."""
        return self.of_sets.gains()

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """Put one token a picture into the set, whatever the path is."""
        self.of_sets.add(picked)


def climb(
    of_sets: SetFunction, among: Bool[Tensor, "picture visual"], budget: Int[Tensor, " picture"]
) -> Climb:
    """Pick exactly `budget` tokens of each picture; among equals the first one.

    The set function is explored on a copy: a budget may look at the whole curve before a selector climbs.
    """
    # A host sync: whether the path goes far enough.
    if isinstance(of_sets, Walked):
        if of_sets.among is among and bool((budget <= of_sets.budget).all()):
            return _cut_off(of_sets.path.order, of_sets.path.gains, among, budget)
        of_sets = of_sets.of_sets
    explored = deepcopy(of_sets)
    # The one host sync: how often the loop goes round.
    steps = int(budget.max()) if len(budget) else 0
    order = [budget.new_empty(len(budget), 0)]
    gains = [torch.empty(len(budget), 0, device=budget.device)]
    taken = ~among
    for _ in range(steps):
        gain, picked = explored.gains().masked_fill(taken, -torch.inf).max(dim=1, keepdim=True)
        explored.add(picked[:, 0])
        order.append(picked)
        gains.append(gain)
        taken.scatter_(1, picked, True)
    path, won = torch.cat(order, dim=1), torch.cat(gains, dim=1)
    if isinstance(explored, Valued) and steps:
        won = explored.values().diff(dim=1, prepend=won.new_zeros(len(won), 1))
    return _cut_off(path, won, among, budget)


def walked(
    of_sets: SetFunction, among: Bool[Tensor, "picture visual"], budget: Int[Tensor, " picture"]
) -> Walked:
    """Climb as far as `budget`, and remember the way."""
    return Walked(of_sets, climb(of_sets, among, budget), among, budget)


def _cut_off(
    path: Int[Tensor, "picture steps"],
    won: Float[Tensor, "picture steps"],
    among: Bool[Tensor, "picture visual"],
    budget: Int[Tensor, " picture"],
) -> Climb:
    """The first `budget` steps. A picture whose budget is spent has gone on, which changes nothing before."""
    steps = int(budget.max()) if len(budget) else 0
    path, won = path[:, :steps], won[:, :steps]
    spent = torch.arange(steps, device=budget.device) >= budget[:, None]
    keep = among.new_zeros(len(among), among.shape[1] + 1)  # with a spare column for what is cut off
    keep = keep.scatter_(1, path.masked_fill(spent, among.shape[1]), True)[:, :-1]
    return Climb(keep, path.masked_fill(spent, -1), won.masked_fill(spent, torch.nan))
