"""Intersection over union of two boxes, and boxes read from an answer."""

import re

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_FLAT = re.compile(r"[\[(]" + ",".join([_NUMBER] * 4) + r"[\])]")
_PAIRS = re.compile(r"\(" + _NUMBER + "," + _NUMBER + r"\)\s*,?\s*\(" + _NUMBER + "," + _NUMBER + r"\)")


def area(box: Box) -> float:
    """0 for a box that is turned inside out."""
    left, top, right, bottom = box
    return max(0.0, right - left) * max(0.0, bottom - top)


def iou(one: Box, other: Box) -> float:
    """Shared area over covered area, in [0, 1]; 0 if nothing is covered."""
    pairs = list(zip(one, other, strict=True))
    shared = area((max(pairs[0]), max(pairs[1]), min(pairs[2]), min(pairs[3])))
    covered = area(one) + area(other) - shared
    return shared / covered if covered > 0 else 0.0


def box_in(answer: str) -> Box | None:
    """The first four numbers in brackets, or two corners in brackets; None if there are none."""
    found = _FLAT.search(answer) or _PAIRS.search(answer)
    if found is None:
        return None
    left, top, right, bottom = map(float, found.groups())
    return left, top, right, bottom
