"""Batches for training: many questions packed after one picture, and what every visual token says."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from arr_coc.eval.nano.bodies import Grid
from arr_coc.eval.nano.build import EOS, MEAN, PAD, STD
from arr_coc.eval.nano.dataset import SPLITS, Lesson, lesson, page_lesson
from arr_coc.eval.nano.design import Design
from arr_coc.eval.nano.labels import Said, attributes, describe, describe_page
from arr_coc.eval.nano.questions import COUNTS, KINDS, Question
from arr_coc.eval.nano.reading import LETTERS, LONGEST
from arr_coc.eval.nano.scene import COLORS, PLACES, SHAPES

WORD = "word"
"""Kind of the questions of reading."""
ALL_KINDS = (*KINDS, WORD)


@dataclass(frozen=True)
class Batch:
    """Lessons as tensors; all pictures of a batch are of one size."""

    pixels: Float[Tensor, "batch 3 height width"]
    """Empty where nobody looks."""
    grid: Grid
    """Rows and columns of visual tokens."""
    patches: Int[Tensor, "batch visual groups"]
    """For every visual token and group the index of the right word in the group, -1 for none."""
    share: Float[Tensor, "batch visual"]
    """How much of a thing's centre falls to the token: adds up to one for a thing."""
    ids: Int[Tensor, "batch packed"]
    """All questions and answers of a picture, one after another."""
    block: Int[Tensor, "batch packed"]
    """Which question a token belongs to, from 1; 0 at padding."""
    place: Int[Tensor, "batch packed"]
    """Position of a token inside its question, from 0."""
    target: Int[Tensor, "batch packed"]
    """The next token where it is to be learned (the answer, the end), -100 elsewhere."""
    kind: Int[Tensor, "batch packed"]
    """Index of the kind of question at tokens that predict the answer (letters: also its end), -1 else."""
    named: Bool[Tensor, "batch packed"]
    """Words that name something in the picture."""
    number: Int[Tensor, "batch packed"]
    """Of those, at words whose things are to be counted: index of their number in COUNTS; -1 elsewhere."""
    thing: Int[Tensor, "batch packed groups"]
    """Of the others, what the one thing named is like: index of the right word in each group, -1 for none."""
    look: Bool[Tensor, "batch packed visual"]
    """Visual tokens to look at (of a thing that is named or asked for); all False: no advice."""


