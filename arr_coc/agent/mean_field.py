"""Mean-field inference: coordinate ascent, one factor at a time, so that F never rises.

The update of factor f is q_f = softmax(ln p_f + E_q(others) ln P(o | s)). Done for all factors at once, from
the old beliefs (as pymdp does), it may oscillate; done in turn, each from the newest beliefs, it cannot.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.evidence import Term
from arr_coc.agent.maths import Beliefs, kl_divergence, log_stable, product


def ascend(
    terms: Sequence[Term], prior: Beliefs, qs: Beliefs, iterations: int = 16, tolerance: float = 1e-6
) -> Beliefs:
    """Sweep over the factors from `qs` until a row's F falls by less than `tolerance`, or `iterations` times.

    A row that has arrived is left alone: it ends where it would have ended by itself.
    """
    alone = len(qs) == 1 or all(len(t.factors) == 1 for t in terms)
    log_prior = [log_stable(p) for p in prior]
    before: Tensor | None = None
    moving: Tensor | None = None
    for _ in range(min(iterations, 1) if alone else iterations):
        new, averaged = _sweep(terms, log_prior, qs)
        if moving is None:
            qs = new
        else:
            qs = tuple(torch.where(moving[:, None], n, q) for n, q in zip(new, qs, strict=True))
        if alone or tolerance <= 0:
            continue
        complexity, accuracy = complexity_and_accuracy(averaged, new, prior)
        F = complexity - accuracy
        if before is not None:
            arrived = before - F < tolerance
            moving = ~arrived if moving is None else moving & ~arrived
            # The one wait for the device: whether any row still moves.
            if not bool(moving.any()):
                break
        before = F
    return qs


def sweep(terms: Sequence[Term], log_prior: Sequence[Tensor], qs: Beliefs) -> Beliefs:
    """Update every factor once, in order, each from the newest beliefs about the others.

    By halves: the second half of the factors is averaged out once for all of the first, and the other way
    round, which reads the evidence twice a sweep however many factors there are.
    """
    return _sweep(terms, log_prior, qs)[0]


def complexity_and_accuracy(
    terms: Sequence[Term], qs: Beliefs, prior: Beliefs
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """KL of independent beliefs from the prior, and the expectation of the terms; their difference is F."""
    complexity = torch.stack([kl_divergence(q, p) for q, p in zip(qs, prior, strict=True)]).sum(0)
    accuracy = torch.zeros_like(complexity)
    for term in terms:
        accuracy = accuracy + (term.log.flatten(1) * product([qs[f] for f in term.factors])).sum(1)
    return complexity, accuracy


def _sweep(terms: Sequence[Term], log_prior: Sequence[Tensor], qs: Beliefs) -> tuple[Beliefs, list[Term]]:
    """The beliefs after a sweep, and smaller terms with the same expectation under them."""
    new, n = list(qs), len(qs)
    if n == 1:
        _update(terms, log_prior, new, 0, 1)
        return tuple(new), list(terms)
    _update(_averaged(terms, new, n // 2, n), log_prior, new, 0, n // 2)
    averaged = _averaged(terms, new, 0, n // 2)
    _update(averaged, log_prior, new, n // 2, n)
    return tuple(new), averaged + [t for t in terms if t.factors[-1] < n // 2]


def _update(
    terms: Sequence[Term], log_prior: Sequence[Tensor], qs: list[Tensor], first: int, end: int
) -> None:
    """Update the factors first..end-1 in place, under terms that depend on no others."""
    if end - first == 1:
        message = log_prior[first]
        for term in terms:
            message = message + term.log
        qs[first] = message.softmax(-1)
        return
    middle = (first + end) // 2
    _update(_averaged(terms, qs, middle, end), log_prior, qs, first, middle)
    _update(_averaged(terms, qs, first, middle), log_prior, qs, middle, end)


def _averaged(terms: Sequence[Term], qs: Sequence[Tensor], first: int, end: int) -> list[Term]:
    """The terms with the factors first..end-1 averaged out; without those that depend on nothing else."""
    out = []
    for term in terms:
        gone = [f for f in term.factors if first <= f < end]
        left = tuple(f for f in term.factors if f not in gone)
        if not left:
            continue
        if not gone:
            out.append(term)
            continue
        weights = product([qs[f] for f in gone])
        shape = [qs[f].shape[1] for f in left]
        # Factors are ascending, so those averaged out are all before or all after the others.
        if gone[0] > left[0]:
            # Written as a row times a matrix: several times as fast as the matrix times a column.
            log = torch.bmm(weights[:, None], term.log.reshape(len(weights), -1, weights.shape[1]).mT)
        else:
            log = torch.bmm(weights[:, None], term.log.reshape(len(weights), weights.shape[1], -1))
        out.append(Term(left, log.view(-1, *shape)))
    return out
