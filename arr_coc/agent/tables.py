"""A model's tables in the layout that planning multiplies with. Pure functions of the model's tensors."""

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from arr_coc.agent.maths import entropy
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.novelty import likelihood_information, transition_information
from arr_coc.agent.objective import Information, Objective
from arr_coc.agent.prefixes import Indices, Prefixes

LARGEST = 2**27
"""Entries of a table of joint outcomes; beyond, only `per_modality` will do."""
FUSED = 2**25
"""Entries up to which outcomes of the last step are tabulated by previous state and action."""


@dataclass(frozen=True)
class Layout:
    """What the columns of the outcome tables mean."""

    sets: Indices
    """Sets of factors that some outcome depends on."""
    clusters: tuple[Indices, ...]
    """For each set, its outcomes: each a tuple of modalities whose joint outcome counts as one."""
    linear: int
    """Columns after those of the outcomes: G's linear part, or its terms."""
    over_time: bool
    """Preferences differ between steps."""
    detail: bool
    """Terms separately: ambiguity, information about A, utility at each step."""


class Tables(NamedTuple):
    """Every weight is (outputs, inputs)."""

    transition: dict[int, Tensor]
    """For each factor (actions * states, previous)."""
    slices: dict[tuple[int, int], Tensor]
    """For each depth and factor of method `each`, (children, states, previous)."""
    powers: dict[int, Tensor]
    """For each passive factor (horizon * states, states): its transitions to every depth at once."""
    outcome: dict[tuple[int, int], Tensor]
    """For each set and number of factors contracted first: (other states * columns, their states)."""
    fused: dict[int, Tensor]
    """For each set whose last step can be fused with its transition: (actions * columns, previous states)."""
    both: dict[int, Tensor]
    """For each such set of more steps than one: the last but one's outcomes, then those of `fused`."""
    novelty: dict[int, Tensor]
    """For each factor (actions, previous): minus the weighted information about B."""


def lay_out(model: GenerativeModel, horizon: int, objective: Objective, information: Information,
            detail: bool) -> Layout:  # fmt: skip
    """Group modalities by their factors. `joint`: those that share a factor have one joint outcome."""
    groups: list[tuple[set[int], list[int]]] = []
    for m, factors in enumerate(model.A_factors):
        joined = (set(factors), [m])
        if information == "joint" and (objective.entropy or detail):
            for other in [g for g in groups if g[0] & joined[0]]:
                groups.remove(other)
                joined = (joined[0] | other[0], other[1] + joined[1])
        groups.append(joined)
    sets = tuple(dict.fromkeys(tuple(sorted(g[0])) for g in groups))
    clusters = tuple(tuple(tuple(sorted(g[1])) for g in groups if tuple(sorted(g[0])) == s) for s in sets)
    over_time = any(c.ndim - (model.batch is not None) == 2 for c in model.C)
    linear = (2 if detail else 0) + (horizon if over_time else 1)
    return Layout(sets, clusters, linear, over_time, detail)


