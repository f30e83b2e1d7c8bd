"""SceneVQA: drawn scenes, eight kinds of question, short answers; unlimited and offline."""

from dataclasses import dataclass
from typing import ClassVar

from arr_coc.eval.metrics.rule import EXACT
from arr_coc.eval.nano import dataset
from arr_coc.eval.tasks.scenes import Scenes
from arr_coc.eval.tasks.task import TASKS


@TASKS.register("scene_vqa")
@dataclass(frozen=True)
class SceneVQA(Scenes):
    """Drawn scenes, 192 x 192 pixels, eight kinds of question; see `Scenes`."""

    max_new_tokens: ClassVar[int] = 4

    def make(self, split: str, index: int) -> dataset.SceneItem:
        """See `dataset.item`."""
        return dataset.item(split, index)

    def follows(self, answer: str) -> bool:
        """A few words."""
        return EXACT.follows(answer)
