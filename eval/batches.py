"""Which items are asked together: those of like length, so that little is padded; always the same ones."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from arr_coc.eval.tasks import Item

WINDOW = 4
"""Batches among which items are sorted: more pictures than that are not held in memory."""


def batches(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """The items in batches of `size`. They depend on items and size only: a resumed run asks alike."""
    told_apart = _told_apart(items)
    while window := list(islice(told_apart, WINDOW * size)):
        window.sort(key=_length)
        yield from (window[start : start + size] for start in range(0, len(window), size))


def sizes(n_items: int, size: int) -> Iterator[int]:
    """How many items each batch has, without looking at one."""
    return (min(size, n_items - start) for start in range(0, n_items, size))


def _told_apart(items: Iterator[Item]) -> Iterator[Item]:
    """A second item of the same name gets another one, and is not asked: nobody knows which is meant."""
    seen: dict[str, int] = {}
    for item in items:
        seen[item.id] = times = seen.get(item.id, 0) + 1
        if times > 1:
            item = replace(
                item, id=f"{item.id}#{times}", fault=item.fault or f"the id {item.id!r} is used twice"
            )
        yield item


def _length(item: Item) -> tuple[int, int, int]:
    """Stands in for the number of tokens, which differs from model to model."""
    return len(item.pictures), sum(shown.width * shown.height for shown in item.pictures), len(item.question)
