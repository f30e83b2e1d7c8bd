"""What an observation says of the hidden states: ln P(o | s) as a few tensors over factors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.maths import log_stable
from arr_coc.agent.model import GenerativeModel

Observation: TypeAlias = Int[Tensor, "batch *time"] | Float[Tensor, "batch *time _"] | None
"""Of one modality: the outcome's index (-1: not observed), a weight for each, or None: not observed."""

Soft = Literal["expected_log", "likelihood"]
"""What weights w mean. expected_log: a belief about the outcome, sum_o w_o ln P(o|s). likelihood: how likely
what was sensed is given each outcome, ln sum_o w_o P(o|s). All zero: not observed."""


@dataclass(frozen=True)
class Term:
    """A summand of ln P(o | s)."""

    factors: tuple[int, ...]
    """What it depends on, ascending."""
    log: Float[Tensor, "batch ..."]
    """(batch, *time, *states of `factors`), in nats."""


def log_likelihood(
    model: GenerativeModel, obs: Sequence[Observation], soft: Soft = "expected_log"
) -> list[Term]:
    """ln P(o | s) as a sum of terms, none of which depends on factors that all belong to another.

    Modalities that were not observed are left out.
    """
    if len(obs) != model.n_modalities:
        raise ValueError(
            f"obs must have {model.n_modalities} modalities, got {len(obs)}; None is not observed"
        )
    terms: dict[tuple[int, ...], Tensor] = {}
    for m, (o, factors) in enumerate(zip(obs, model.A_factors, strict=True)):
        if o is None:
            continue
        log = _of_modality(model, m, o, soft)
        if not factors:
            # The same whatever the state, but it counts in the free energy.
            log, factors = log[..., None].expand(*log.shape, model.n_states[0]), (0,)
        order = tuple(sorted(factors))
        if order != factors:
            lead = log.ndim - len(factors)
            log = log.permute(*range(lead), *(lead + factors.index(f) for f in order))
        terms[order] = terms[order] + log if order in terms else log
    return _merged(terms, model)


def joint_log(terms: Sequence[Term], group: Sequence[int]) -> Float[Tensor, "batch ..."] | None:
    """The sum of those terms that depend on factors of the group: (batch, *time, *states of the group).

    An axis is one long where no term depends on its factor; None where no term depends on the group.
    """
    total: Tensor | None = None
    for term in terms:
        if term.factors[0] in group:
            lead = term.log.ndim - len(term.factors)
            sizes = iter(term.log.shape[lead:])
            shape = [next(sizes) if f in term.factors else 1 for f in group]
            log = term.log.reshape(*term.log.shape[:lead], *shape)
            total = log if total is None else total + log
    return total


def check_observations(model: GenerativeModel, obs: Sequence[Observation]) -> None:
    """Raise ValueError for observations that are none of this model's.

    Reads their values, for which a GPU is waited for: meant for where they come in.
    """
    if len(obs) != model.n_modalities:
        raise ValueError(
            f"obs must have {model.n_modalities} modalities, got {len(obs)}; None is not observed"
        )
    for m, (o, size) in enumerate(zip(obs, model.n_obs, strict=True)):
        if o is None:
            continue
        if o.is_floating_point():
            if o.shape[-1] != size:
                raise ValueError(f"obs[{m}] must have {size} weights on its last axis, got {o.shape[-1]}")
            if not bool((o >= 0).all()):
                raise ValueError(f"obs[{m}] must have weights of at least 0, got {o.min().item()}")
        elif o.dtype not in (torch.int32, torch.int64):
            # Bytes and booleans would be taken as a mask.
            raise ValueError(f"obs[{m}] must be int32, int64 or floating point, got {o.dtype}")
        elif o.numel() and not bool(((o >= -1) & (o < size)).all()):
            raise ValueError(
                f"obs[{m}] must be in 0..{size - 1}, or -1 where not observed, "
                f"got {o.min().item()}..{o.max().item()}"
            )


def padded_logs(model: GenerativeModel, modality: int) -> Float[Tensor, "*axes"]:
    """ln A of one modality after a row of zeros: outcome o is row o + 1, so that -1 is no evidence."""
    a = model.A[modality]
    axis = 0 if model.batch is None else 1
    return model.keep(f"log_A{modality}", (a,), lambda: _with_row(log_stable(a), axis, 0.0))


def _of_modality(model: GenerativeModel, m: int, o: Tensor, soft: Soft) -> Tensor:
    if not o.is_floating_point():
        logs = padded_logs(model, m)
        if model.batch is None:
            # Several times as fast as indexing with brackets.
            return logs.index_select(0, o.flatten() + 1).view(*o.shape, *logs.shape[1:])
        return logs[torch.arange(len(o), device=o.device).view(-1, *[1] * (o.ndim - 1)), o + 1]
    a = model.A[m] if soft == "likelihood" else log_stable(model.A[m])
    states = a.shape[1:] if model.batch is None else a.shape[2:]
    if model.batch is None:
        mixed = o @ a.flatten(1)
    else:
        mixed = (o.flatten(1, -2) if o.ndim > 2 else o[:, None]) @ a.flatten(2)
    mixed = mixed.view(*o.shape[:-1], *states)
    if soft == "expected_log":
        return mixed
    seen = (o.sum(-1) > 0).view(*o.shape[:-1], *[1] * len(states))
    return log_stable(mixed) * seen


def _with_row(x: Tensor, axis: int, value: float) -> Tensor:
    shape = list(x.shape)
    shape[axis] = 1
    return torch.cat([x.new_full(shape, value), x], dim=axis)


def _merged(terms: dict[tuple[int, ...], Tensor], model: GenerativeModel) -> list[Term]:
    """Add a term into one that depends on its factors and more: fewer tensors to contract."""
    merged: list[Term] = []
    for factors, log in sorted(terms.items(), key=lambda item: -len(item[0])):
        for i, larger in enumerate(merged):
            if set(factors) <= set(larger.factors):
                lead = log.shape[: log.ndim - len(factors)]
                shape = [model.n_states[f] if f in factors else 1 for f in larger.factors]
                merged[i] = Term(larger.factors, larger.log + log.reshape(*lead, *shape))
                break
        else:
            merged.append(Term(factors, log))
    return merged
