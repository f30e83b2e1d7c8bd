"""ScienceQA-IMG: school science, the questions that have a picture."""

from dataclasses import dataclass
from string import ascii_uppercase
from typing import ClassVar

from arr_coc.eval.metrics.choice import chooses, strict_letter
from arr_coc.eval.metrics.gold import Choice
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import CONTEXT, LETTER, Wording
from arr_coc.eval.tasks.rows import NUMBER, Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Item


@TASKS.register("scienceqa_img")
@dataclass(frozen=True)
class ScienceQAImg(Benchmark):
    """ScienceQA (https://arxiv.org/abs/2209.09513) with pictures: accuracy, read as LLaVA reads it.

    Rows: image, question, choices, answer (number of the choice), hint, subject, topic, skill. Rows have no
    name but their number. Much can be answered without looking.
    """

    hub: ClassVar[Hub] = Hub(
        "lmms-lab-encoder/ScienceQA", ("test", "validation", "train"), ("ScienceQA-IMG",)
    )
    wording: ClassVar[Wording] = LETTER
    rule: ClassVar[Rule] = chooses(strict_letter)

    def read(self, row: Row) -> Item:
        """The kind is the subject: natural, social or language science."""
        choice = Choice(ascii_uppercase[row["answer"]], tuple(row["choices"]))
        return Item(
            id=row[NUMBER],
            picture=self.cluster(row["image"]),
            image=self.picture(row["image"]),
            question=self.ask(row["question"], options=choice.options, hint=row["hint"], leads=CONTEXT),
            gold=choice.text,
            kind=row["subject"],
        )
