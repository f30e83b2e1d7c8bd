"""Check a generative model where it comes in: which tensor, which axis, what was expected."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Indices = tuple[tuple[int, ...], ...]


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a generative model with defaults filled in and sequences made tuples.

    Raises ValueError, naming the tensor, where shapes, indices, types or sums do not fit.
    """
    A, B, C = (_tuple(given[name]) for name in "ABC")
    _check_tensors({"A": A, "B": B, "C": C})
    D = _uniform(B) if given["D"] is None else _tuple(given["D"])
    _check_tensors({"D": D})
    if len(D) != len(B):
        raise ValueError(f"D has {len(D)} factors and B has {len(B)}: they must be as many")
    if len(C) != len(A):
        raise ValueError(f"C has {len(C)} modalities and A has {len(A)}: they must be as many")
    if len({d.ndim for d in D}) != 1 or D[0].ndim not in (1, 2):
        raise ValueError(f"D must be (states,) or (batch, states) for every factor, got {_shapes(D)}")
    lead = D[0].shape[:-1]
    states = tuple(d.shape[-1] for d in D)
    own = tuple((f,) for f in range(len(D)))
    A_factors = _indices("A_factors", given["A_factors"], (tuple(range(len(D))),) * len(A), len(A), len(D))
    B_factors = _indices("B_factors", given["B_factors"], own, len(B), len(D))
    B_controls = _indices("B_controls", given["B_controls"], own, len(B), None)
    for f, d in enumerate(D):
        _check_lead(f"D[{f}]", d, lead, d.ndim)
        _check_columns(f"D[{f}]", d, len(lead))
    for m, (a, factors) in enumerate(zip(A, A_factors, strict=True)):
        _check_lead(f"A[{m}]", a, lead, len(lead) + 1 + len(factors))
        _check_axes(f"A[{m}]", a, len(lead) + 1, [(f"states of factor {f}", states[f]) for f in factors])
        _check_columns(f"A[{m}]", a, len(lead))
    for f, (b, parents, controls) in enumerate(zip(B, B_factors, B_controls, strict=True)):
        _check_lead(f"B[{f}]", b, lead, len(lead) + 1 + len(parents) + len(controls))
        wanted = [(f"next states of factor {f}", states[f])]
        _check_axes(
            f"B[{f}]", b, len(lead), wanted + [(f"previous states of factor {g}", states[g]) for g in parents]
        )
        _check_columns(f"B[{f}]", b, len(lead))
    _check_controls(B, B_controls)
    for m, c in enumerate(C):
        if c.ndim - len(lead) not in (1, 2) or c.shape[: len(lead)] != lead:
            raise ValueError(f"C[{m}] must be {_lead_names(lead)}(obs,) or (time, obs), got {tuple(c.shape)}")
        _check_axes(f"C[{m}]", c, c.ndim - 1, [(f"outcomes of modality {m}", A[m].shape[len(lead)])])
        if not bool(c.isfinite().all()):
            at = tuple((~c.isfinite()).nonzero()[0].tolist())
            raise ValueError(
                f"C[{m}] must be finite, got {c[at].item()} at {list(at)}: give -100 for what is never wanted"
            )
    fields: dict[str, Any] = {"A": A, "B": B, "C": C, "D": D}
    if given["E"] is not None:
        _check_tensors({"E": (given["E"],)})
        _check_lead("E", given["E"], lead, len(lead) + 1)
        _check_columns("E", given["E"], len(lead))
    for name in ("A", "B", "C", "D"):
        fields[f"p{name}"] = _checked_counts(f"p{name}", given[f"p{name}"], name, fields[name])
    if given["pE"] is not None:
        _checked_counts("pE", (given["pE"],), "E", (given["pE"] if given["E"] is None else given["E"],))
        _check_lead("pE", given["pE"], lead, len(lead) + 1)
    every = [t for value in fields.values() if value is not None for t in value]
    kinds = {(t.dtype, t.device) for t in [*every, *(given[e] for e in ("E", "pE") if given[e] is not None)]}
    if len(kinds) > 1:
        raise ValueError(f"all tensors of a model must share dtype and device, got {sorted(map(str, kinds))}")
    links = {"A_factors": A_factors, "B_factors": B_factors, "B_controls": B_controls}
    return fields | links | {"E": given["E"], "pE": given["pE"]}


