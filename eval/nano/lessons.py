"""Batches for training nano-llava: many questions packed after one picture, and what every patch says."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from arr_coc.eval.nano.build import BLANK, EOS, GROUND, MEAN, N_VISUAL, PAD, STD, vocabulary
from arr_coc.eval.nano.dataset import Lesson, lesson
from arr_coc.eval.nano.questions import COUNTS, KINDS, Question
from arr_coc.eval.nano.scene import (
    CELLS,
    CHARACTERS,
    COLORS,
    PATCH,
    PLACES,
    SHAPES,
    SIDE,
    SIZES,
    Thing,
    owners,
    shares,
)

IDS = vocabulary()
GROUPS: dict[str, tuple[str, ...]] = {
    "color": tuple(COLORS),
    "shape": SHAPES,
    "size": tuple(SIZES),
    "character": (*CHARACTERS, BLANK),
    "cell": PLACES,
    "ground": (GROUND,),
}
"""What a patch can say, group by group; a visual token is taught to be the sum of its words' embeddings."""
NUMBERS = torch.tensor([IDS[word] for word in COUNTS])
WORDS = {group: torch.tensor([IDS[word] for word in words]) for group, words in GROUPS.items()}
PREFIX = 2
"""Tokens before the picture: beginning of sequence, `user:`."""


@dataclass(frozen=True)
class Batch:
    """Lessons as tensors."""

    pixels: Float[Tensor, "batch 3 height width"]
    patches: Int[Tensor, "batch visual groups"]
    """For every patch and group the index of the right word in the group, -1 for none."""
    share: Float[Tensor, "batch visual"]
    """How much of a thing's centre falls to the patch: adds up to one for a thing."""
    ids: Int[Tensor, "batch packed"]
    """All questions and answers of a picture, one after another."""
    block: Int[Tensor, "batch packed"]
    """Which question a token belongs to, from 1; 0 at padding."""
    place: Int[Tensor, "batch packed"]
    """Position of a token inside its question, from 0."""
    target: Int[Tensor, "batch packed"]
    """The next token where it is to be learned (the answer, the end), -100 elsewhere."""
    kind: Int[Tensor, "batch packed"]
    """Index of the kind of question at the token that predicts the answer, -1 elsewhere."""
    named: Bool[Tensor, "batch packed"]
    """Words that name something in the picture."""
    number: Int[Tensor, "batch packed"]
    """Of those, at words whose things are to be counted: index of their number in COUNTS; -1 elsewhere."""
    thing: Int[Tensor, "batch packed groups"]
    """Of the others, what the one thing named is like: index of the right word in each group, -1 for none."""
    look: Bool[Tensor, "batch packed visual"]
    """Patches that the token should look at (of a thing it names or asks for); all False: no advice."""


def attributes(thing: Thing) -> list[int]:
    """What a thing is like: index of the right word in each group, -1 for none."""
    words = {"color": thing.color, "shape": thing.shape, "size": thing.size, "cell": PLACES[thing.cell]}
    words["character"] = thing.character or BLANK
    return [GROUPS[group].index(words[group]) if group in words else -1 for group in GROUPS]


