"""TextVQA: questions that need reading, and nothing but the picture to read in."""

from dataclasses import dataclass
from typing import ClassVar

from arr_coc.eval.metrics.gold import several
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.metrics.vqa_accuracy import VQA
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import SHORT, Wording
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Item


@TASKS.register("textvqa")
@dataclass(frozen=True)
class TextVQA(Benchmark):
    """TextVQA (https://arxiv.org/abs/1904.08920) without OCR tokens in the prompt: VQA accuracy.

    Rows: question_id, image_id, image, question, answers (ten), ocr_tokens. About 46 for LLaVA-1.5 7B, as
    lmms-eval has it; `textvqa_ocr` is the other one, and the two must not be compared.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/textvqa", ("validation",))
    wording: ClassVar[Wording] = SHORT
    rule: ClassVar[Rule] = VQA

    def read(self, row: Row) -> Item:
        """All of one kind."""
        return Item(
            id=str(row["question_id"]),
            picture=str(row["image_id"]),
            image=self.picture(row["image"]),
            question=self.ask(row["question"].capitalize()),
            gold=several(row["answers"]),
            kind="all",
        )
