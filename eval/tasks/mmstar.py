"""MMStar: 1,500 questions chosen so that looking is needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from arr_coc.eval.metrics.choice import chooses, led_letter
from arr_coc.eval.metrics.gold import Choice
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks.benchmark import Benchmark, by_kind
from arr_coc.eval.tasks.prompts import GIVEN, Wording
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Answered, Item


@TASKS.register("mmstar")
@dataclass(frozen=True)
class MMStar(Benchmark):
    """MMStar (https://arxiv.org/abs/2403.20330): accuracy, also as a mean over its six abilities.

    Rows: index, question (with its options `A: ..., B: ...` in it), image, answer, category, l2_category.
    """

    hub: ClassVar[Hub] = Hub("Lin-Chen/MMStar", ("val",))
    wording: ClassVar[Wording] = GIVEN
    rule: ClassVar[Rule] = chooses(led_letter)

    def read(self, row: Row) -> Item:
        """The kind is the ability, such as coarse perception."""
        return Item(
            id=str(row["index"]),
            picture=str(row["index"]),
            image=self.picture(row["image"]),
            question=self.ask(row["question"]),
            # The options stand in the question: the letter is all that the rule looks at.
            gold=Choice(row["answer"], tuple("ABCD")).text,
            kind=row["category"],
        )

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """The mean score, and the mean of the abilities' means."""
        means = by_kind(answered).values()
        return {"accuracy": fmean(one.score for one in answered), "mean_of_abilities": fmean(means)}
