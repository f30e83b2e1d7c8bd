"""CHAIR: objects that a caption names and the picture does not have."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OBJECTS = Path(__file__).parent / "coco_objects.txt"
"""The 80 objects of COCO, one a line, each followed by other words for it; written by this project."""
NOT_THE_OBJECT = {
    "toilet seat": "toilet",
    "stuffed bear": "teddy bear",
    "fire truck": "truck",
    "home plate": "",
    "train track": "",
    "bus stop": "",
    "orange juice": "",
}
"""Pairs of words that mean another object than one of the words does, or none."""


@dataclass(frozen=True)
class Named:
    """What a caption names."""

    mentions: tuple[str, ...]
    """Every mention, in order, as the name of the object."""
    wrong: tuple[str, ...]
    """Those of them that the picture does not have."""


@cache
def words_of(path: Path = OBJECTS) -> dict[str, str]:
    """Word to object, from a file with a line for each: `dog, puppy, poodle`.

    Raises ValueError for a file that is no such list.
    """
    table: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        names = [name.strip().lower() for name in line.split(",") if name.strip()]
        for name in names:
            table.setdefault(name, names[0])
    if not table:
        raise ValueError(f"{path} names no object: write one a line, followed by other words for it")
    return table


def mentions(text: str, table: dict[str, str]) -> list[str]:
    """Objects that a text names, in order, once for each time. Longest names first; plurals count."""
    words = [singular(word) for word in re.findall(r"[a-z]+", text.lower())]
    known = {" ".join(map(singular, name.split())): thing for name, thing in (table | NOT_THE_OBJECT).items()}
    longest = max(len(name.split()) for name in known)
    found, here = [], 0
    while here < len(words):
        for length in range(longest, 0, -1):
            thing = known.get(" ".join(words[here : here + length]))
            if thing is not None:
                found.append(thing)
                break
        here += length
    return [thing for thing in found if thing]


def singular(word: str) -> str:
    """A plain English singular: enough for the names of objects."""
    if irregular := IRREGULAR.get(word):
        return irregular
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if re.search(r"(s|x|z|ch|sh)es$", word) and word[:-2] not in ("hors", "vas", "hous", "mous"):
        return word[:-2]
    return word[:-1] if re.search(r"[^su]s$", word) else word


IRREGULAR = {
    "people": "person", "persons": "person", "men": "man", "women": "woman", "children": "child",
    "knives": "knife", "mice": "mouse", "geese": "goose", "sheep": "sheep", "scissors": "scissors",
    "skis": "ski", "buses": "bus", "horses": "horse", "vases": "vase", "glasses": "glass",
}  # fmt: skip


def named(caption: str, present: Sequence[str], table: dict[str, str]) -> Named:
    """Mentions of a caption, checked against the objects that the picture has."""
    said = mentions(caption, table)
    return Named(tuple(said), tuple(thing for thing in said if thing not in set(present)))


def rates(captions: Sequence[Named], present: Sequence[Sequence[str]]) -> dict[str, float]:
    """`chair_i`: share of mentions that are wrong; `chair_s`: share of captions with one (lower is better);
    `recall`: share of the pictures' objects that are named. https://arxiv.org/abs/1809.02156
    """
    said = sum(len(one.mentions) for one in captions)
    there = sum(len(set(objects)) for objects in present)
    hit = sum(len(set(one.mentions) & set(objects)) for one, objects in zip(captions, present, strict=True))
    return {
        "chair_i": sum(len(one.wrong) for one in captions) / said if said else 0.0,
        "chair_s": sum(bool(one.wrong) for one in captions) / len(captions) if captions else 0.0,
        "recall": hit / there if there else 0.0,
    }
