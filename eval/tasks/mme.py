"""MME: two opposite yes-or-no questions a picture, ten kinds of perception and four of cognition."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from arr_coc.eval.metrics.gold import single
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.metrics.yes_no import YES_NO
from arr_coc.eval.tasks import prompts
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import Wording
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Answered, Item

COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
REQUEST = "Please answer yes or no."


@TASKS.register("mme")
@dataclass(frozen=True)
class MME(Benchmark):
    """MME (https://arxiv.org/abs/2306.13394): points, at most 2000 for perception and 800 for cognition.

    Rows: question_id (of the picture, shared by its two questions), image, question, answer, category. Papers
    report perception alone (about 1510 for LLaVA-1.5 7B) or the sum (about 1860), often without saying so.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/MME", ("test",))
    wording: ClassVar[Wording] = prompts.YES_NO
    rule: ClassVar[Rule] = YES_NO
    headline: ClassVar[str] = "perception"

    def read(self, row: Row) -> Item:
        """The kind is the category, such as existence. The wording's request takes the place of the row's."""
        question = row["question"].replace(REQUEST, "").strip()
        return Item(
            id=f"{row['category']}/{row['question_id']}/{self.fingerprint(question)}",
            picture=f"{row['category']}/{row['question_id']}",
            image=self.picture(row["image"]),
            question=self.ask(question),
            gold=single(row["answer"]).lower(),
            kind=row["category"],
        )

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """A category's points: accuracy over questions plus over pictures with both right, in percent."""
        pictures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for one in answered:
            pictures[one.kind][one.picture].append(one.score)
        points = {
            kind: 100 * fmean(fmean(pair) + (min(pair) == 1) for pair in pairs.values())
            for kind, pairs in sorted(pictures.items())
        }
        cognition = sum(points.get(kind, 0.0) for kind in COGNITION)
        total = sum(points.values())
        return {
            "accuracy": fmean(one.score for one in answered),
            "perception": total - cognition,
            "cognition": cognition,
            "total": total,
        } | {f"points/{kind}": value for kind, value in points.items()}
