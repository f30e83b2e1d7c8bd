"""MVBench: twenty tests of what happens in short films, multiple choice."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from string import ascii_uppercase
from typing import ClassVar

from arr_coc.eval.metrics.choice import LETTER
from arr_coc.eval.metrics.gold import Choice
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks import prompts
from arr_coc.eval.tasks.benchmark import Benchmark, by_kind
from arr_coc.eval.tasks.film import check_frames, find, frames
from arr_coc.eval.tasks.prompts import Wording
from arr_coc.eval.tasks.rows import CONFIG, NUMBER, Row
from arr_coc.eval.tasks.tables import Hub, home
from arr_coc.eval.tasks.task import TASKS, Answered, Item

TESTS = (
    "action_antonym", "action_count", "action_localization", "action_prediction", "action_sequence",
    "character_order", "counterfactual_inference", "egocentric_navigation", "episodic_reasoning",
    "fine_grained_action", "fine_grained_pose", "moving_attribute", "moving_count", "moving_direction",
    "object_existence", "object_interaction", "object_shuffle", "scene_transition", "state_change",
    "unexpected_action",
)  # fmt: skip

FOLDERS = {
    "moving_count": "clevrer", "moving_direction": "clevrer", "moving_attribute": "clevrer",
    "counterfactual_inference": "clevrer", "object_existence": "clevrer", "character_order": "perception",
    "object_shuffle": "perception", "state_change": "perception", "action_count": "perception",
}  # fmt: skip
"""Films of these two collections have the same names."""


@TASKS.register("mvbench")
@dataclass(frozen=True)
class MVBench(Benchmark):
    """MVBench (https://arxiv.org/abs/2311.17005): accuracy; its figure is the mean over the tests.

    A table for each test (json/action_count.json): video (a file, or a folder of frames), question,
    candidates, answer (one of them, in words). Films are packed on the hub: download and unpack them, and
    give the folder. They are expected cut to the part that is asked about; start and end are not read.
    """

    n_frames: int = 16
    """Frames shown of each film, evenly spaced."""

    hub: ClassVar[Hub] = Hub("OpenGVLab/MVBench", ("train",), TESTS)
    wording: ClassVar[Wording] = prompts.LETTER
    rule: ClassVar[Rule] = LETTER
    films: ClassVar[bool] = True
    headline: ClassVar[str] = "mean_of_tests"

    def __post_init__(self) -> None:
        check_frames(self.n_frames)

    def read(self, row: Row) -> Item:
        """The kind is the test."""
        options = tuple(row["candidates"])
        if row["answer"] not in options:
            raise ValueError(f"the answer {row['answer']!r} is none of the candidates")
        first, *more = frames(
            find(home(self.data), row["video"], FOLDERS.get(row[CONFIG], "")), self.n_frames
        )
        return Item(
            id=f"{row[CONFIG]}/{row[NUMBER]}",
            picture=row["video"],
            image=first,
            question=self.ask(row["question"], options=options),
            gold=Choice(ascii_uppercase[options.index(row["answer"])], options).text,
            kind=row[CONFIG],
            more=tuple(more),
            film=True,
        )

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """The mean score, and the mean of the tests' means."""
        means = by_kind(answered).values()
        return {"accuracy": fmean(one.score for one in answered), "mean_of_tests": fmean(means)}
