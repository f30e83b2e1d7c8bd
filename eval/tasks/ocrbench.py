"""OCRBench: a thousand tests of reading, from street signs to formulas."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from arr_coc.eval.metrics.contains import CONTAINS, FORMULA
from arr_coc.eval.metrics.gold import several
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import AS_IT_IS, Wording
from arr_coc.eval.tasks.rows import NUMBER, Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Answered, Item


@TASKS.register("ocrbench")
@dataclass(frozen=True)
class OCRBench(Benchmark):
    """OCRBench (https://arxiv.org/abs/2305.07895): points, one for each answer that holds the right text.

    Rows: dataset, question, question_type, answer (a list), image; named by their number. Formulas
    (HME100k) are compared without spaces, and their case counts.
    """

    hub: ClassVar[Hub] = Hub("echo840/OCRBench", ("test",))
    wording: ClassVar[Wording] = AS_IT_IS
    rule: ClassVar[Rule] = CONTAINS
    max_new_tokens: ClassVar[int] = 128
    headline: ClassVar[str] = "points"

    def read(self, row: Row) -> Item:
        """The kind is the question type, such as Regular Text Recognition."""
        answers = row["answer"] if isinstance(row["answer"], list) else [row["answer"]]
        mark = [FORMULA] if row["dataset"] == "HME100k" else []
        return Item(
            id=row[NUMBER],
            picture=self.cluster(row["image"]),
            image=self.picture(row["image"]),
            question=self.ask(row["question"]),
            gold=several([*answers, *mark]),
            kind=row["question_type"],
        )

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """Points are right answers; of 1,000 where all were asked."""
        scores = [one.score for one in answered]
        return {"accuracy": fmean(scores), "points": sum(scores)}
