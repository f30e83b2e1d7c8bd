"""MuirBench: several pictures, and what relates them; half the questions have no answer in them."""

from dataclasses import dataclass
from typing import ClassVar

from arr_coc.eval.metrics.choice import LETTER
from arr_coc.eval.metrics.gold import Choice
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks import prompts
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import Wording
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import MARK, TASKS, Item


@TASKS.register("muirbench")
@dataclass(frozen=True)
class MuirBench(Benchmark):
    """MuirBench (https://arxiv.org/abs/2406.09411): accuracy.

    Rows: idx, task, image_relation, image_type, image_list, question and options (both with an `<image>`
    where a picture stands), answer, counterpart_idx. Items that are each other's counterpart share a cluster.
    """

    hub: ClassVar[Hub] = Hub("MUIRBENCH/MUIRBENCH", ("test",))
    wording: ClassVar[Wording] = prompts.LETTER
    rule: ClassVar[Rule] = LETTER

    def read(self, row: Row) -> Item:
        """The kind is the task, such as counting. Marks that do not fit the pictures are taken out."""
        first, *more = (self.picture(picture) for picture in row["image_list"] or [None])
        options = tuple(row["options"])
        question = self.ask(row["question"], options=options)
        if question.count(MARK) != 1 + len(more):
            question = question.replace(MARK, "")
        pair = sorted(str(name) for name in (row["idx"], row["counterpart_idx"]) if name not in (None, ""))
        return Item(
            id=str(row["idx"]),
            picture="+".join(pair),
            image=first,
            question=question,
            gold=Choice(row["answer"], tuple(option.replace(MARK, "") for option in options)).text,
            kind=row["task"],
            more=tuple(more),
        )
