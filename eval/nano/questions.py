"""SceneVQA's questions: eight kinds, each with an even answer prior."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from arr_coc.eval.nano.scene import CELLS, CHARACTERS, COLORS, PLACES, SHAPES, SIZES, Thing

DIRECTIONS = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
"""Step to the neighbouring cell: columns, rows."""
YES_NO = ("yes", "no")
COUNTS = tuple(str(n) for n in range(2, 10))


@dataclass(frozen=True)
class Question:
    """A question about a scene, with its only right answer."""

    kind: str
    text: str
    answer: str
    evidence: tuple[int, ...]
    """Indices of the things one has to look at."""


Things = list[Thing]
Ask = Callable[[Things, str, np.random.Generator], Question | None]


def _name(thing: Thing) -> str:
    return f"{thing.color} {thing.shape}"


def _unique(things: Things) -> list[int]:
    """Things that their colour and shape describe uniquely."""
    counts = Counter(map(_name, things))
    return [i for i, thing in enumerate(things) if counts[_name(thing)] == 1]


def _pick(rng: np.random.Generator, options: list[int]) -> int | None:
    return options[rng.integers(len(options))] if options else None


def _exists(things: Things, answer: str, rng: np.random.Generator) -> Question | None:
    present = {_name(thing) for thing in things}
    if answer == "yes":
        name = _name(things[rng.integers(len(things))])
    else:
        # The hard way to be absent: its colour and its shape are there, on different things.
        near = [f"{a.color} {b.shape}" for a in things for b in things]
        near = [name for name in near if name not in present]
        if near and rng.random() < 0.7:
            name = near[rng.integers(len(near))]
        else:
            name = f"{rng.choice(list(COLORS))} {rng.choice(SHAPES)}"
            if name in present:
                return None
    color, shape = name.split()
    evidence = tuple(i for i, t in enumerate(things) if t.color == color and t.shape == shape)
    return Question("existence", f"is there a {name} ?", answer, evidence)


def _attribute(things: Things, answer: str, rng: np.random.Generator) -> Question | None:
    if answer in SIZES:
        i = _pick(rng, [i for i in _unique(things) if things[i].size == answer])
        return (
            None
            if i is None
            else Question("attribute", f"what size is the {_name(things[i])} ?", answer, (i,))
        )
    asked, given = ("color", "shape") if answer in COLORS else ("shape", "color")
    counts = Counter(getattr(thing, given) for thing in things)
    fits = [i for i, t in enumerate(things) if getattr(t, asked) == answer and counts[getattr(t, given)] == 1]
    i = _pick(rng, fits)
    if i is None:
        return None
    described = things[i].shape if given == "shape" else f"{things[i].color} object"
    return Question("attribute", f"what {asked} is the {described} ?", answer, (i,))


def _read(things: Things, answer: str, rng: np.random.Generator) -> Question | None:
    i = _pick(rng, [i for i in _unique(things) if things[i].character == answer])
    return (
        None if i is None else Question("read", f"what is written on the {_name(things[i])} ?", answer, (i,))
    )


def _column_row(thing: Thing) -> tuple[int, int]:
    return thing.cell % CELLS, thing.cell // CELLS


def _relation(things: Things, answer: str, rng: np.random.Generator) -> Question | None:
    unique = _unique(things)
    if len(unique) < 2:
        return None
    i, j = rng.permutation(unique)[:2].tolist()
    direction = str(rng.choice(list(DIRECTIONS)))
    axis = 0 if direction in ("left of", "right of") else 1
    gap = (_column_row(things[i])[axis] - _column_row(things[j])[axis]) * DIRECTIONS[direction][axis]
    if gap == 0:  # in line: neither yes nor no would be fair
        return None
    if (gap > 0) != (answer == "yes"):
        i, j = j, i
    return Question(
        "relation", f"is the {_name(things[i])} {direction} the {_name(things[j])} ?", answer, (i, j)
    )


def _compare(things: Things, answer: str, rng: np.random.Generator) -> Question | None:
    unique = _unique(things)
    if len(unique) < 2:
        return None
    i, j = rng.permutation(unique)[:2].tolist()
    order = list(SIZES)
    gap = order.index(things[i].size) - order.index(things[j].size)
    word, sign = (("bigger", 1), ("smaller", -1))[rng.integers(2)]
    if gap == 0:
        return None
    if (gap * sign > 0) != (answer == "yes"):
        i, j = j, i
    return Question(
        "comparison", f"is the {_name(things[i])} {word} than the {_name(things[j])} ?", answer, (i, j)
    )


def _count(things: Things, answer: str, rng: np.random.Generator) -> Question | None:
    groups: dict[str, list[int]] = {"objects": list(range(len(things)))}
    for i, thing in enumerate(things):
        groups.setdefault(f"{thing.color} objects", []).append(i)
        groups.setdefault(f"{thing.shape} objects", []).append(i)
    fits = [name for name, members in groups.items() if len(members) == int(answer)]
    if not fits:
        return None
    name = fits[rng.integers(len(fits))]
    return Question("count", f"how many {name} are there ?", answer, tuple(groups[name]))


def _asked(answer: str) -> str:
    return "color" if answer in COLORS else "shape"


def _place(things: Things, answer: str, rng: np.random.Generator) -> Question | None:
    asked = _asked(answer)
    i = _pick(rng, [i for i, thing in enumerate(things) if getattr(thing, asked) == answer])
    return (
        None
        if i is None
        else Question("place", f"what {asked} is at {PLACES[things[i].cell]} ?", answer, (i,))
    )


def _neighbor(things: Things, answer: str, rng: np.random.Generator) -> Question | None:
    asked = _asked(answer)
    at = {thing.cell: i for i, thing in enumerate(things)}
    fits = []
    for i in _unique(things):
        column, row = _column_row(things[i])
        for direction, (right, down) in DIRECTIONS.items():
            if 0 <= column + right < CELLS and 0 <= row + down < CELLS:
                j = at.get((row + down) * CELLS + column + right)
                if j is not None and getattr(things[j], asked) == answer:
                    fits.append((i, direction, j))
    if not fits:
        return None
    i, direction, j = fits[rng.integers(len(fits))]
    return Question("neighbor", f"what {asked} is {direction} the {_name(things[i])} ?", answer, (i, j))


KINDS: dict[str, tuple[Ask, tuple[tuple[str, ...], ...]]] = {
    "existence": (_exists, (YES_NO,)),
    "attribute": (_attribute, (tuple(COLORS), SHAPES, tuple(SIZES))),
    "read": (_read, (CHARACTERS,)),
    "relation": (_relation, (YES_NO,)),
    "comparison": (_compare, (YES_NO,)),
    "count": (_count, (COUNTS,)),
    "place": (_place, (tuple(COLORS), SHAPES)),
    "neighbor": (_neighbor, (tuple(COLORS), SHAPES)),
}
"""Kind of question -> how to ask it for a wanted answer, and the sets of answers it may have: one set is
drawn evenly, then one answer of it, then scenes until one allows that answer."""


def chance(kind: str) -> float:
    """Accuracy of the best guess that knows the question but not the picture."""
    sets = KINDS[kind][1]
    return sum(1 / len(answers) for answers in sets) / len(sets)


def wish(rng: np.random.Generator, kind: str | None = None) -> tuple[str, str]:
    """Draw a kind (unless given) and an answer, evenly."""
    kind = kind or str(rng.choice(list(KINDS)))
    sets = KINDS[kind][1]
    answers = sets[rng.integers(len(sets))]
    return kind, str(answers[rng.integers(len(answers))])


def ask(things: Things, kind: str, answer: str, rng: np.random.Generator) -> Question | None:
    """A question of that kind with that answer about the scene, or None if the scene has none."""
    return KINDS[kind][0](things, answer, rng)
