"""SceneVQA's items at six sizes, 160 to 512 pixels a side: for models that take pictures as they come."""

from dataclasses import dataclass
from typing import ClassVar

from arr_coc.eval.metrics.rule import EXACT
from arr_coc.eval.nano import dataset
from arr_coc.eval.tasks.scenes import Scenes
from arr_coc.eval.tasks.task import TASKS


@TASKS.register("scene_sizes")
@dataclass(frozen=True)
class SceneSizes(Scenes):
    """The same items as `scene_vqa`, shown at six sizes, 160 to 512 pixels; see `Scenes`."""

    max_new_tokens: ClassVar[int] = 4

    def make(self, split: str, index: int) -> dataset.SceneItem:
        """See `dataset.sized_item`."""
        return dataset.sized_item(split, index)

    def follows(self, answer: str) -> bool:
        """A few words."""
        return EXACT.follows(answer)
