"""Reading: several small words on a picture, and how one of them is spelled; unlimited and offline."""

from dataclasses import dataclass
from typing import ClassVar

from arr_coc.eval.nano import dataset
from arr_coc.eval.tasks.scenes import Scenes
from arr_coc.eval.tasks.task import TASKS


@TASKS.register("scene_reading")
@dataclass(frozen=True)
class SceneReading(Scenes):
    """Up to six words of 3 to 6 letters a picture; spell the one of a colour, letter by letter; see `Scenes`.

    A kind is a length of word. Pictures have 160 to 416 pixels a side.
    """

    max_new_tokens: ClassVar[int] = 8

    def make(self, split: str, index: int) -> dataset.SceneItem:
        """See `dataset.page_item`."""
        return dataset.page_item(split, index)

    def follows(self, answer: str) -> bool:
        """Letters, one by one."""
        letters = answer.split()
        return bool(letters) and all(len(letter) == 1 for letter in letters)
