"""SEED-Bench: twelve kinds of question about pictures and films, multiple choice."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from arr_coc.eval.metrics.choice import chooses, first_letter
from arr_coc.eval.metrics.gold import Choice
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import LETTER, Wording
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Answered, Item

FILM = "film"


@TASKS.register("seed_bench")
@dataclass(frozen=True)
class SEEDBench(Benchmark):
    """SEED-Bench (https://arxiv.org/abs/2307.16125): accuracy, of pictures and of films apart.

    Rows: question_id, data_id, data_type (image or video), question_type_id, question, choice_a to choice_d,
    answer, image (a list: one picture, or the frames of a film). Papers report `image` (SEED-IMG) or all.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/SEED-Bench", ("test",))
    wording: ClassVar[Wording] = LETTER
    rule: ClassVar[Rule] = chooses(first_letter)
    headline: ClassVar[str] = "image"

    def read(self, row: Row) -> Item:
        """The kind is the number of the question type, from 1 to 12, after `film` where it is one."""
        options = tuple(row[f"choice_{letter}"] for letter in "abcd")
        film = row["data_type"] == "video"
        given = row["image"] if isinstance(row["image"], list) else [row["image"]]
        first, *more = (self.picture(picture) for picture in given)
        return Item(
            id=str(row["question_id"]),
            picture=str(row["data_id"]),
            image=first,
            question=self.ask(row["question"], options=options),
            gold=Choice(row["answer"], options).text,
            kind=f"{FILM} {row['question_type_id']}" if film else str(row["question_type_id"]),
            more=tuple(more),
            film=film,
        )

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """All, and pictures and films apart, as far as there are any."""
        films = [one.score for one in answered if one.kind.startswith(FILM)]
        pictures = [one.score for one in answered if not one.kind.startswith(FILM)]
        found = {"accuracy": fmean(one.score for one in answered)}
        return found | {name: fmean(of) for name, of in (("image", pictures), ("video", films)) if of}
