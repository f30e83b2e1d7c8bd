"""ChartQA: questions about charts, half of them written by people."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from arr_coc.eval.metrics.gold import single
from arr_coc.eval.metrics.relaxed import RELAXED
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks import prompts
from arr_coc.eval.tasks.benchmark import Benchmark, by_kind
from arr_coc.eval.tasks.prompts import Wording
from arr_coc.eval.tasks.rows import NUMBER, Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Answered, Item


@TASKS.register("chartqa")
@dataclass(frozen=True)
class ChartQA(Benchmark):
    """ChartQA (https://arxiv.org/abs/2203.10244), test: relaxed accuracy, over all and by who asked.

    Rows: type (human_test or augmented_test), question, answer, image; named by their number.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/ChartQA", ("test",))
    wording: ClassVar[Wording] = prompts.SHORT | {
        "default": "{question}\nAnswer the question with a single word."
    }
    rule: ClassVar[Rule] = RELAXED

    def read(self, row: Row) -> Item:
        """The kind is who asked: human or augmented."""
        return Item(
            id=row[NUMBER],
            picture=self.cluster(row["image"]),
            image=self.picture(row["image"]),
            question=self.ask(row["question"]),
            gold=single(row["answer"]),
            kind=row["type"].removesuffix("_test"),
        )

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """Over all, and for each who asked."""
        return {"accuracy": fmean(one.score for one in answered)} | by_kind(answered)