def make_tables(model: GenerativeModel, prefixes: Prefixes, layout: Layout, objective: Objective,
                time: int, fusible: tuple[int, ...]) -> Tables:  # fmt: skip
    """The tables of a model without a batch axis."""
    transition, slices, powers, outcome, fused, both, novelty = {}, {}, {}, {}, {}, {}, {}
    for f, b in enumerate(model.B):
        k = len(model.B_factors[f])
        moves = b.reshape(len(b), prod(b.shape[1 : 1 + k]), -1).permute(
            2, 0, 1
        )  # (actions, states, previous)
        transition[f] = moves.flatten(0, 1).contiguous()
        if model.pB is not None and objective.parameters:
            novelty[f] = (
                -(1 if layout.detail else objective.parameters)
                * transition_information(model, f).contiguous()
            )
        for t, depth in enumerate(prefixes.transitions):
            if depth[f].method == "each" and f not in prefixes.passive:
                slices[t, f] = moves[depth[f].actions]
        if f in prefixes.passive:
            steps = [moves[int(depth[f].actions[0])] for depth in prefixes.transitions]
            reach = [steps[0]]
            for step in steps[1:]:
                reach.append(step @ reach[-1])
            powers[f] = torch.cat(reach)
    for s, order in enumerate(prefixes.orders):
        table = _outcomes(model, layout, s, order, prefixes.horizon, objective, time)  # (columns, *states)
        passive = sum(f in prefixes.passive for f in order)
        for at_depth in prefixes.blocks:
            blocks = at_depth[s]
            first = passive or (len(blocks[0].factors) if blocks else 0)
            if (s, first) not in outcome:
                states = table.shape[1:]
                flat = table.reshape(len(table), prod(states[:first]), prod(states[first:]))
                outcome[s, first] = flat.permute(2, 0, 1).flatten(0, 1).contiguous()
        if s in fusible and len(table) * transition[order[0]].numel() // table.shape[1] <= FUSED:
            b = transition[order[0]].view(-1, table.shape[1], transition[order[0]].shape[1])
            fused[s] = (table @ b).flatten(0, 1)
            if prefixes.horizon > 1:
                both[s] = torch.cat([table, fused[s]])
                fused[s] = both[s][len(table) :]  # one memory for the two
    return Tables(transition, slices, powers, outcome, fused, both, novelty)


def _outcomes(model: GenerativeModel, layout: Layout, s: int, order: tuple[int, ...], horizon: int,
              objective: Objective, time: int) -> Tensor:  # fmt: skip
    sizes = [model.n_states[f] for f in order]
    columns, ambiguity, novelty = [], model.A[0].new_zeros(sizes), model.A[0].new_zeros(sizes)
    utility = model.A[0].new_zeros(horizon if layout.over_time else 1, *sizes)
    for cluster in layout.clusters[s]:
        joint = model.A[0].new_ones(1, *[1] * len(order))
        if prod(sizes) * prod(model.n_obs[m] for m in cluster) > LARGEST:
            raise ValueError(
                f"the joint outcome of modalities {cluster} over the states of factors {order} has more than "
                f"{LARGEST} entries: take information='per_modality'"
            )
        for m in cluster:
            a = _aligned(model.A[m], model.A_factors[m], order)  # (obs, *states or 1)
            joint = (joint.unsqueeze(1) * a).flatten(0, 1)
            ambiguity = ambiguity + entropy(a, 0)
            c = torch.log_softmax(_preference(model.C[m], m, horizon, time, layout.over_time), -1)
            utility = utility + torch.tensordot(c, a, ([1], [0]))
            if model.pA is not None and objective.parameters:
                gain = likelihood_information(model, m)[None]
                novelty = novelty + _aligned(gain, model.A_factors[m], order)[0]
        columns.append(joint.expand(-1, *sizes))
    if layout.detail:
        linear = [ambiguity[None], novelty[None], utility]
    else:
        fixed = objective.ambiguity * ambiguity - objective.parameters * novelty
        linear = [fixed - objective.utility * utility]
    if not (objective.entropy or layout.detail):
        columns = []
    return torch.cat([*columns, *linear])


def _preference(c: Tensor, m: int, horizon: int, time: int, over_time: bool) -> Tensor:
    if c.ndim == 1:
        return c.expand(horizon if over_time else 1, -1)
    if len(c) < time + horizon:
        raise ValueError(
            f"C[{m}] has {len(c)} rows over time and planning {horizon} steps from {time} "
            f"takes {time + horizon}"
        )
    return c[time : time + horizon]


def _aligned(table: Tensor, factors: tuple[int, ...], order: tuple[int, ...]) -> Tensor:
    """(event, *states of factors) with the factors as in `order`, an axis of one for the others."""
    present = [f for f in order if f in factors]
    table = table.permute(0, *(1 + factors.index(f) for f in present))
    sizes = dict(zip(present, table.shape[1:], strict=True))
    return table.reshape(len(table), *(sizes.get(f, 1) for f in order))


def columns(model: GenerativeModel, layout: Layout, s: int, objective: Objective) -> int:
    """How many of the columns are outcomes."""
    if not (objective.entropy or layout.detail):
        return 0
    return sum(prod(model.n_obs[m] for m in cluster) for cluster in layout.clusters[s])