def _tuple(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, Tensor) else tuple(value)


def _uniform(B: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(b.new_full((b.shape[0],), 1 / b.shape[0]) for b in B)


def _shapes(tensors: Sequence[Tensor]) -> list[tuple[int, ...]]:
    return [tuple(t.shape) for t in tensors]


def _lead_names(lead: Sequence[int]) -> str:
    return f"batch {lead[0]} and then " if lead else ""


def _check_tensors(named: Mapping[str, Sequence[Any]]) -> None:
    for name, values in named.items():
        if not values:
            raise ValueError(f"{name} is empty: give one tensor for each modality or factor")
        for i, value in enumerate(values):
            if not isinstance(value, Tensor) or not value.is_floating_point():
                kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
                raise ValueError(f"{name}[{i}] must be a floating point tensor, got {kind}")


def _indices(name: str, given: Any, default: Indices, count: int, below: int | None) -> Indices:
    indices = default if given is None else tuple(tuple(int(i) for i in one) for one in given)
    if len(indices) != count:
        raise ValueError(f"{name} must have {count} entries, one for each tensor, got {len(indices)}")
    for i, one in enumerate(indices):
        if len(set(one)) != len(one) or any(j < 0 or (below is not None and j >= below) for j in one):
            raise ValueError(f"{name}[{i}] must be distinct indices below {below or 'infinity'}, got {one}")
    return indices


def _check_lead(name: str, t: Tensor, lead: Sequence[int], ndim: int) -> None:
    if t.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got {t.ndim}: {tuple(t.shape)}")
    if t.shape[: len(lead)] != tuple(lead):
        raise ValueError(f"axis 0 of {name} must be the batch, {lead[0]} as in D, got {t.shape[0]}")


def _check_axes(name: str, t: Tensor, first: int, wanted: Sequence[tuple[str, int]]) -> None:
    for axis, (meaning, size) in enumerate(wanted, start=first):
        if t.shape[axis] != size:
            raise ValueError(f"axis {axis} of {name} ({meaning}) must be {size} long, got {t.shape[axis]}")


def _check_columns(name: str, t: Tensor, axis: int) -> None:
    """Distributions along `axis`. The tolerance is that of sums in the tensor's own precision."""
    if t.numel() == 0:
        raise ValueError(f"{name} must not be empty, got {tuple(t.shape)}")
    if not bool((t >= 0).all()):
        raise ValueError(f"{name} must hold probabilities, got {t.detach().min().item()}")
    sums = t.detach().double().sum(axis)
    wrong = (sums - 1).abs() > max(1e-5, 8 * torch.finfo(t.dtype).eps)
    if bool(wrong.any()):
        at = tuple(wrong.nonzero()[0].tolist())
        column = (*at[:axis], ":", *at[axis:])
        raise ValueError(
            f"{name} must sum to 1 along axis {axis}; {name}[{', '.join(map(str, column))}] sums to "
            f"{sums[at].item():.6g}. Divide by the sums, or give the counts as p{name[0]}"
        )


def _check_controls(B: Sequence[Tensor], B_controls: Indices) -> None:
    sizes: dict[int, tuple[int, str]] = {}
    for f, (b, controls) in enumerate(zip(B, B_controls, strict=True)):
        for axis, c in enumerate(controls, start=b.ndim - len(controls)):
            size, said = sizes.setdefault(c, (b.shape[axis], f"B[{f}]"))
            if size != b.shape[axis]:
                raise ValueError(
                    f"axis {axis} of B[{f}] (actions of control {c}) must be {size} long as in {said}, "
                    f"got {b.shape[axis]}"
                )
    if sorted(sizes) != list(range(len(sizes))):
        raise ValueError(f"B_controls must name the controls 0, 1, ... without a gap, got {sorted(sizes)}")


def _checked_counts(name: str, given: Any, of: str, means: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    if given is None:
        return None
    counts = _tuple(given)
    _check_tensors({name: counts})
    if _shapes(counts) != _shapes(means):
        raise ValueError(f"{name} must have the shapes of {of}, {_shapes(means)}, got {_shapes(counts)}")
    for i, count in enumerate(counts):
        if not bool((count >= 0).all()):
            raise ValueError(f"{name}[{i}] must hold counts, got {count.detach().min().item()}")
    return counts
