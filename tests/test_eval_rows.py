"""Rows from folders and files: found, counted, and refused in one sentence where they are wrong."""

import json
from io import BytesIO
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import pytest
from datasets import load_dataset
from PIL import Image

from arr_coc.eval.nano.drawn import Drawn
from arr_coc.eval.tasks import TASKS
from arr_coc.eval.tasks.blink import BLINK
from arr_coc.eval.tasks.film import find, frames, middles
from arr_coc.eval.tasks.pope import POPE
from arr_coc.eval.tasks.task import SAMPLES, looked_at, open_task

TABLES = sorted(SAMPLES.rglob("*.parquet"))
ROW = {
    "question_id": "1",
    "question": "Is there a dog?",
    "answer": "yes",
    "image_source": "a",
    "category": "random",
}


def jsonl(folder: Path, *changes: dict[str, Any], name: str = "test.jsonl") -> Path:
    Image.new("RGB", (32, 32), "red").save(folder / "a.png")
    rows = [
        ROW | {"question_id": str(number), "image": "a.png"} | more for number, more in enumerate(changes)
    ]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


def faults(data: Path) -> list[str]:
    return [looked_at(item).fault for item in POPE(str(data)).items("test", None)]


@pytest.mark.parametrize("table", TABLES, ids=[str(path.relative_to(SAMPLES)) for path in TABLES])
def test_a_sample_is_a_table_that_datasets_loads_with_its_pictures(table: Path, tmp_path: Path) -> None:
    rows = load_dataset("parquet", data_files=str(table), split="train", cache_dir=str(tmp_path))

    assert len(rows) == 10
    shown = [name for name, kind in rows.features.items() if "Image" in repr(kind)]
    assert shown or "instructions" in str(table) or "videomme" in str(table)
    assert all(isinstance(rows[0][name], Image.Image | list | None) for name in shown)


def test_the_samples_are_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 2**20


def test_a_file_and_a_folder_that_holds_it_give_the_same_items(tmp_path: Path) -> None:
    file = jsonl(tmp_path, {}, {"answer": "no"})
    from_file, from_folder = (list(POPE(str(data)).items("test", None)) for data in (file, tmp_path))

    assert [(i.id, i.gold, i.image.tobytes()) for i in from_file] == [
        (i.id, i.gold, i.image.tobytes()) for i in from_folder
    ]
    assert POPE(str(file)).count("test", None) == POPE(str(tmp_path)).count("test", None) == 2
    assert POPE(str(file)).count("test", 1) == 1


def test_a_folder_gives_the_split_that_is_asked_for(tmp_path: Path) -> None:
    jsonl(tmp_path, {}, name="test.jsonl")
    jsonl(tmp_path, {}, {}, name="train.jsonl")

    assert POPE(str(tmp_path)).count("test", None) == 1


def test_a_folder_without_the_split_says_so(tmp_path: Path) -> None:
    jsonl(tmp_path, {}, name="train.jsonl")

    with pytest.raises(FileNotFoundError, match="no table of the split 'test'"):
        POPE(str(tmp_path)).count("test", None)


def test_a_row_with_a_damaged_picture_is_a_fault_and_the_others_go_on(tmp_path: Path) -> None:
    file = BytesIO()
    Image.effect_noise((64, 64), 50).save(file, "JPEG")
    (tmp_path / "torn.jpg").write_bytes(file.getvalue()[:-300])
    found = faults(jsonl(tmp_path, {}, {"image": "torn.jpg"}, {"image": "gone.png"}, {"image": None}, {}))

    assert [bool(fault) for fault in found] == [False, True, True, True, False]
    assert "is damaged" in found[1]
    assert "no picture at" in found[2]
    assert "no picture is given" in found[3]


def test_a_row_without_an_answer_is_a_fault(tmp_path: Path) -> None:
    assert faults(jsonl(tmp_path, {"answer": None}, {})) == ["no right answer is given", ""]


def test_a_row_with_an_empty_cell_is_a_fault(tmp_path: Path) -> None:
    assert [bool(fault) for fault in faults(jsonl(tmp_path, {"question": None}, {}))] == [True, False]


def test_an_id_that_was_used_before_is_a_fault_under_a_name_of_its_own(tmp_path: Path) -> None:
    found = list(POPE(str(jsonl(tmp_path, {}, {"question_id": "0"}))).items("test", None))

    assert [item.id for item in found] == ["random-0", "random-0#1"]
    assert found[1].fault == "the id random-0 was used before"


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "sub/../../secret.png"])
def test_a_picture_outside_the_folder_of_the_data_is_not_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")

    assert "leads out of" in faults(jsonl(tmp_path / "data", {"image": name}))[0]


