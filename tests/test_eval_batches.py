"""Which items are asked together."""

from PIL import Image

from arr_coc.eval.batches import batches, sizes
from arr_coc.eval.tasks import Item

DOT = Image.new("RGB", (2, 2))


def items(*questions: str) -> list[Item]:
    return [Item(str(i), str(i), DOT, question, "gold", "kind") for i, question in enumerate(questions)]


def test_items_of_like_length_are_asked_together_and_none_is_lost() -> None:
    asked = items("long question", "a", "longer question", "b", "c")

    made = list(batches(iter(asked), 2))

    assert [[item.question for item in batch] for batch in made] == [
        ["a", "b"], ["c", "long question"], ["longer question"],
    ]  # fmt: skip
    assert [len(batch) for batch in made] == list(sizes(5, 2))


def test_memory_is_bounded_by_a_window() -> None:
    drawn = iter(items(*"abcdefghijklmnop"))

    next(batches(drawn, 2))

    assert len(list(drawn)) == 16 - 4 * 2


def test_a_second_item_of_the_same_name_is_told_apart_and_not_asked() -> None:
    twice = [*items("a"), *items("b"), *items("c")]

    (batch,) = batches(iter(twice), 4)

    assert [item.id for item in batch] == ["0", "0#2", "0#3"]
    assert [item.fault for item in batch] == ["", "the id '0' is used twice", "the id '0' is used twice"]
