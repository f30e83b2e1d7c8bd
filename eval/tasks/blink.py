"""BLINK: fourteen tests of seeing that take people a blink, with one to four pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from arr_coc.eval.metrics.choice import LETTER
from arr_coc.eval.metrics.gold import Choice
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks.benchmark import Benchmark, by_kind
from arr_coc.eval.tasks.prompts import GIVEN, Wording
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Answered, Item

TESTS = (
    "Art_Style", "Counting", "Forensic_Detection", "Functional_Correspondence", "IQ_Test", "Jigsaw",
    "Multi-view_Reasoning", "Object_Localization", "Relative_Depth", "Relative_Reflectance",
    "Semantic_Correspondence", "Spatial_Relation", "Visual_Correspondence", "Visual_Similarity",
)  # fmt: skip


@TASKS.register("blink")
@dataclass(frozen=True)
class BLINK(Benchmark):
    """BLINK (https://arxiv.org/abs/2404.12390), val: accuracy; its figure is the mean over the tests.

    Rows: idx, sub_task, question, prompt (the question with its options), choices, answer as `(A)`, image_1
    to image_4 (empty where there are fewer). Pictures come first, as the prompts expect.
    """

    hub: ClassVar[Hub] = Hub("BLINK-Benchmark/BLINK", ("val",), TESTS)
    wording: ClassVar[Wording] = GIVEN
    rule: ClassVar[Rule] = LETTER
    headline: ClassVar[str] = "mean_of_tests"

    def read(self, row: Row) -> Item:
        """The kind is the test."""
        given = [row[f"image_{number}"] for number in range(1, 5)]
        first, *more = (self.picture(picture) for picture in given if picture is not None)
        return Item(
            id=row["idx"],
            picture=row["idx"],
            image=first,
            question=self.ask(row["prompt"]),
            gold=Choice(row["answer"].strip("()"), tuple(row["choices"])).text,
            kind=row["sub_task"],
            more=tuple(more),
        )

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """The mean score, and the mean of the tests' means."""
        means = by_kind(answered).values()
        return {"accuracy": fmean(one.score for one in answered), "mean_of_tests": fmean(means)}
