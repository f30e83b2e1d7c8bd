"""SceneVQA's pictures: things of several shapes, colours and sizes on a textured, cluttered ground."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIDE = 192
"""Pixels along a side of a picture."""
PATCH = 8
"""Pixels along a side of what becomes one visual token: 24 x 24 = 576 of them."""
CELLS = 6
"""A thing stands in one of 6 x 6 cells, named as on a chess board: column a-f, row 1-6 from the top."""

COLORS = {
    "red": (214, 40, 40),
    "green": (46, 164, 60),
    "blue": (48, 84, 226),
    "yellow": (240, 214, 44),
    "purple": (150, 62, 200),
    "orange": (244, 132, 26),
    "cyan": (64, 206, 218),
    "white": (242, 242, 242),
}
SHAPES = ("circle", "square", "triangle", "cross", "star", "ring")
SIZES = {"small": (12, 15), "medium": (18, 21), "large": (25, 29)}
"""Diameter in pixels: least and greatest."""
CHARACTERS = ("c", "e", "h", "k", "m", "t", "x", "2", "4", "5", "7", "9")
"""Drawn as capitals; medium and large things may carry one."""
PLACES = tuple(f"{column}{row}" for row in range(1, CELLS + 1) for column in "abcdef")
"""Names of the cells in reading order."""
GROUNDS = ((104, 104, 104), (112, 90, 66), (54, 60, 92), (84, 94, 58), (92, 64, 88), (62, 86, 90))

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Thing:
    """One thing of a scene, before it is drawn."""

    color: str
    shape: str
    size: str
    character: str
    """What is written on it, lower case; empty for nothing."""
    cell: int
    """Index into PLACES."""
    diameter: int
    """In pixels."""
    x: float
    """Centre in pixels from the left."""
    y: float
    """Centre in pixels from the top."""
    angle: float
    """Rotation in radians."""


def arrange(rng: np.random.Generator, n: int | None = None) -> list[Thing]:
    """Draw the things of one scene, `n` of them; often a colour or shape recurs.

    By default SceneVQA's pictures are nearly empty, middling or crowded.
    """
    if n is None:
        least, most = ((1, 3), (4, 8), (9, 16))[rng.choice(3, p=(0.25, 0.4, 0.35))]
        n = int(rng.integers(least, most + 1))
    colors = rng.choice(list(COLORS), n).tolist()
    shapes = rng.choice(SHAPES, n).tolist()
    if n > 1 and rng.random() < 0.6:
        repeated = colors if rng.random() < 0.6 else shapes
        times = int(rng.integers(2, min(n, 9) + 1))
        repeated[:times] = repeated[:1] * times
    things = []
    for color, shape, cell in zip(colors, shapes, rng.permutation(CELLS**2)[:n], strict=True):
        size = str(rng.choice(list(SIZES)))
        diameter = int(rng.integers(SIZES[size][0], SIZES[size][1] + 1))
        written = size != "small" and rng.random() < 0.5
        pitch = SIDE // CELLS
        row, column = divmod(int(cell), CELLS)
        slack = (pitch - diameter) / 2
        things.append(
            Thing(
                color=color,
                shape=shape,
                size=size,
                character=str(rng.choice(CHARACTERS)) if written else "",
                cell=int(cell),
                diameter=diameter,
                x=(column + 0.5) * pitch + rng.uniform(-slack, slack),
                y=(row + 0.5) * pitch + rng.uniform(-slack, slack),
                angle=rng.uniform(0, 2 * np.pi),
            )
        )
    return things


def outline(shape: str, angle: float) -> list[tuple[float, float]]:
    """Corners of a polygon of radius 1 around the origin."""
    if shape == "cross":
        arm = 0.36
        quarter = [(arm, 1.0), (arm, arm), (1.0, arm), (1.0, -arm)]
        corners = [
            (x * c - y * s, x * s + y * c) for c, s in ((1, 0), (0, -1), (-1, 0), (0, 1)) for x, y in quarter
        ]
        corners = [(x * 0.94, y * 0.94) for x, y in corners]
    else:
        n, inner = {"square": (4, 1.0), "triangle": (3, 1.0), "star": (10, 0.45)}[shape]
        turns = [2 * np.pi * i / n for i in range(n)]
        radius = [1.0 if i % 2 == 0 else inner for i in range(n)]
        corners = [(r * np.cos(t), r * np.sin(t)) for r, t in zip(radius, turns, strict=True)]
    c, s = np.cos(angle), np.sin(angle)
    return [(x * c - y * s, x * s + y * c) for x, y in corners]


def silhouette(thing: Thing) -> Pixels:
    """Coverage of the whole picture by the thing, 0 to 1."""
    zoom = 4
    # Only the thing's own cell is drawn finely; everything else is zero.
    pitch = SIDE // CELLS
    row, column = divmod(thing.cell, CELLS)
    fine = Image.new("L", (pitch * zoom, pitch * zoom), 0)
    pen = ImageDraw.Draw(fine)
    x, y = (thing.x - column * pitch) * zoom, (thing.y - row * pitch) * zoom
    radius = thing.diameter / 2 * zoom
    if thing.shape in ("circle", "ring"):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        if thing.shape == "ring":
            hole = radius * 0.55
            pen.ellipse((x - hole, y - hole, x + hole, y + hole), fill=0)
    else:
        pen.polygon(
            [(x + radius * u, y + radius * v) for u, v in outline(thing.shape, thing.angle)], fill=255
        )
    cover = np.zeros((SIDE, SIDE), np.float32)
    cover[row * pitch : (row + 1) * pitch, column * pitch : (column + 1) * pitch] = (
        np.asarray(fine.resize((pitch, pitch), Image.Resampling.BOX), np.float32) / 255
    )
    return cover


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def ground(rng: np.random.Generator, rows: int = SIDE, columns: int = SIDE) -> Pixels:
    """A muted ground with a slope of light, blotches, patches of texture, and coloured specks."""
    image = np.empty((rows, columns, 3), np.float32)
    image[:] = GROUNDS[rng.integers(len(GROUNDS))]
    blotches = Image.fromarray(rng.standard_normal((8, 8)).astype(np.float32)).resize(
        (columns, rows), Image.Resampling.BICUBIC
    )
    image += np.asarray(blotches)[..., None] * rng.uniform(0, 14)
    across, down = (np.linspace(-1, 1, n, dtype=np.float32) for n in (columns, rows))
    image += (across[None, :] * rng.uniform(-18, 18) + down[:, None] * rng.uniform(-18, 18))[..., None]
    for _ in range(rng.integers(0, 6)):
        width, height = rng.integers(20, 72, 2)
        x, y = rng.integers(0, columns - width), rng.integers(0, rows - height)
        v, u = np.mgrid[0:height, 0:width]
        step = int(rng.integers(2, 7))
        texture = (
            (v // step + u // step) % 2 * 2.0 - 1,
            u // step % 2 * 2.0 - 1,
            (v + u) // step % 2 * 2.0 - 1,
            rng.standard_normal((height, width)),
        )[rng.integers(4)]
        tint = rng.uniform(10, 30) * (1 + 0.25 * rng.standard_normal(3))
        image[y : y + height, x : x + width] += (texture[..., None] * tint).astype(np.float32)
    speck_colors = list(COLORS.values())
    for _ in range(rng.integers(0, 40)):
        x, y = rng.integers(0, (columns - 3, rows - 3))
        side = rng.integers(1, 4)
        image[y : y + side, x : x + side] = speck_colors[rng.integers(len(speck_colors))]
    return image


def owners(things: list[Thing], side: int = SIDE // PATCH) -> NDArray[np.int64]:
    """For each of the side x side patches the index of the thing that covers it, -1 for none.

    A patch belongs to a thing that covers at least a tenth of it, or in which the thing's centre lies.
    """
    owner = np.full((side, side), -1, np.int64)
    for index, thing in enumerate(things):
        owner[_averaged(silhouette(thing), side) > 0.1] = index
        owner[int(thing.y * side / SIDE), int(thing.x * side / SIDE)] = index
    return owner


def _averaged(cover: Pixels, side: int) -> Pixels:
    """Means over side x side patches, whose borders may lie inside a pixel."""
    if SIDE % side == 0:
        means: Pixels = cover.reshape(side, SIDE // side, side, SIDE // side).mean((1, 3))
        return means
    return np.asarray(Image.fromarray(cover).resize((side, side), Image.Resampling.BOX))


def shares(things: list[Thing], side: int = SIDE // PATCH) -> NDArray[np.float32]:
    """Which patches count for a thing, (things, side, side): the shares of its centre in the four around it.

    They add up to one for a thing and change little with its place, so that they can be seen; which single
    patch the centre lies in cannot, where it lies on a border.
    """
    share = np.zeros((len(things), side + 2, side + 2), np.float32)
    for mine, thing in zip(share, things, strict=True):
        x, y = thing.x * side / SIDE + 0.5, thing.y * side / SIDE + 0.5  # in a frame of one patch around
        column, row = int(x), int(y)
        right, down = x - column, y - row
        mine[row : row + 2, column : column + 2] = np.outer([1 - down, down], [1 - right, right])
    return share[:, 1:-1, 1:-1]


def draw(things: list[Thing], rng: np.random.Generator) -> Image.Image:
    """The picture of a scene: RGB, 192 x 192."""
    image = ground(rng)
    for thing in things:
        cover = silhouette(thing)
        color = np.array(COLORS[thing.color], np.float32) * rng.uniform(0.85, 1.05)
        image += cover[..., None] * (color - image)
    picture = Image.fromarray(image.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for thing in things:
        if thing.character:
            size = 15 if thing.size == "large" else 12
            pen.text(
                (thing.x, thing.y), thing.character.upper(), fill="white", font=font(size), anchor="mm",
                stroke_width=1, stroke_fill="black",
            )  # fmt: skip
    noise = rng.standard_normal((SIDE, SIDE, 3)).astype(np.float32) * rng.uniform(2, 9)
    return Image.fromarray((np.asarray(picture, np.float32) + noise).clip(0, 255).astype(np.uint8))
