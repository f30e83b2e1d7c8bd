"""InfographicVQA: questions about posters that mix text, charts and drawings."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from arr_coc.eval.metrics.anls import ANLS
from arr_coc.eval.metrics.gold import several
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import SHORT, Wording
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Answered, Item


@TASKS.register("infovqa")
@dataclass(frozen=True)
class InfoVQA(Benchmark):
    """InfographicVQA (https://arxiv.org/abs/2104.12756): ANLS.

    Rows: questionId, question, answers, answer_type, image, image_url, operation/reasoning. Figures of papers
    are on the test server; the validation split is what can be scored here.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/DocVQA", ("validation",), ("InfographicVQA",))
    wording: ClassVar[Wording] = SHORT
    rule: ClassVar[Rule] = ANLS
    max_new_tokens: ClassVar[int] = 32
    headline: ClassVar[str] = "anls"

    def read(self, row: Row) -> Item:
        """The kind is the first type of answer, such as single span."""
        return Item(
            id=str(row["questionId"]),
            picture=str(row["image_url"]),
            image=self.picture(row["image"]),
            question=self.ask(row["question"]),
            gold=several(row["answers"]),
            kind=next(iter(row["answer_type"] or ()), "all"),
        )

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """ANLS is the mean score."""
        mean = fmean(one.score for one in answered)
        return {"accuracy": mean, "anls": mean}
