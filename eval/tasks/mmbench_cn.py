"""MMBench-CN: the same twenty abilities in Chinese."""

from dataclasses import dataclass
from typing import ClassVar

from arr_coc.eval.metrics.choice import LETTER
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.mmbench import single_question
from arr_coc.eval.tasks.prompts import LETTER as ENGLISH
from arr_coc.eval.tasks.prompts import Wording
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Item

CHINESE: Wording = ENGLISH | {
    "default": "{hint}{question}\n{options}\n请直接使用所提供的选项字母作为答案回答。"
}


@TASKS.register("mmbench_cn")
@dataclass(frozen=True)
class MMBenchCN(Benchmark):
    """MMBench (https://arxiv.org/abs/2307.06281), Chinese, dev: accuracy of single questions.

    Rows, and what figures of papers are on: as in `mmbench`.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/MMBench", ("dev",), ("cn",))
    wording: ClassVar[Wording] = CHINESE
    rule: ClassVar[Rule] = LETTER

    def read(self, row: Row) -> Item:
        """The kind is the coarser category, such as attribute reasoning."""
        return single_question(self, row)
