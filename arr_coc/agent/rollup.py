"""Evaluate the tree of policies: predict each distinct belief once, value it, sum along the prefixes.

One step's contribution is linear in beliefs but for the entropy of predicted outcomes,
g = q.(H_A - A' ln P~) - H[Aq]: one product of beliefs and a table yields outcomes and linear part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from arr_coc.agent.maths import log_stable
from arr_coc.agent.prefixes import Block, Indices, Prefixes, Transition
from arr_coc.agent.product import product
from arr_coc.agent.tables import Layout, Tables

SMALL = 2**18
"""Entries of a table that stays in a core's cache."""
TERMS = 6
"""Values of a node in detail: sum p ln p, ambiguity, novelty of A, utility, novelty of B, inductive cost."""


@dataclass(frozen=True)
class Program:
    """What to compute: everything about planning that is no number of the model."""

    prefixes: Prefixes
    layout: Layout
    B_factors: Indices
    n_states: tuple[int, ...]
    outcomes: tuple[int, ...]
    """For each set of factors, how many columns are outcomes."""
    entropy: float
    """Weight of minus the entropy of outcomes."""
    inductive: float
    """Weight of the inductive cost."""
    chunk: int
    """Entries of predicted outcomes held at once; with gradients, chunks are computed again when due."""


def evaluate(program: Program, tables: Tables, qs: Sequence[Tensor], costs: Sequence[Tensor] = ()) -> Tensor:
    """G of every policy (batch, policies); with a detailed layout (batch, policies, TERMS).

    `costs`: for each factor (batch, states) the cost of being there, or none.
    """
    prefixes, detail = program.prefixes, program.layout.detail
    x = [q[:, None] for q in qs]
    alone = {f: product(qs[f], w).view(len(qs[f]), prefixes.horizon, -1) for f, w in tables.powers.items()}
    shared = _contract_passive(program, tables, alone)
    total: Tensor | None = None
    ahead: dict[int, Tensor] = {}
    for t, steps in enumerate(prefixes.transitions):
        fused = _worth_fusing(program, tables, x, steps) if t == prefixes.horizon - 1 else {}
        skipped = {prefixes.orders[s][0] for s in fused}
        joint = {
            f: _parents(program, steps[f], f, x)
            for f in range(len(x))
            if f not in alone or f in tables.novelty
        }
        parts = []
        x = [
            alone[f][:, t, None]
            if f in alone
            else joint[f]  # where the last step is fused, from its parents
            if f in skipped
            else _step(program, tables, t, f, joint[f])
            for f in range(len(x))
        ]
        for s, order in enumerate(prefixes.orders):
            both = _both(program, tables, t, s, x)
            if both is not None:
                parts.append(_value(program, t, s, both[:, :, 0]))
                ahead[s] = both[:, :, 1:]
            elif s in ahead:
                parts.append(_value(program, t, s, ahead[s]).flatten(1, 2))
            elif s in fused:
                parts.append(_fused(program, fused[s], t, s, x[order[0]]))
            else:
                parts.append(_contract(program, tables, t, s, x, shared.get(s)))
        parts += [_pad(product(joint[f], w).flatten(1), 4, detail) for f, w in tables.novelty.items()]
        scale = 1.0 if detail else program.inductive
        parts += [_pad(scale * (x[f] @ c[..., None])[..., 0], 5, detail) for f, c in enumerate(costs)]
        here = reduce(torch.add, (pick(part) for pick, part in zip(prefixes.rows[t], parts, strict=True)))
        total = here if total is None else prefixes.parents[t](total) + here
    assert total is not None
    return prefixes.leaf(total)


