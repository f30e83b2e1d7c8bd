"""VizWiz: pictures that blind people took, with the questions that they had."""

from dataclasses import dataclass
from typing import ClassVar

from arr_coc.eval.metrics.gold import several
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.metrics.vqa_accuracy import VQA
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import SHORT, Wording
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Item

UNSURE = "When the provided information is insufficient, respond with 'Unanswerable'."


@TASKS.register("vizwiz")
@dataclass(frozen=True)
class VizWiz(Benchmark):
    """VizWiz-VQA (https://arxiv.org/abs/1802.08218): VQA accuracy.

    Rows: question_id (the picture's file), image, question, answers (ten), category. Figures of papers are on
    the closed test server; this is the validation split, and the two differ.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/VizWiz-VQA", ("val",))
    wording: ClassVar[Wording] = SHORT
    rule: ClassVar[Rule] = VQA

    def read(self, row: Row) -> Item:
        """The kind is what sort of answer: other, yes/no, number, unanswerable."""
        return Item(
            id=str(row["question_id"]),
            picture=str(row["question_id"]),
            image=self.picture(row["image"]),
            question=self.ask(f"{row['question'].capitalize()}\n{UNSURE}"),
            gold=several(row["answers"]),
            kind=row["category"] or "all",
        )
