"""Find what policies share: number the distinct beliefs, grids of outcomes and sums that they lead to."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from arr_coc.agent.prefixes import Block, Indices, Pick, Prefixes, Transition


def share(
    policies: Tensor,
    n_actions: Sequence[int],
    B_factors: Indices,
    B_controls: Indices,
    sets: Indices,
    extra: Sequence[tuple[int, bool]] = (),
    n_states: Sequence[int] = (),
) -> Prefixes:
    """Find what `policies` (policies, horizon, controls) share.

    `sets`: sets of factors that outcomes depend on. `extra`: summands of single factors, and whether they
    belong
    to the (parents, action) pair (True) or to the belief itself.
    """
    policies = policies.cpu()
    count, horizon, _ = policies.shape
    n_factors = len(B_factors)
    zero = torch.zeros(count, dtype=torch.long)
    ids, ns = [zero] * n_factors, [1] * n_factors
    history: list[tuple[list[Tensor], list[int], list[Tensor]]] = []
    transitions: list[tuple[Transition, ...]] = []
    for t in range(horizon):
        steps, new_ids, new_ns, pairs = [], [], [], []
        for f in range(n_factors):
            sizes = [n_actions[c] for c in B_controls[f]]
            action = _ravel([policies[:, t, c] for c in B_controls[f]], sizes, zero)
            given, given_ns = [ids[g] for g in B_factors[f]], [ns[g] for g in B_factors[f]]
            joint, m = distinct(given, given_ns, zero)
            states = n_states[f] if n_states else 1
            step, id_, pair = _transition(joint, m, action, prod(sizes), given, given_ns, states)
            steps.append(step)
            new_ids.append(id_)
            new_ns.append(len(step.actions))
            pairs.append(pair)
        ids, ns = new_ids, new_ns
        history.append((ids, ns, pairs))
        transitions.append(tuple(steps))
    passive = tuple(
        f for f in range(n_factors) if B_factors[f] == (f,) and all(n[f] == 1 for _, n, _ in history)
    )
    orders = tuple(
        tuple(sorted(s, key=lambda f: (f not in passive, ns[f] if f not in passive else 0))) for s in sets
    )
    blocks, parents, rows = [], [], []
    node, n_nodes = zero, 1
    for t, (ids, ns, pairs) in enumerate(history):
        made, keys, sizes = [], [], []
        for order in orders:
            own, key, size = _blocks([f for f in order if f not in passive], ids, ns, zero)
            made.append(own)
            keys.append(key)
            sizes.append(size)
        for f, of_pair in extra:
            # What belongs to a pair has a row for every action of every combination of parents.
            keys.append(pairs[f] if of_pair else ids[f])
            k = prod(n_actions[c] for c in B_controls[f])
            m = distinct([history[t - 1][0][g] if t else zero for g in B_factors[f]],
                         [history[t - 1][1][g] if t else 1 for g in B_factors[f]], zero)[1]  # fmt: skip
            sizes.append(m * k if of_pair else ns[f])
        key, n = distinct([node, *keys], [n_nodes, *sizes], zero)
        values, key = torch.unique(key, return_inverse=True)  # a grid may have places that no policy takes
        n = len(values)
        some = _representative(key, n)
        parents.append(Pick.of(node[some], n_nodes))
        rows.append(tuple(Pick.of(k[some], s) for k, s in zip(keys, sizes, strict=True)))
        blocks.append(tuple(made))
        node, n_nodes = key, n
    return Prefixes(
        count, horizon, tuple(transitions), passive, tuple(blocks), orders, tuple(parents), tuple(rows),
        Pick.of(node, n_nodes),
    )  # fmt: skip


def distinct(ids: Sequence[Tensor], sizes: Sequence[int], zero: Tensor) -> tuple[Tensor, int]:
    """The number of each policy's combination of ids among those that occur, in lexicographic order."""
    if not ids:
        return zero, 1
    key, n = ids[0], sizes[0]
    for other, size in zip(ids[1:], sizes[1:], strict=True):
        if size == 1:
            continue
        if n == 1:
            key, n = other, size
            continue
        values, key = torch.unique(key * size + other, return_inverse=True)
        n = len(values)
    return key, n


def _transition(
    joint: Tensor, m: int, action: Tensor, k: int, ids: list[Tensor], sizes: list[int], states: int
) -> tuple[Transition, Tensor, Tensor]:
    some = _representative(joint, m)
    parents = tuple(Pick.of(i[some], n) for i, n in zip(ids, sizes, strict=True))
    pair = joint * k + action
    values, id_ = torch.unique(pair, return_inverse=True)
    n, used = len(values), len(torch.unique(action))
    if 2 * n >= m * k:
        return Transition("all", parents, Pick.of(values, m * k), values % k), id_, pair
    if used * 4 > n and n * states**2 <= 2**26:
        return Transition("each", parents, Pick.of(values // k, m), values % k), id_, pair
    by_action, place = torch.sort(values % k * m + values // k)
    actions = by_action // m
    names, counts = torch.unique_consecutive(actions, return_counts=True)
    ends = counts.cumsum(0).tolist()
    groups = tuple(zip(names.tolist(), [0, *ends[:-1]], ends, strict=True))
    new = torch.empty_like(place)
    new[place] = torch.arange(n)
    return Transition("grouped", parents, Pick.of(by_action % m, m), actions, groups), new[id_], pair


def _blocks(
    order: list[int], ids: list[Tensor], ns: list[int], zero: Tensor
) -> tuple[tuple[Block, ...], Tensor, int]:
    """Blocks whose nodes combine freely (so a grid wastes at most half), and each policy's place in that
    grid."""
    parts: list[list[int]] = []
    for f in order:
        parts.append([f])
        while len(parts) > 1:
            before = [g for part in parts[:-1] for g in part]
            n_before, n_last, n_all = (
                distinct([ids[g] for g in fs], [ns[g] for g in fs], zero)[1]
                for fs in (before, parts[-1], before + parts[-1])
            )
            if 2 * n_all >= n_before * n_last:
                break
            last = parts.pop()
            parts[-1] += last
    blocks, key, size = [], zero, 1
    for part in parts:
        joint, n = distinct([ids[g] for g in part], [ns[g] for g in part], zero)
        some = _representative(joint, n)
        blocks.append(Block(tuple(part), tuple(Pick.of(ids[g][some], ns[g]) for g in part)))
        key, size = key * n + joint, size * n
    return tuple(blocks), key, size


def _ravel(indices: Sequence[Tensor], sizes: Sequence[int], zero: Tensor) -> Tensor:
    flat = zero
    for index, size in zip(indices, sizes, strict=True):
        flat = flat * size + index
    return flat


def _representative(ids: Tensor, n: int) -> Tensor:
    """Some policy for each id."""
    some = torch.empty(n, dtype=torch.long)
    some[ids] = torch.arange(len(ids))
    return some
