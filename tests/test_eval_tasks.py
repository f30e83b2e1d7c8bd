"""Every task: its items are the same each time, and a perfect answer scores 1."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from arr_coc.eval.metrics.gold import best
from arr_coc.eval.samples import Sample
from arr_coc.eval.tasks import TASKS
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.scene_vqa import SceneVQA
from arr_coc.eval.tasks.task import MARK, Item, Task, open_task

PUBLIC = [name for name in TASKS if issubclass(TASKS[name], Benchmark)]
ROWS = 10
WRONG = "zebra crossing"


def sample(name: str, family: str = "") -> Task:
    return open_task(name, "sample" if name in PUBLIC else None, family)


def items(name: str, family: str = "") -> list[Item]:
    task = sample(name, family)
    return list(task.items(task.splits[0], ROWS))


def perfect(name: str, gold: str) -> str:
    """What a model would have to say."""
    if name != "refcoco":
        return best(gold)
    right = json.loads(gold)
    width, height = right["size"]
    return str([round(side / by, 4) for side, by in zip(right["box"], (width, height) * 2, strict=True)])


def answered(name: str, item: Item, text: str) -> Sample:
    score = sample(name).score(text, item.gold)
    told = {"id": item.id, "question": item.question, "answer": text, "gold": item.gold, "score": score}
    counts = {"kept": 1, "visual": 1, "words": 1, "seconds": 0.0, "prefill_ms": 0.0, "select_ms": 0.0}
    where = {"task": name, "method": "full", "budget": 1.0, "kind": item.kind, "picture": item.picture}
    return Sample(**told, **counts, **where, kv_bytes=0.0)  # type: ignore[arg-type]


def test_the_tasks_are_those_that_papers_on_pruning_report() -> None:
    assert set(TASKS) == {
        "vqav2",
        "gqa",
        "textvqa",
        "textvqa_ocr",
        "vizwiz",
        "pope",
        "scienceqa_img",
        "mmbench",
        "mmbench_cn",
        "mme",
        "mmstar",
        "mmmu",
        "seed_bench",
        "ai2d",
        "chartqa",
        "docvqa",
        "infovqa",
        "ocrbench",
        "realworldqa",
        "refcoco",
        "chair",
        "blink",
        "muirbench",
        "videomme",
        "mvbench",
        "scene_vqa",
        "scene_sizes",
        "scene_reading",
    }


@pytest.mark.parametrize("name", TASKS)
def test_the_items_of_a_task_come_in_the_same_order_with_names_of_their_own(name: str) -> None:
    task, again = sample(name), items(name)
    split = task.splits[0]

    found = list(task.items(split, ROWS))

    assert len({item.id for item in found}) == len(found) == task.count(split, ROWS) == ROWS
    assert [(i.id, i.question, i.gold, i.image.tobytes()) for i in found] == [
        (i.id, i.question, i.gold, i.image.tobytes()) for i in again
    ]
    assert [item.id for item in task.items(split, 3)] == [item.id for item in found[:3]]


@pytest.mark.parametrize("name", TASKS)
def test_every_item_has_a_picture_a_question_and_an_answer_that_is_scored(name: str) -> None:
    task = sample(name)

    for item in items(name):
        assert not item.fault
        assert item.picture
        assert item.kind
        assert item.question.strip()
        assert "{" not in item.question
        assert all(isinstance(picture, Image.Image) and picture.mode == "RGB" for picture in item.pictures)
        assert item.question.count(MARK) in (0, len(item.pictures))
        assert task.score(perfect(name, item.gold), item.gold) == 1
        assert task.score(WRONG, item.gold) == 0


@pytest.mark.parametrize("name", TASKS)
def test_a_perfect_answer_keeps_to_the_form_and_silence_does_not(name: str) -> None:
    task = sample(name)
    told = "A red circle on a white table." if name == "chair" else perfect(name, items(name)[0].gold)

    assert task.follows(told)
    assert not task.follows("")


@pytest.mark.parametrize("name", TASKS)
def test_the_summary_of_perfect_answers_is_perfect_and_that_of_wrong_ones_is_not(name: str) -> None:
    task, found = sample(name), items(name)

    right = task.summary([answered(name, item, perfect(name, item.gold)) for item in found])
    wrong = task.summary([answered(name, item, WRONG) for item in found])

    assert right["accuracy"] == 1
    assert wrong["accuracy"] == 0
    better = right[task.headline] > wrong[task.headline]
    assert better or (task.headline == "chair_s" and right["chair_s"] < wrong["chair_s"])


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_every_family_is_asked_about_the_same_thing_in_words_of_its_own(name: str, family: str) -> None:
    usual, own = items(name)[:2], list(sample(name, family).items(sample(name).splits[0], 2))

    assert [(i.id, i.gold) for i in own] == [(i.id, i.gold) for i in usual]
    assert all(item.question.strip() and "{" not in item.question for item in own)
    if family == "llava":
        assert [item.question for item in own] == [item.question for item in usual]


@pytest.mark.parametrize(("answer", "score"), [("Red", 1), (" red. ", 1), ("dark red", 0), ("", 0)])
def test_an_answer_to_a_scene_is_right_but_for_case_and_full_stop(answer: str, score: float) -> None:
    assert SceneVQA().score(answer, "red") == score


@pytest.mark.parametrize("name", TASKS)
def test_an_unknown_split_is_said(name: str) -> None:
    with pytest.raises(ValueError, match="no split called 'exam'"):
        next(sample(name).items("exam", 1))


def test_a_task_that_draws_its_items_takes_no_data(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scene_vqa draws its own items"):
        open_task("scene_vqa", str(tmp_path))


def test_options_of_a_task_are_typed_and_change_what_is_shown(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("sports ball, ball\ntv, television\n")

    films = open_task("videomme", "sample", options=("n_frames=3",)).items("test", 2)
    mine = open_task("chair", "sample", options=(f"words={tmp_path / 'words.txt'}",))

    assert [len(item.pictures) for item in films] == [3, 3]
    assert mine.score("a dog", "[]") == 1  # no object of that list
    assert mine.score("a tv", "[]") == 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("videomme", ("frames=3",), r"videomme has no option 'frames=3'.*known: n_frames \(int\)"),
        ("videomme", ("n_frames",), "write key=value"),
        ("videomme", ("n_frames=many",), "n_frames of videomme must be of the kind int, got 'many'"),
        ("mvbench", ("n_frames=0",), "n_frames must be at least 1, got 0"),
        ("mvbench", ("n_frames=2", "n_frames=3"), "given twice"),
        ("pope", ("data=here",), "pope has no option 'data=here'.*known: none"),
        ("chair", ("words=gone.txt",), r"gone\.txt"),
    ],
)
def test_an_option_that_a_task_has_not_is_said(name: str, options: tuple[str, ...], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        open_task(name, "sample", options=options)


def summary(name: str, told: dict[str, Any]) -> dict[str, float]:
    """Of the ten rows, where an id is told something else than the perfect answer."""
    found = items(name)
    said = [answered(name, item, told.get(item.id, perfect(name, item.gold))) for item in found]
    return sample(name).summary(said)


def test_pope_reports_each_split_and_their_mean() -> None:
    found = items("pope")
    yes = [item for item in found if item.gold == "yes" and item.kind == "random"]

    rates = summary("pope", {item.id: "no" for item in yes})

    assert rates["f1/random"] == 0
    assert rates["f1/popular"] == rates["f1/adversarial"] == 1
    assert rates["f1_mean"] == pytest.approx(2 / 3)
    assert rates["yes_rate"] == (5 - len(yes)) / 10


def test_mme_counts_a_picture_with_one_wrong_answer_as_half_a_point_in_two() -> None:
    found = items("mme")
    assert [item.kind for item in found] == ["color"] * 6 + ["code_reasoning"] * 4

    points = summary("mme", {found[0].id: "maybe"})

    # Three pictures of perception: five answers of six, two pictures of three.
    assert points["perception"] == pytest.approx(100 * (5 / 6 + 2 / 3))
    assert points["cognition"] == 200
    assert points["total"] == points["perception"] + points["cognition"]


def test_seed_bench_reports_films_apart() -> None:
    found = items("seed_bench")
    assert [len(item.pictures) for item in found] == [1] * 8 + [4] * 2

    parts = summary("seed_bench", {found[-1].id: "x"})

    assert parts == {"accuracy": 0.9, "image": 1, "video": 0.5}


def test_textvqa_with_a_hint_differs_from_textvqa_by_the_hint_alone() -> None:
    for plain, hinted in zip(items("textvqa"), items("textvqa_ocr"), strict=True):
        words = ", ".join(json.loads(plain.gold)[0].split())
        assert hinted.question == plain.question.replace("\n", f"\nReference OCR token: {words}\n", 1)
        assert (hinted.id, hinted.gold) == (plain.id, plain.gold)


@pytest.mark.parametrize(
    ("family", "unit"),
    [("llava", (96, 72)), ("qwen3_vl", (96 / 1000, 72 / 1000)), ("qwen2_5_vl", (96 / 84, 72 / 84))],
)
def test_boxes_are_read_in_the_units_of_the_family(family: str, unit: tuple[float, float]) -> None:
    task = sample("refcoco", family)
    item = items("refcoco")[0]
    box = [side / by for side, by in zip(json.loads(item.gold)["box"], unit * 2, strict=True)]

    assert task.score(str(box), item.gold) == 1
    assert task.score(str([0.0, 0.0, *unit]), item.gold) == 0


def test_every_phrase_of_a_row_of_refcoco_is_an_item(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    row = {"question_id": "7", "image": "a.png", "answer": ["the left one", "a cup"], "bbox": [1, 2, 3, 4]}
    (tmp_path / "val.jsonl").write_text(json.dumps(row | {"file_name": "a.png"}) + "\n")
    task = open_task("refcoco", str(tmp_path))

    found = list(task.items("val", None))

    assert [item.id for item in found] == ["7/0", "7/1"]
    assert task.count("val", None) == 2
    assert len({item.picture for item in found}) == 1


def test_a_choice_of_mmbench_leaves_out_options_that_are_not_there() -> None:
    options = {len(json.loads(item.gold)["options"]) for item in items("mmbench")}

    assert options == {3, 4}
