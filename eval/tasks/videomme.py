"""Video-MME: questions about films from eleven seconds to an hour, multiple choice."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from arr_coc.eval.metrics.choice import any_letter, chooses
from arr_coc.eval.metrics.gold import Choice
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks.benchmark import Benchmark, by_kind
from arr_coc.eval.tasks.film import check_frames, find, frames
from arr_coc.eval.tasks.prompts import LETTER, Wording
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub, home
from arr_coc.eval.tasks.task import TASKS, Answered, Item

_REQUEST = (
    "Select the best answer to the following multiple-choice question based on the video. "
    "Respond with only the letter (A, B, C, or D) of the correct option."
)


@TASKS.register("videomme")
@dataclass(frozen=True)
class VideoMME(Benchmark):
    """Video-MME (https://arxiv.org/abs/2405.21075) without subtitles: accuracy, also by length.

    Rows: video_id, duration (short, medium, long), domain, sub_category, videoID, question_id, task_type,
    question, options (`A. ...`), answer. Films are packed on the hub: download and unpack them, and give the
    folder; the film of a row is the file named by videoID. Figures depend on how many frames are shown.
    """

    n_frames: int = 8
    """Frames shown of each film, evenly spaced."""

    hub: ClassVar[Hub] = Hub("lmms-eval/Video-MME", ("test",))
    wording: ClassVar[Wording] = LETTER | {
        "default": _REQUEST + "\n{question}\n{options}\nThe best answer is:"
    }
    rule: ClassVar[Rule] = chooses(any_letter)
    films: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_frames(self.n_frames)

    def read(self, row: Row) -> Item:
        """The kind is the length."""
        options = tuple(re.sub(r"^[A-Z]\.\s*", "", option) for option in row["options"])
        first, *more = frames(find(home(self.data), row["videoID"]), self.n_frames)
        return Item(
            id=row["question_id"],
            picture=row["videoID"],
            image=first,
            question=self.ask(row["question"], options=options),
            gold=Choice(row["answer"], options).text,
            kind=row["duration"],
            more=tuple(more),
            film=True,
        )

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """Over all, and for each length."""
        return {"accuracy": fmean(one.score for one in answered)} | by_kind(answered)
