"""POPE: is there such a thing in the picture? Half the questions name what is not there."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from arr_coc.eval.metrics import yes_no
from arr_coc.eval.metrics.gold import single
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import YES_NO, Wording
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Answered, Item


@TASKS.register("pope")
@dataclass(frozen=True)
class POPE(Benchmark):
    """POPE (https://arxiv.org/abs/2305.10355): accuracy, F1 and the share of yes, each by split as well.

    Rows: question_id (unique in its category), image_source, image, question, answer, category (adversarial,
    popular, random). Papers report F1 or accuracy, over all or as a mean of splits, and seldom say which.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/POPE", ("test",))
    wording: ClassVar[Wording] = YES_NO
    rule: ClassVar[Rule] = yes_no.YES_NO
    headline: ClassVar[str] = "f1_mean"

    def read(self, row: Row) -> Item:
        """The kind is the category: how the things that are not there were chosen."""
        return Item(
            id=f"{row['category']}-{row['question_id']}",
            picture=str(row["image_source"]),
            image=self.picture(row["image"]),
            question=self.ask(row["question"]),
            gold=single(row["answer"]).lower(),
            kind=row["category"],
        )

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """`f1` over all answers, `f1_mean` the mean over the splits, `f1/random` one of them, and so on."""
        found = _rates(answered)
        kinds = sorted({one.kind for one in answered})
        parts = {kind: _rates([one for one in answered if one.kind == kind]) for kind in kinds}
        found["f1_mean"] = fmean(part["f1"] for part in parts.values())
        return found | {f"{name}/{kind}": part[name] for kind, part in parts.items() for name in part}


def _rates(answered: Sequence[Answered]) -> dict[str, float]:
    said, right = [one.answer for one in answered], [one.gold for one in answered]
    return {"accuracy": fmean(one.score for one in answered)} | yes_no.rates(said, right)