def describe(
    truth: Lesson,
) -> tuple[Int[Tensor, "visual groups"], Float[Tensor, " visual"], Int[Tensor, " visual"]]:
    """What every patch says, group by group, its share of a centre, and the thing that owns it (-1: none)."""
    owner = owners(truth.things)
    side = SIDE // PATCH
    said = np.full((side, side, len(GROUPS)), -1, np.int64)
    rows, columns = np.mgrid[0:side, 0:side]
    per_cell = side // CELLS
    said[..., 4] = rows // per_cell * CELLS + columns // per_cell
    said[..., 5] = 0
    for i, thing in enumerate(truth.things):
        mine = owner == i
        said[mine] = attributes(thing)
        said[mine, 4] = (rows // per_cell * CELLS + columns // per_cell)[mine]
    share = shares(truth.things) * (owner >= 0)
    return (
        torch.from_numpy(said.reshape(N_VISUAL, -1)),
        torch.from_numpy(share.reshape(-1)),
        torch.from_numpy(owner.reshape(-1)),
    )


class Lessons(Dataset[Batch]):
    """Batch number i of a stage, the same one on every machine and after every restart."""

    def __init__(
        self, seed: int, stage: int, steps: int, batch: int, questions: int, often: tuple[str, ...] = ()
    ) -> None:
        self.seed, self.stage, self.steps, self.batch = seed, stage, steps, batch
        self.questions, self.often = questions, often

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        truths = [
            lesson((self.seed, self.stage, step, i), self.questions, self.often) for i in range(self.batch)
        ]
        pixels = torch.from_numpy(np.stack([np.asarray(truth.image) for truth in truths]))
        pixels = (pixels.permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[
            :, None, None
        ]
        said, share, owner = zip(*map(describe, truths), strict=True)
        rows = [self._pack(*lesson) for lesson in zip(truths, owner, strict=True)]
        fills = (IDS[PAD], 0, 0, -100, -1, 0, -1, -1, 0)
        packed = [
            torch.nn.utils.rnn.pad_sequence(list(part), batch_first=True, padding_value=fill)
            for part, fill in zip(zip(*rows, strict=True), fills, strict=True)
        ]
        return Batch(pixels, torch.stack(said), torch.stack(share), *packed)

    def _pack(self, truth: Lesson, owner: Int[Tensor, " visual"]) -> tuple[Tensor, ...]:
        ids: list[int] = []
        block: list[int] = []
        place: list[int] = []
        target: list[int] = []
        kind: list[int] = []
        names: list[bool] = []
        many: list[int] = []
        like: list[list[int]] = []
        look: list[Tensor] = []
        for number, question in enumerate(truth.questions, 1):
            words = [*question.text.split(), "assistant:", question.answer]
            n = len(words)
            ids += [IDS[word] for word in words]
            block += [number] * n
            place += range(n)
            target += [-100] * (n - 2) + [IDS[question.answer], IDS[EOS]]
            kind += [-1] * (n - 2) + [list(KINDS).index(question.kind), -1]
            advice = torch.zeros(n, N_VISUAL, dtype=torch.bool)
            at_names = _named(words)
            counted = question.kind == "count"
            names += [at in at_names for at in range(n)]
            many += [COUNTS.index(question.answer) if counted and at in at_names else -1 for at in range(n)]
            said = [[-1] * len(GROUPS) for _ in range(n)]
            pairs = _advice(question, at_names, n - 2)
            for at, thing in pairs:
                advice[at] |= owner == thing
                if at in at_names and [place for place, _ in pairs].count(at) == 1:
                    said[at] = attributes(truth.things[thing])
            like += said
            look.append(advice)
        return (
            *(torch.tensor(x, dtype=torch.long) for x in (ids, block, place, target, kind)),
            torch.tensor(names, dtype=torch.bool),
            torch.tensor(many, dtype=torch.long),
            torch.tensor(like, dtype=torch.long).reshape(-1, len(GROUPS)),
            torch.cat(look) if look else torch.zeros(0, N_VISUAL, dtype=torch.bool),
        )


def _named(words: list[str]) -> list[int]:
    """Places of the words that name something in the picture: a shape, a place, the colour of objects."""
    names = {*SHAPES, *PLACES}
    return [
        at for at, word in enumerate(words[:-2])
        if word in names or (word in COLORS and words[at + 1].startswith("object"))
    ] or [words.index("objects")]  # fmt: skip


def _advice(question: Question, named: list[int], last: int) -> list[tuple[int, int]]:
    """(token, thing): a word looks at what it names; the end of a neighbour question at the neighbour."""
    if question.kind in ("relation", "comparison"):
        return list(zip(named, question.evidence, strict=True))
    if question.kind == "neighbor":
        return [(named[0], question.evidence[0]), (last, question.evidence[1])]
    return [(named[0], thing) for thing in question.evidence]