@dataclass(frozen=True)
class Lessons(Dataset[Batch]):
    """Batch number i of a stage, the same one on every machine and after every restart."""

    design: Design
    seed: int
    stage: int
    steps: int
    batch: int
    """Pictures of the usual size; of others as many as have about as many visual tokens together."""
    questions: int
    often: tuple[str, ...] = ()
    """Kinds of question that are asked more often than others."""
    seen: bool = True
    """Whether pictures are drawn."""
    slope: float = -3.0
    """Pictures of s visual tokens a side, of those not of the usual size, come as often as s^slope."""
    usual: float = 0.5
    """Share of the usual size, if there are several."""
    full: bool = False
    """Whether `batch` is the number of pictures of any size."""

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        grid, reading = self._shown(step)
        usual = self.design.sides[0] ** 2
        pictures = self.batch if self.full else max(1, self.batch * usual // (grid[0] * grid[1]))
        seeds = [(self.seed, self.stage, step, i) for i in range(pictures)]
        if reading:
            truths = [page_lesson(seed, grid, self.questions) for seed in seeds]
            said = [describe_page(self.design, truth.page, grid) for truth in truths if truth.page]
        else:
            truths = [lesson(seed, self.questions, self.often) for seed in seeds]
            said = [describe(self.design, truth.things, grid[0]) for truth in truths]
        rows = [self._pack(*lesson) for lesson in zip(truths, said, strict=True)]
        fills = (self.design.ids[PAD], 0, 0, -100, -1, 0, -1, -1, 0)
        packed = [
            torch.nn.utils.rnn.pad_sequence(list(part), batch_first=True, padding_value=fill)
            for part, fill in zip(zip(*rows, strict=True), fills, strict=True)
        ]
        pixels = self._pixels(truths, grid) if self.seen else torch.zeros(len(truths), 3, 0, 0)
        patches, share = (torch.stack([getattr(one, part) for one in said]) for part in ("words", "share"))
        return Batch(pixels, grid, patches, share, *packed)

    def _shown(self, step: int) -> tuple[Grid, bool]:
        """Rows and columns of visual tokens in a batch, and whether it is for reading."""
        usual, *others = self.design.sides
        if not others:
            return (usual, usual), False
        rng = np.random.default_rng((SPLITS["train"], self.seed, self.stage, step))
        if rng.random() < self.design.pages:
            rows, columns = rng.integers(10, 27, 2).tolist()
            return (rows, columns), True
        often = np.array(others, float) ** self.slope
        side = usual if rng.random() < self.usual else int(rng.choice(others, p=often / often.sum()))
        return (side, side), False

    def _pixels(self, truths: list[Lesson], grid: Grid) -> Float[Tensor, "batch 3 height width"]:
        token = self.design.token
        shown = [truth.image.resize((grid[1] * token, grid[0] * token)) for truth in truths]
        pixels = torch.from_numpy(np.stack([np.asarray(image) for image in shown])).permute(0, 3, 1, 2)
        mean, std = (torch.tensor(x)[:, None, None] for x in (MEAN, STD))
        return (pixels / 255 - mean) / std

    def _pack(self, truth: Lesson, said: Said) -> tuple[Tensor, ...]:
        ids: list[int] = []
        block: list[int] = []
        place: list[int] = []
        target: list[int] = []
        kind: list[int] = []
        names: list[bool] = []
        many: list[int] = []
        like: list[list[int]] = []
        look: list[Tensor] = []
        groups = len(self.design.groups)
        for number, question in enumerate(truth.questions, 1):
            asked, answer = [*question.text.split(), "assistant:"], question.answer.split()
            words = asked + answer
            n, last = len(words), len(asked) - 1
            ids += [self.design.ids[word] for word in words]
            block += [number] * n
            place += range(n)
            target += [-100] * last + [self.design.ids[word] for word in (*answer, EOS)]
            index = ALL_KINDS.index(question.kind)
            open_end = "next" in self.design.groups and answer[-1] in LETTERS  # another letter might follow
            kind += [-1] * last + [index] * len(answer) + [index if open_end else -1]
            advice = torch.zeros(n, len(said.owner), dtype=torch.bool)
            at_names = _named(asked[:-1])
            counted = question.kind == "count"
            names += [at in at_names for at in range(n)]
            many += [COUNTS.index(question.answer) if counted and at in at_names else -1 for at in range(n)]
            what = [[-1] * groups for _ in range(n)]
            pairs = _advice(question, at_names, last)
            for at, thing in pairs:
                advice[at] |= said.owner == thing
                if truth.things and at in at_names and [place for place, _ in pairs].count(at) == 1:
                    what[at] = attributes(self.design, truth.things[thing])
            like += what
            look.append(advice)
        return (
            *(torch.tensor(x, dtype=torch.long) for x in (ids, block, place, target, kind)),
            torch.tensor(names, dtype=torch.bool),
            torch.tensor(many, dtype=torch.long),
            torch.tensor(like, dtype=torch.long).reshape(-1, groups),
            torch.cat(look) if look else torch.zeros(0, len(said.owner), dtype=torch.bool),
        )


def _named(words: list[str]) -> list[int]:
    """Places of the words that name something in the picture: a shape, a place, the colour of objects."""
    names = {*SHAPES, *PLACES}
    return [
        at for at, word in enumerate(words)
        if word in names or (word in COLORS and words[at + 1].startswith(("object", WORD)))
    ] or [words.index("objects")]  # fmt: skip


def _advice(question: Question, named: list[int], last: int) -> list[tuple[int, int]]:
    """(token, thing): a word looks at what it names; the end of a question, or a letter, at what is said."""
    if question.kind == WORD:
        word, letters = question.evidence[0], question.answer.split()
        every = [(named[0], word * LONGEST + i) for i in range(len(letters))]
        return every + [(last + i, word * LONGEST + max(0, i - 1)) for i in range(len(letters) + 1)]
    if question.kind in ("relation", "comparison"):
        return list(zip(named, question.evidence, strict=True))
    if question.kind == "neighbor":
        return [(named[0], question.evidence[0]), (last, question.evidence[1])]
    return [(named[0], thing) for thing in question.evidence]
