"""What policies share: the distinct beliefs, outcomes and sums that their prefixes of actions lead to.

The belief over factor f at depth t depends on its parents' beliefs at depth t - 1 and on the action of its
own controls at t, and on nothing else a policy does. So each factor has its own tree of distinct beliefs;
what is predicted of the outcomes has a grid over the trees of the factors it depends on; and sums over time
have a tree over all of them. Indices only: no probability is needed to build it.
"""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

Indices = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Pick:
    """Entries along axis 1, in order: all of them, each of them several times in a row, or by index."""

    size: int
    index: Tensor | None = None
    repeat: int = 1

    @classmethod
    def of(cls, index: Tensor, among: int) -> "Pick":
        """The cheapest form of `index` into `among` entries."""
        size = len(index)
        if size % among == 0 and torch.equal(index, torch.arange(among).repeat_interleave(size // among)):
            return cls(size, None, size // among)
        return cls(size, index)

    def __call__(self, x: Tensor) -> Tensor:
        """(batch, among, *axes) to (batch, size, *axes)."""
        if self.index is not None:
            return x.index_select(1, self.index)
        if self.repeat == 1:
            return x
        return x.unsqueeze(2).expand(-1, -1, self.repeat, *x.shape[2:]).flatten(1, 2)


@dataclass(frozen=True)
class Transition:
    """How the distinct beliefs over one factor at one depth follow from those before."""

    method: Literal["all", "grouped", "each"]
    """all: every parent under every action, one product, then `children` of these. grouped: one product for
    each action. each: one small product for each child."""
    parents: tuple[Pick, ...]
    """For each parent factor, its belief in each distinct combination of parents."""
    children: Pick
    """Of (combination, action) if `all`, of combinations otherwise."""
    actions: Tensor
    """(children,): what was done."""
    groups: tuple[tuple[int, int, int], ...] = ()
    """Action, first child, last child + 1."""

    @property
    def is_full(self) -> bool:
        """Every parent under every action, in order."""
        return self.method == "all" and self.children.index is None and self.children.repeat == 1


@dataclass(frozen=True)
class Block:
    """Factors whose beliefs are multiplied out before the outcome table is contracted with them."""

    factors: tuple[int, ...]
    picks: tuple[Pick, ...]


@dataclass(frozen=True)
class Prefixes:
    """All that policies share. Built by `sharing.share`."""

    n_policies: int
    horizon: int
    transitions: tuple[tuple[Transition, ...], ...]
    """For each depth and factor."""
    passive: tuple[int, ...]
    """Factors of their own that every policy moves alike: one belief at each depth."""
    blocks: tuple[tuple[tuple[Block, ...], ...], ...]
    """For each depth and set of factors: in the order of contraction, the active ones only."""
    orders: Indices
    """For each set of factors, passive ones first, then the rest in the order of contraction."""
    parents: tuple[Pick, ...]
    """For each depth, the node before of each distinct node of sums."""
    rows: tuple[tuple[Pick, ...], ...]
    """For each depth and summand (sets of factors, then `extra`), its entry for each node of sums."""
    leaf: Pick
    """The last node of each policy."""

    @property
    def beliefs(self) -> int:
        """Distinct beliefs over single factors, all depths together."""
        return sum(len(t.actions) for depth in self.transitions for t in depth)


def moved(tree: Any, device: torch.device) -> Any:
    """Every index tensor of a nest of tuples and dataclasses on another device."""
    if isinstance(tree, Tensor):
        return tree.to(device)
    if isinstance(tree, tuple):
        return tuple(moved(x, device) for x in tree)
    if is_dataclass(tree) and not isinstance(tree, type):
        return replace(tree, **{f.name: moved(getattr(tree, f.name), device) for f in fields(tree)})
    return tree
