"""VQAv2: everyday questions, ten people's answers each."""

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


@TASKS.register("vqav2")
@dataclass(frozen=True)
class VQAv2(Benchmark):
    """VQAv2 (https://arxiv.org/abs/1612.00837): VQA accuracy.

    Rows: question_id, image_id, image, question, answer_type, answers (each with answer). Papers report the
    test-dev server, whose answers are not public; the validation split is what can be scored here. Where all
    ten people agree, the official script compares raw strings; both sides are brought into one form here.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/VQAv2", ("validation",))
    wording: ClassVar[Wording] = SHORT
    rule: ClassVar[Rule] = VQA

    def read(self, row: Row) -> Item:
        """The kind is the type of answer: yes/no, number, other."""
        return Item(
            id=str(row["question_id"]),
            picture=str(row["image_id"]),
            image=self.picture(row["image"]),
            question=self.ask(row["question"]),
            gold=several([person["answer"] for person in row["answers"] or ()]),
            kind=row["answer_type"],
        )
