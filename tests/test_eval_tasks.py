"""Every task: its items are the same each time, and its own answers score 1."""

import pytest

from arr_coc.eval.tasks import TASKS
from arr_coc.eval.tasks.scene_vqa import SceneVQA
from arr_coc.eval.tasks.task import Task

OFFLINE = ["scene_vqa"]


@pytest.mark.parametrize("name", OFFLINE)
def test_the_items_of_a_task_come_in_the_same_order_with_names_of_their_own(name: str) -> None:
    task: Task = TASKS[name]()

    items, again = list(task.items("test", 9)), list(task.items("test", 9))

    assert len({item.id for item in items}) == len(items) == task.count("test", 9) == 9
    assert [(i.id, i.question, i.gold, i.image.tobytes()) for i in items] == [
        (i.id, i.question, i.gold, i.image.tobytes()) for i in again
    ]
    assert all(task.score(item.gold, item.gold) == 1 for item in items)


@pytest.mark.parametrize(("answer", "score"), [("Red", 1), (" red. ", 1), ("dark red", 0), ("", 0)])
def test_an_answer_to_a_scene_is_right_but_for_case_and_full_stop(answer: str, score: float) -> None:
    assert SceneVQA().score(answer, "red") == score


def test_an_unknown_split_is_said() -> None:
    with pytest.raises(ValueError, match="no split called 'exam'"):
        next(SceneVQA().items("exam", 1))
