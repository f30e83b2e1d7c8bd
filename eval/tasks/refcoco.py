"""RefCOCO: find the thing that a phrase means, as a box."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from arr_coc.eval.metrics.iou import Box, box_in, iou
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks import rows
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import Wording
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Answered, Item

ENOUGH = 0.5
PATCH = 28
"""Qwen2.5-VL rounds the sides of a picture to whole patches, and counts pixels of that."""
THOUSANDTHS = ("qwen2_vl", "qwen3_vl", "internvl")
PIXELS = ("qwen2_5_vl",)
_REQUEST = "Please provide the bounding box coordinate of the region this sentence describes:"
_FOR_QWEN = 'Locate "{question}" in the picture. Answer with its bounding box as [left, top, right, bottom].'


@TASKS.register("refcoco")
@dataclass(frozen=True)
class RefCOCO(Benchmark):
    """RefCOCO (https://arxiv.org/abs/1608.00272): share of boxes that overlap the right one by half.

    Rows: question_id, image, answer (phrases for one thing; each is an item), bbox (left, top, width, height
    in pixels). Families write boxes in units of their own: thousandths of the sides (Qwen2-VL, Qwen3-VL,
    InternVL), pixels of the picture as the model gets it (Qwen2.5-VL; exact while its limits on pixels do not
    bite), fractions of the sides (all others; LLaVA-1.5 learned them on pictures padded to a square, while
    its processor in transformers crops: its figures here do not compare with its paper).
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/RefCOCO", ("val", "test", "testA", "testB"))
    wording: ClassVar[Wording] = {
        "default": _REQUEST + " {question}",
        **dict.fromkeys((*THOUSANDTHS, *PIXELS), _FOR_QWEN),
    }
    rule: ClassVar[Rule] = Rule(lambda answer, gold: 0.0, lambda answer: box_in(answer) is not None)
    max_new_tokens: ClassVar[int] = 64

    def rows(self, split: str) -> Iterator[Row]:
        """A row for each phrase."""
        for row in rows.read(self.hub, self.data, split):
            for number, phrase in enumerate(row["answer"] or [None]):
                yield {**row, "answer": phrase, "number": number}

    def size(self, split: str) -> int:
        """Phrases have to be counted row by row."""
        only = rows.read(self.hub, self.data, split, columns=("answer",))
        return sum(len(row["answer"] or [None]) for row in only)

    def read(self, row: Row) -> Item:
        """All of one kind. The gold is the box in pixels and the size of the picture."""
        if row["answer"] is None or not row["bbox"]:
            raise ValueError("no phrase or no box is given")
        image = self.picture(row["image"])
        left, top, width, height = row["bbox"]
        box = [round(side, 2) for side in (left, top, left + width, top + height)]
        return Item(
            id=f"{row['question_id']}/{row['number']}",
            picture=str(row["file_name"]),
            image=image,
            question=self.ask(row["answer"]),
            gold=json.dumps({"box": box, "size": image.size}),
            kind="all",
        )

    def score(self, answer: str, gold: str) -> float:
        """1 for an overlap of at least half."""
        return float(self.overlap(answer, gold) >= ENOUGH)

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """The share of good boxes, and the mean overlap."""
        overlaps = [self.overlap(one.answer, one.gold) for one in answered]
        return {"accuracy": fmean(overlap >= ENOUGH for overlap in overlaps), "iou": fmean(overlaps)}

    def overlap(self, answer: str, gold: str) -> float:
        """Intersection over union, in the picture's pixels; 0 where no box is given."""
        found = box_in(answer)
        if found is None:
            return 0.0
        right = json.loads(gold)
        width, height = right["size"]
        across, down = self._units(width, height)
        scale = (width / across, height / down) * 2
        left, top, right_side, bottom = (side * by for side, by in zip(found, scale, strict=True))
        box: Box = (left, top, right_side, bottom)
        return iou(box, tuple(right["box"]))

    def _units(self, width: int, height: int) -> tuple[float, float]:
        """How many of the family's units the picture is wide and high."""
        if self.family in THOUSANDTHS:
            return 1000.0, 1000.0
        if self.family in PIXELS:
            return _whole(width), _whole(height)
        return 1.0, 1.0


def _whole(side: int) -> float:
    """The side as Qwen2.5-VL rounds it."""
    return float(max(1, round(side / PATCH)) * PATCH)
