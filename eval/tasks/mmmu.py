"""MMMU: college exams in thirty subjects, up to seven pictures a question."""

import ast
import re
from dataclasses import dataclass
from typing import ClassVar

from arr_coc.eval.metrics.choice import chooses, mentioned, one_letter
from arr_coc.eval.metrics.gold import Choice, several
from arr_coc.eval.metrics.open_answer import open_answer
from arr_coc.eval.metrics.rule import Rule, phrase
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import LETTER, SHORT, Wording, asked
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Item

_CHOICE = chooses(mentioned)


def _score(answer: str, gold: str) -> float:
    """A choice has a letter in its record; an open answer has several right ones."""
    return (_CHOICE.score if gold.startswith("{") else open_answer)(answer, gold)


@TASKS.register("mmmu")
@dataclass(frozen=True)
class MMMU(Benchmark):
    """MMMU (https://arxiv.org/abs/2311.16502), validation: accuracy.

    Rows: id (validation_Subject_7), question, options (a list written as Python), answer (a letter, or what
    is right for an open question, also a written list), question_type, image_1 to image_7, where the text
    says `<image 1>`. Pictures come first, the marks stay in the text. Much can be answered without looking.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/MMMU", ("validation", "dev"))
    wording: ClassVar[Wording] = LETTER
    rule: ClassVar[Rule] = Rule(_score, lambda answer: one_letter(answer) or phrase(answer))

    def read(self, row: Row) -> Item:
        """The kind is the subject."""
        options = tuple(_written(row["options"]))
        if row["question_type"] == "multiple-choice":
            gold = Choice(row["answer"], options).text
            question = self.ask(row["question"], options=options)
        else:
            gold = several(_written(row["answer"]))
            question = asked(SHORT, self.family, row["question"])
        numbers = sorted(set(re.findall(r"<image (\d)>", f"{row['question']} {row['options']}"))) or ["1"]
        first, *more = (self.picture(row[f"image_{number}"]) for number in numbers)
        return Item(
            id=row["id"],
            picture=row["id"],
            image=first,
            question=question,
            gold=gold,
            kind=re.sub(r"^[a-z]+_|_\d+$", "", row["id"]),
            more=tuple(more),
        )


def _written(text: str) -> list[str]:
    """A list as Python writes it; a single answer stands for itself."""
    if not text.startswith("["):
        return [text]
    try:
        return [str(one) for one in ast.literal_eval(text)]
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{text!r} is no list") from error
