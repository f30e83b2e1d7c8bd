"""TextVQA with an OCR hint: what a machine read in the picture stands in the prompt."""

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


@TASKS.register("textvqa_ocr")
@dataclass(frozen=True)
class TextVQAWithOCR(Benchmark):
    """TextVQA (https://arxiv.org/abs/1904.08920) with what an OCR system read in the prompt: VQA accuracy.

    Rows as in `textvqa`. This is LLaVA's own script (58.2 for LLaVA-1.5 7B), and what most pruning papers
    report. A method that never touches the words of the prompt can look lossless here.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/textvqa", ("validation",))
    wording: ClassVar[Wording] = SHORT
    rule: ClassVar[Rule] = VQA

    def read(self, row: Row) -> Item:
        """All of one kind."""
        # LLaVA puts the tokens after the question and before the request for a short answer.
        question = (
            f"{row['question'].capitalize()}\nReference OCR token: {', '.join(row['ocr_tokens'] or ())}"
        )
        return Item(
            id=str(row["question_id"]),
            picture=str(row["image_id"]),
            image=self.picture(row["image"]),
            question=self.ask(question),
            gold=several(row["answers"]),
            kind="all",
        )
