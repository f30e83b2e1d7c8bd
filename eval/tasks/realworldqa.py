"""RealWorldQA: photographs, many from cars, with short questions."""

from dataclasses import dataclass
from typing import ClassVar

from arr_coc.eval.metrics.gold import single
from arr_coc.eval.metrics.rule import EXACT, Rule
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import AS_IT_IS, Wording
from arr_coc.eval.tasks.rows import NUMBER, Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Item


@TASKS.register("realworldqa")
@dataclass(frozen=True)
class RealWorldQA(Benchmark):
    """RealWorldQA (https://x.ai/blog/grok-1.5v): exact match.

    Rows: image, question (with its options and how to answer), answer (a letter, a word or a number);
    named by their number.
    The schema is as lmms-eval reads it; other copies also have image_path, which is not needed.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/RealWorldQA", ("test",))
    wording: ClassVar[Wording] = AS_IT_IS
    rule: ClassVar[Rule] = EXACT

    def read(self, row: Row) -> Item:
        """The kind is whether a letter was asked for, or words."""
        gold = single(row["answer"])
        return Item(
            id=row[NUMBER],
            picture=self.cluster(row["image"]),
            image=self.picture(row["image"]),
            question=self.ask(row["question"]),
            gold=gold,
            kind="letter" if len(gold) == 1 and gold.isalpha() else "words",
        )
