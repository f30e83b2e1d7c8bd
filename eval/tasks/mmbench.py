"""MMBench: twenty abilities, multiple choice, in English."""

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
from arr_coc.eval.tasks.task import TASKS, Item


@TASKS.register("mmbench")
@dataclass(frozen=True)
class MMBench(Benchmark):
    """MMBench (https://arxiv.org/abs/2307.06281), English, dev: accuracy of single questions.

    Rows: index, question, hint, A to D (`nan` where there is none), answer, image, category, L2-category.
    Figures of papers are on dev, some with CircularEval (each question with its options in every order, right
    only if all are): a table of it, whose index tells the turns apart, is scored row by row here.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/MMBench", ("dev",), ("en",))
    wording: ClassVar[Wording] = prompts.LETTER
    rule: ClassVar[Rule] = LETTER

    def read(self, row: Row) -> Item:
        """The kind is the coarser category, such as attribute reasoning."""
        return single_question(self, row)


def single_question(task: Benchmark, row: Row) -> Item:
    """A row of MMBench, in any language, as `task` words it."""
    texts = [row[letter] for letter in "ABCD"]
    options = [str(text) for text in texts if text is not None and str(text) != "nan"]
    hint = row["hint"] if str(row["hint"]) != "nan" else None
    return Item(
        id=str(row["index"]),
        picture=task.cluster(row["image"]),
        image=task.picture(row["image"]),
        question=task.ask(row["question"], options=options, hint=hint),
        gold=Choice(row["answer"], tuple(options)).text,
        kind=row["L2-category"],
    )