def _worth_fusing(
    program: Program, tables: Tables, x: Sequence[Tensor], steps: Sequence[Transition]
) -> dict[int, Tensor]:
    """Fusing saves products, but its table is larger to read: it must fit, or be used often."""
    worth = {}
    for s, table in tables.fused.items():
        (f,) = program.prefixes.orders[s]
        nodes = len(x[f]) * steps[f].parents[0].size
        width = program.outcomes[s] + program.layout.linear
        if table.numel() <= SMALL or nodes * program.n_states[f] > 10 * width:
            worth[s] = table
    return worth


def _both(program: Program, tables: Tables, t: int, s: int, x: Sequence[Tensor]) -> Tensor | None:
    """Outcomes of the last step but one and of every action after it: (batch, nodes, 1 + actions, columns);
    None where one product does not give them, or gives too many to hold at once."""
    if t != program.prefixes.horizon - 2 or s not in tables.both:
        return None
    (f,), (block,) = program.prefixes.orders[s], program.prefixes.blocks[t][s]
    steps, table = program.prefixes.transitions[t + 1], tables.both[s]
    as_they_are = all(p.index is None and p.repeat == 1 for p in (*block.picks, *steps[f].parents))
    fits = len(x[f]) * x[f].shape[1] * len(table) <= program.chunk
    if not (as_they_are and fits and s in _worth_fusing(program, tables, x, steps)):
        return None
    return product(x[f], table).view(*x[f].shape[:2], -1, program.outcomes[s] + program.layout.linear)


def outer(beliefs: Sequence[Tensor]) -> Tensor:
    """Product of beliefs (batch, nodes, states_i) as (batch, nodes, states_1 * states_2 ...)."""
    return reduce(lambda a, b: (a.unsqueeze(-1) * b.unsqueeze(-2)).flatten(2), beliefs)


def _parents(program: Program, step: Transition, f: int, x: Sequence[Tensor]) -> Tensor:
    """(batch, combinations, joint states of the parents)."""
    beliefs = [pick(x[g]) for g, pick in zip(program.B_factors[f], step.parents, strict=True)]
    return outer(beliefs) if beliefs else x[f].new_ones(len(x[f]), 1, 1)


def _step(program: Program, tables: Tables, t: int, f: int, joint: Tensor) -> Tensor:
    """The distinct beliefs over factor f after step t: (batch, children, states)."""
    step, weight, states = program.prefixes.transitions[t][f], tables.transition[f], program.n_states[f]
    if step.method == "all":
        return step.children(product(joint, weight).view(len(joint), -1, states))
    parents = step.children(joint)
    if step.method == "each":
        return torch.bmm(parents.transpose(0, 1), tables.slices[t, f].mT).transpose(0, 1)
    moves = weight.view(-1, states, weight.shape[1])
    return torch.cat([product(parents[:, i:j], moves[a]) for a, i, j in step.groups], 1)


def _contract_passive(program: Program, tables: Tables, alone: dict[int, Tensor]) -> dict[int, Tensor]:
    """Outcome tables of sets with passive factors, these contracted, at all depths: (batch, horizon,
    rest)."""
    shared = {}
    for s, order in enumerate(program.prefixes.orders):
        passive = [alone[f] for f in order if f in alone]
        if passive:
            shared[s] = product(outer(passive), tables.outcome[s, len(passive)])
    return shared


def _contract(
    program: Program, tables: Tables, t: int, s: int, x: Sequence[Tensor], shared: Tensor | None
) -> Tensor:
    """Values of one set of factors at one depth, on the grid of its blocks: (batch, rows, *values)."""
    *blocks, last = program.prefixes.blocks[t][s] or (None,)
    n = len(x[0])
    if last is None:  # no policy makes a difference
        constant = shared[:, t] if shared is not None else tables.outcome[s, 0][:, 0].expand(n, -1)
        return _value(program, t, s, constant[:, None])
    # (batch, rows, states of the blocks to come * columns)
    table = None if shared is None else shared[:, t, None]
    weight = None if shared is not None else tables.outcome[s, len((blocks or [last])[0].factors)]
    for block in blocks:
        table = _apply(_beliefs(block, x), table, weight).flatten(1, 2)
    beliefs = _beliefs(last, x)
    rows = 1 if table is None else table.shape[1]

    def values(some: Tensor) -> Tensor:
        return _value(program, t, s, _apply(some, table, weight))

    size = program.chunk // (n * rows * (program.outcomes[s] + program.layout.linear))
    return _in_chunks(values, beliefs, size, 1, 2).flatten(1, 2)