def test_a_table_of_another_schema_names_the_column_that_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text('{"question": "?", "picture": "a.png"}\n')

    with pytest.raises(
        ValueError, match=r"POPE needs the column 'category', the table has: question, picture"
    ):
        list(POPE(str(tmp_path)).items("test", None))


@pytest.mark.parametrize("name", ["test.jsonl", "test.parquet"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x00 this is no table\n")

    with pytest.raises(ValueError, match="cannot be read as a table"):
        list(POPE(str(tmp_path / name)).items("test", None))


def test_data_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no data at"):
        POPE(str(tmp_path / "gone.parquet")).count("test", None)


def test_a_file_of_another_kind_is_said(tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text("a\tb\n")

    with pytest.raises(ValueError, match=r"is no table: give one of \.parquet"):
        POPE(str(tmp_path / "test.tsv")).count("test", None)


def test_without_data_the_hub_is_asked_for_a_stream_of_each_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No network here: what `datasets` is asked for, and what comes of a table that it would give."""
    asked: list[Any] = []
    table = load_dataset("parquet", data_files=str(SAMPLES / "blink.parquet"), split="train", streaming=True)
    sizes = SimpleNamespace(info=SimpleNamespace(splits={"val": SimpleNamespace(num_examples=10)}))
    monkeypatch.setattr(datasets, "load_dataset", lambda *given, **how: asked.append((given, how)) or table)
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda repo, config: sizes)

    found = list(islice(BLINK().items("val", None), 12))

    assert [item.fault == "" for item in found] == [True] * 10 + [
        False
    ] * 2  # the second one has the same ids
    assert asked == [
        (("BLINK-Benchmark/BLINK", test), {"split": "val", "streaming": True})
        for test in ("Art_Style", "Counting")
    ]
    assert BLINK().count("val", None) == 140


def test_a_hub_that_does_not_answer_is_said_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*given: Any, **how: Any) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", gone)
    monkeypatch.setattr(datasets, "load_dataset_builder", gone)

    with pytest.raises(
        FileNotFoundError, match=r"cannot load somebody/POPE: .*give a local folder \(no route\)"
    ):
        POPE("somebody/POPE").count("test", None)
    with pytest.raises(FileNotFoundError, match="cannot load"):
        next(POPE().items("test", 1))


@pytest.mark.parametrize("name", ["chair", "videomme", "mvbench"])
def test_what_the_hub_cannot_stream_asks_for_a_folder(name: str) -> None:
    task = open_task(name)

    with pytest.raises(FileNotFoundError, match="give"):
        task.count(task.splits[0], None)


def test_no_task_lets_a_data_set_run_code() -> None:
    folder = Path(__file__).parents[1] / "eval" / "tasks"

    assert not [path for path in folder.rglob("*.py") if "trust_remote_code" in path.read_text()]
    assert len(TASKS) == 28


@pytest.mark.parametrize(
    ("total", "n", "expected"), [(10, 2, [2, 7]), (3, 8, [0, 1, 2]), (7, 1, [3]), (0, 4, [])]
)
def test_frames_are_the_middles_of_equal_parts(total: int, n: int, expected: list[int]) -> None:
    assert middles(total, n) == expected


def grey(image: Image.Image) -> int:
    return int(image.convert("L").resize((1, 1)).tobytes()[0])


def shades(n: int) -> list[Image.Image]:
    return [Image.new("RGB", (64, 48), (8 * at,) * 3) for at in range(n)]


def test_a_folder_of_frames_is_a_film(tmp_path: Path) -> None:
    for number, image in enumerate(shades(20)):
        image.save(tmp_path / f"{number:03d}.png")

    assert [grey(image) for image in frames(tmp_path, 4)] == [8 * at for at in middles(20, 4)]


def test_a_filmed_film_gives_frames_evenly_spaced_in_time(tmp_path: Path) -> None:
    import av

    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for image in shades(20):
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode())

    found = [grey(image) for image in frames(path, 4)]

    assert found == pytest.approx([8 * at for at in middles(20, 4)], abs=9)  # a frame off, and lossy


def test_a_film_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"this is no film" * 100)

    with pytest.raises(ValueError, match="is not a film"):
        frames(tmp_path / "film.mp4", 4)


@pytest.mark.parametrize("name", ["ai2d", "videomme", "gqa"])
def test_items_are_named_and_measured_without_a_picture_being_decoded(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(Drawn, "load", lambda picture: opened.append(name))

    found = list(open_task(name, "sample").items(open_task(name).splits[0], None))

    assert {item.image.size for item in found} == {(96, 72)}
    assert len({item.picture for item in found}) in (5, 10)
    assert not opened


def test_of_two_films_of_one_name_the_one_in_the_named_folder_is_taken(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "film.mp4").touch()

    assert find(tmp_path, "film", "b") == tmp_path / "b" / "film.mp4"
    assert find(tmp_path, "film.mp4") == tmp_path / "a" / "film.mp4"
