"""DocVQA: questions about scanned letters, forms and tables."""

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


@TASKS.register("docvqa")
@dataclass(frozen=True)
class DocVQA(Benchmark):
    """DocVQA (https://arxiv.org/abs/2007.00398): ANLS.

    Rows: questionId, question, question_types, image, ucsf_document_id, ucsf_document_page_no, answers.
    Figures of papers are on the test server; the validation split is what can be scored here.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/DocVQA", ("validation",), ("DocVQA",))
    wording: ClassVar[Wording] = SHORT
    rule: ClassVar[Rule] = ANLS
    max_new_tokens: ClassVar[int] = 32
    headline: ClassVar[str] = "anls"

    def read(self, row: Row) -> Item:
        """The kind is the first type of the question, such as table/list."""
        page = f"{row['ucsf_document_id']}/{row['ucsf_document_page_no']}"
        return Item(
            id=str(row["questionId"]),
            picture=page,
            image=self.picture(row["image"]),
            question=self.ask(row["question"]),
            gold=several(row["answers"]),
            kind=next(iter(row["question_types"] or ()), "all"),
        )

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """ANLS is the mean score."""
        mean = fmean(one.score for one in answered)
        return {"accuracy": mean, "anls": mean}
