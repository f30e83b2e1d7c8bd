"""Made-up pictures, and what the laws do to them: alone, among strangers, permuted, padded."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from arr_coc.tower import Taps
from arr_coc.types import Pictures


def pictures(counts: list[int], dim: int = 12, words: int = 5, seed: int = 0) -> Pictures:
    """Pictures of correlated random tokens with a shared part, one a row, each with a question of its own."""
    draw = torch.Generator().manual_seed(seed)
    width, n = max(counts), len(counts)
    count = torch.tensor(counts)
    valid = torch.arange(width) < count[:, None]
    basis = torch.randn(n, 6, dim, generator=draw)
    tokens = torch.randn(n, width, 6, generator=draw) @ basis + 0.3 * torch.randn(
        n, width, dim, generator=draw
    )
    tokens = tokens + 2 * torch.randn(n, 1, dim, generator=draw)
    asked = torch.arange(words) < torch.randint(1, words + 1, (n, 1), generator=draw)
    query = torch.randn(n, words, dim, generator=draw).masked_fill(~asked[..., None], torch.nan)
    grid = torch.tensor([[1, *_sides(c)] for c in counts])
    index = torch.arange(width).expand(n, width)
    row = torch.arange(n)
    places = tokens * valid[..., None], valid, query, asked, grid, row, torch.zeros_like(row), index
    look = torch.randn(n, width, 1, generator=draw).masked_fill(~valid[..., None], -torch.inf).softmax(1)
    keys = torch.randn(n, width, 2, dim // 2, generator=draw) * valid[..., None, None]
    features = torch.randn(n, width, dim, generator=draw) * valid[..., None]
    received, middle = torch.rand(2, n, width, generator=draw) * valid
    paid = torch.rand(n, words, width, generator=draw) * (asked[..., None] & valid[:, None])
    clip = (2 * torch.rand(n, width, generator=draw) - 1) * valid
    return Pictures(*places, Taps(look[..., 0], keys, features, received, middle, clip), 0.02 * paid)


def picture_of(
    tokens: list[list[float]],
    words: list[list[float]] | None = None,
    grid: tuple[int, int] = (0, 0),
    paid: list[list[float]] | None = None,
    **said: list[Any],
) -> Pictures:
    """One picture with these tokens, this question, what its words attend to, and what the tower said."""
    n = len(tokens)
    query = torch.tensor([words]) if words else torch.zeros(1, 0, len(tokens[0]))
    return Pictures(
        tokens=torch.tensor([tokens]),
        valid=torch.ones(1, n, dtype=torch.bool),
        query=query,
        asked=torch.ones(query.shape[:2], dtype=torch.bool),
        grid=torch.tensor([[1, *grid]]),
        row=torch.zeros(1, dtype=torch.long),
        nth=torch.zeros(1, dtype=torch.long),
        index=torch.arange(n)[None],
        taps=Taps(**{name: torch.tensor([each]) for name, each in said.items()}),
        attention=None if paid is None else torch.tensor([paid]),
    )


def _changed(taps: Taps | None, change: Callable[[Tensor], Tensor]) -> Taps:
    """The same of each tap, given with the width of all its axes but the first two."""
    assert taps is not None
    changed = {}
    for name, said in ((name, said) for name, said in vars(taps).items() if said is not None):
        changed[name] = change(said.flatten(2) if said.ndim > 2 else said[..., None])
        changed[name] = changed[name].view(*changed[name].shape[:2], *said.shape[2:])
    return Taps(**changed)


def _sides(count: int) -> tuple[int, int]:
    high = max(d for d in range(1, int(count**0.5) + 1) if count % d == 0)
    return (high, count // high) if high > 1 else (0, 0)  # a prime number of tokens: unknown grid


def alone(these: Pictures, i: int) -> Pictures:
    """One of the pictures, without the others and without padding."""
    n, w = int(these.count[i]), int(these.asked[i].sum())
    tensors = {name: value[i : i + 1] for name, value in vars(these).items() if isinstance(value, Tensor)}
    one = Pictures(**tensors, taps=_changed(these.taps, lambda said: said[i : i + 1, :n]))
    return replace(
        one, tokens=one.tokens[:, :n], valid=one.valid[:, :n], index=one.index[:, :n],
        query=one.query[:, :w], asked=one.asked[:, :w],
        attention=None if one.attention is None else one.attention[:, :w, :n],
    )  # fmt: skip


def padded(these: Pictures, extra: int) -> Pictures:
    """The same pictures in a wider frame."""
    pad = torch.nn.functional.pad
    return replace(
        these,
        tokens=pad(these.tokens, (0, 0, 0, extra)),
        valid=pad(these.valid, (0, extra)),
        index=pad(these.index, (0, extra)),
        query=pad(these.query, (0, 0, 0, extra), value=torch.nan),
        asked=pad(these.asked, (0, extra)),
        taps=_changed(these.taps, lambda said: pad(said, (0, 0, 0, extra))),
        attention=None if these.attention is None else pad(these.attention, (0, extra, 0, extra)),
    )


def permuted(these: Pictures, order: Tensor) -> Pictures:
    """The tokens of every picture in another order; `order` must leave padding where it is."""
    return replace(
        these,
        tokens=these.tokens.gather(1, order[..., None].expand_as(these.tokens)),
        valid=these.valid.gather(1, order),
        taps=_changed(these.taps, lambda said: said.gather(1, order[..., None].expand_as(said))),
        attention=None
        if these.attention is None
        else these.attention.gather(2, order[:, None].expand_as(these.attention)),
    )


def shuffle(these: Pictures, seed: int) -> Tensor:
    """A random order of every picture's tokens, padding last."""
    luck = torch.rand(these.valid.shape, generator=torch.Generator().manual_seed(seed))
    return luck.masked_fill(~these.valid, 2.0).argsort(dim=1, stable=True)