def _beliefs(block: Block, x: Sequence[Tensor]) -> Tensor:
    return outer([pick(x[f]) for f, pick in zip(block.factors, block.picks, strict=True)])


def _apply(beliefs: Tensor, table: Tensor | None, weight: Tensor | None) -> Tensor:
    """(batch, nodes, states) into (batch, rows, states * rest), or into a weight: (batch, rows, nodes,
    rest)."""
    if table is None:
        assert weight is not None
        return product(beliefs, weight)[:, None]
    table = table.reshape(*table.shape[:2], beliefs.shape[2], -1)
    if table.shape[1] == 1:
        return torch.bmm(beliefs, table[:, 0])[:, None]
    return beliefs[:, None] @ table


def _fused(program: Program, weight: Tensor, t: int, s: int, parents: Tensor) -> Tensor:
    """The last step from its parents, every action at once: the beliefs themselves are not formed."""
    width = program.outcomes[s] + program.layout.linear
    actions = weight.view(-1, width, weight.shape[1])

    def values(nodes: Tensor, moves: Tensor) -> Tensor:
        return _value(program, t, s, product(nodes, moves.flatten(0, 1)).view(*nodes.shape[:2], -1, width))

    def of_nodes(nodes: Tensor) -> Tensor:
        # As many actions at once as there is room for: all of them, unless one node's are too many.
        size = program.chunk // (nodes.shape[:2].numel() * width)
        return _in_chunks(partial(values, nodes), actions, size, 0, 2)

    return _in_chunks(of_nodes, parents, program.chunk // (len(parents) * len(weight)), 1, 1).flatten(1, 2)


def _in_chunks(values: Callable[[Tensor], Tensor], x: Tensor, size: int, axis: int, dim: int) -> Tensor:
    """`values` of `size` entries along `axis` of x at once, put together along `dim`."""
    size, n = max(1, size), x.shape[axis]
    if n <= size:
        return values(x)
    again = torch.is_grad_enabled()
    parts = [x.narrow(axis, i, min(size, n - i)) for i in range(0, n, size)]
    return torch.cat(
        [checkpoint(values, some, use_reentrant=False) if again else values(some) for some in parts],
        dim,
    )


def _value(program: Program, t: int, s: int, predicted: Tensor) -> Tensor:
    """(*nodes, columns) to (*nodes), or in detail (*nodes, TERMS)."""
    out, layout = program.outcomes[s], program.layout
    linear = predicted[..., out:]
    at = t if layout.over_time else 0
    if not layout.detail:
        value = linear[..., at].to(_wide(linear.dtype))
        return value if not program.entropy else value + program.entropy * _negentropy(predicted[..., :out])
    terms = [_negentropy(predicted[..., :out]), linear[..., 0], linear[..., 1], linear[..., 2 + at]]
    return pad(torch.stack(terms, -1), (0, TERMS - len(terms)))


def _negentropy(p: Tensor) -> Tensor:
    """sum p ln p, in float32 at least. `vecdot` saves a pass over memory, but is a product to autocast."""
    p = p.to(_wide(p.dtype))
    if torch.compiler.is_compiling() or torch.is_autocast_enabled(p.device.type):
        return (p * log_stable(p)).sum(-1)
    value: Tensor = torch.linalg.vecdot(p, log_stable(p))
    return value


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def _pad(value: Tensor, at: int, detail: bool) -> Tensor:
    return pad(value[..., None], (at, TERMS - 1 - at)) if detail else value
