"""Models that the guide's formulas are tried on, and the right answers by enumeration."""

import math
from itertools import product

import torch
from torch import Tensor

from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.planning import infer_policies

double = torch.double


def draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def table(*shape: int, seed: int, sharp: float = 1.0) -> Tensor:
    """A random conditional distribution over the first axis."""
    return torch.softmax(sharp * torch.randn(shape, generator=draw(seed), dtype=double), dim=0)


def believes(
    A: Tensor | list[Tensor], D: list[Tensor], C: list[Tensor] | None = None, **other: object
) -> GenerativeModel:
    """A model whose states stay as they are."""
    tensors = [A] if isinstance(A, Tensor) else A
    return GenerativeModel(
        A=tuple(tensors),
        B=tuple(torch.eye(len(d), dtype=double) for d in D),
        C=tuple(C or [torch.zeros(len(a), dtype=double) for a in tensors]),
        D=tuple(D),
        B_controls=((),) * len(D),
        **other,
    )


def seen(*outcomes: int) -> tuple[Tensor, ...]:
    return tuple(torch.tensor([o]) for o in outcomes)


def bayes_by_enumeration(A: Tensor, o: int, *D: Tensor) -> list[Tensor]:
    """Exact marginals of every factor, for one observation of one modality."""
    joint = A[o]
    for f, d in enumerate(D):
        joint = joint * d.reshape([-1 if g == f else 1 for g in range(len(D))])
    joint = joint / joint.sum()
    others = [[g for g in range(len(D)) if g != f] for f in range(len(D))]
    return [joint.sum(o) if o else joint for o in others]  # a sum over no axis would be over all


def outcomes_by_action(*columns: list[float]) -> Tensor:
    """P(o | s) where action k leads to state k for sure."""
    return torch.tensor(columns, dtype=double).T


def choosing(A: Tensor | list[Tensor], C: list[Tensor], **other: object) -> GenerativeModel:
    """A model in which action k leads to state k."""
    tensors = [A] if isinstance(A, Tensor) else A
    n = tensors[0].shape[1]
    go = torch.eye(n, dtype=double)[:, None, :].repeat(1, n, 1)
    return GenerativeModel(A=tensors, B=go, C=C, D=torch.full((n,), 1 / n, dtype=double), **other)


def blurred(A: Tensor | list[Tensor], C: list[Tensor], seed: int, actions: int = 3) -> GenerativeModel:
    """A model in which actions lead to uncertain states."""
    tensors = [A] if isinstance(A, Tensor) else A
    n = tensors[0].shape[1]
    return GenerativeModel(A=tensors, B=table(n, n, actions, seed=seed), C=C, D=table(n, seed=seed + 1))


def entropy(p: Tensor) -> Tensor:
    return -torch.special.xlogy(p, p).sum()


def parts(A: Tensor, C: Tensor, q: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Risk, ambiguity, information gain and H[Q(o)] of one modality."""
    qo = A @ q
    risk = (torch.special.xlogy(qo, qo) - qo * torch.log_softmax(C, 0)).sum()
    ambiguity = (q * torch.stack([entropy(column) for column in A.T])).sum()
    return risk, ambiguity, entropy(qo) - ambiguity, entropy(qo)


def by_definition(A: list[Tensor], C: list[Tensor], q: Tensor) -> Tensor:
    """E_Q(o,s) [ln q(s) - ln q(s|o) - ln P~(o)], outcome by outcome."""
    G = torch.zeros((), dtype=double)
    for o in product(*(range(len(a)) for a in A)):
        joint = math.prod((a[i] for a, i in zip(A, o, strict=True)), start=q)
        preferred = sum(torch.log_softmax(c, 0)[i] for c, i in zip(C, o, strict=True))
        G = G + (joint * (q.log() - (joint / joint.sum()).log() - preferred)).sum()
    return G


def ours(model: GenerativeModel, horizon: int = 1) -> Tensor:
    return infer_policies(model, tuple(d[None] for d in model.D), policies=horizon).G[0]


def predicted(model: GenerativeModel, action: int) -> Tensor:
    return model.B[0][:, :, action] @ model.D[0]
