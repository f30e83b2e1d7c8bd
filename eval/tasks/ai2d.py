"""AI2D: diagrams from school books, multiple choice."""

from dataclasses import dataclass
from string import ascii_uppercase
from typing import ClassVar

from arr_coc.eval.metrics.choice import LETTER
from arr_coc.eval.metrics.gold import Choice
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks import prompts
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import Wording
from arr_coc.eval.tasks.rows import NUMBER, Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Item


@TASKS.register("ai2d")
@dataclass(frozen=True)
class AI2D(Benchmark):
    """AI2D (https://arxiv.org/abs/1603.07396), test: accuracy.

    Rows: question, options, answer (number of the option, as text), image; named by their number.
    The labels in these diagrams are masked by letters; a copy without masks is easier.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/ai2d", ("test",))
    wording: ClassVar[Wording] = prompts.LETTER
    rule: ClassVar[Rule] = LETTER

    def read(self, row: Row) -> Item:
        """All of one kind."""
        choice = Choice(ascii_uppercase[int(row["answer"])], tuple(row["options"]))
        return Item(
            id=row[NUMBER],
            picture=self.cluster(row["image"]),
            image=self.picture(row["image"]),
            question=self.ask(row["question"], options=choice.options),
            gold=choice.text,
            kind="all",
        )
