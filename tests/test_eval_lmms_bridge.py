"""lmms-eval runs arr-coc as one of its models, and comes to the answers of `arr-coc eval`."""

import json
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, Features, Value
from datasets import Image as Picture
from PIL import Image, ImageFile

from arr_coc.eval.config import RunConfig
from arr_coc.eval.run import evaluate
from arr_coc.eval.samples import read
from arr_coc.eval.tasks.scene_vqa import SceneVQA
from tests.tiny_llava import folder

lmms_eval = pytest.importorskip("lmms_eval.api.instance", reason="lmms-eval is not installed")
Instance = lmms_eval.Instance
N = 12
TASK = """
task: scenes
dataset_path: parquet
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_visual: !function rules.pictures
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
process_results: !function rules.scores
generation_kwargs: {{max_new_tokens: 4, temperature: 0, do_sample: false}}
metric_list: [{{metric: right, aggregation: mean, higher_is_better: true}}]
"""
RULES = """
def pictures(doc):
    return [doc["image"]]

def scores(doc, results):
    return {"right": float(results[0].strip().lower() == doc["answer"].lower())}
"""


def scenes(place: Path) -> None:
    """SceneVQA as a task of lmms-eval: rows, a YAML file, and two functions."""
    rows = [
        {"id": item.id, "image": item.image, "question": item.question, "answer": item.gold}
        for item in SceneVQA().items("test", N)
    ]
    kinds = {"id": Value("string"), "question": Value("string"), "answer": Value("string")}
    Dataset.from_list(rows, features=Features(kinds | {"image": Picture()})).to_parquet(
        place / "rows.parquet"
    )
    (place / "scenes.yaml").write_text(TASK.format(rows=place / "rows.parquet"))
    (place / "rules.py").write_text(RULES)


def test_a_task_of_lmms_eval_comes_to_the_answers_and_the_accuracy_of_arr_coc_eval(tmp_path: Path) -> None:
    scenes(tmp_path)
    words = ["--model", "arr_coc", "--model_args", "pretrained=nano-llava,scorer=efe,budget=0.11"]
    words += ["--tasks", "scenes", "--include_path", str(tmp_path), "--batch_size", "4", "--log_samples"]
    command = [sys.executable, "-m", "lmms_eval", *words, "--output_path", str(tmp_path / "theirs")]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}

    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    found = evaluate(
        RunConfig(methods=("efe",), budgets=(0.11,), limit=N, batch_size=4, examples=0, out=str(tmp_path))
    )

    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "theirs").rglob("*_samples_scenes.jsonl")), done.stdout + done.stderr
    (logged,) = (tmp_path / "theirs").rglob("*_samples_scenes.jsonl")
    (summed,) = (tmp_path / "theirs").rglob("*_results.json")
    lines = [json.loads(line) for line in logged.read_text().splitlines()]
    theirs = {f"test-{line['doc_id']:06d}": line["filtered_resps"] for line in lines}
    ours = {s.id: s.answer for s in read(tmp_path / "samples.jsonl") if s.method == "efe"}
    assert theirs == ours
    assert len(set(ours.values())) > 4
    assert found is not None
    right = json.loads(summed.read_text())["results"]["scenes"]["right,none"]
    assert right == found["rows"][-1]["accuracy"]


@pytest.fixture
def model() -> Iterator[Any]:
    """The bridge around a tiny model, which knows one document."""
    strict = ImageFile.LOAD_TRUNCATED_IMAGES  # lmms-eval lets torn pictures pass, for everybody
    from arr_coc.eval.lmms_bridge import ArrCoc

    made = ArrCoc(pretrained=str(folder()), scorer="stride", budget=16, batch_size=2)
    made.task_dict = {"task": {"test": [{"image": Image.new("RGB", (192, 192), "red")}]}}
    yield made
    ImageFile.LOAD_TRUNCATED_IMAGES = strict


def request(shown: Any = None, **given: Any) -> Instance:
    """As lmms-eval makes one."""
    pictures = (lambda doc: [doc["image"]]) if shown is None else lambda doc: shown
    question = "is there a red circle ?"
    asked = (question, {"max_new_tokens": 2} | given, pictures, 0, "task", "test")
    return Instance("generate_until", asked, 0, {"task": "task", "doc_id": 0, "repeats": 1})


def test_answers_come_in_the_order_of_the_requests_and_end_where_the_task_says(model: Any) -> None:
    blue = Image.new("RGB", (192, 192), "blue")
    asked = [request(max_new_tokens=n, shown=shown) for n in (3, 1, 3) for shown in (None, [blue])]
    alone = [model.generate_until([one])[0] for one in asked]

    assert model.generate_until(asked) == alone
    word = alone[0].split()[0]
    assert model.generate_until([request(max_new_tokens=3, until=[word])]) == [""]
    assert model.generate_until([request(max_new_tokens=3, until=word)]) == [""]


def test_pictures_and_films_may_be_paths_and_one_that_is_gone_counts_as_wrong(
    model: Any, tmp_path: Path
) -> None:
    red, blue = (Image.new("RGB", (192, 192), color) for color in ("red", "blue"))
    red.save(tmp_path / "red.png")
    red.save(tmp_path / "film.gif", save_all=True, append_images=[blue])

    plain, path, gone = model.generate_until(
        [request(), *(request(shown=[str(tmp_path / name)]) for name in ("red.png", "gone.png"))]
    )
    film = model._bridge.item("film", "is it red ?", [str(tmp_path / "film.gif")])

    assert plain == path != ""
    assert gone == ""
    assert [picture.tobytes() for picture in film.pictures] == [red.tobytes(), blue.tobytes()]


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        (request(do_sample=True, temperature=0.7), ValueError, "the task wants sampling: add --gen_kwargs"),
        (request(num_beams=3), ValueError, "the task wants 3 beams"),
        (request(shown=[]), ValueError, "question 0 shows no picture"),
        (request(shown=[{"array": [0.0], "sampling_rate": 16}]), TypeError, "got dict: take another task"),
    ],
)
def test_what_would_be_ignored_in_silence_is_refused(
    model: Any, asked: Instance, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        model.generate_until([asked])


def test_the_model_makes_room_when_everything_is_answered(model: Any) -> None:
    weights = weakref.ref(model._bridge.loaded.model)

    model.clean()

    assert weights() is None
    assert model.device == torch.device("cpu")


def test_what_is_not_supported_says_what_to_take_instead(model: Any) -> None:
    with pytest.raises(NotImplementedError, match="cannot do loglikelihood: take its version that generates"):
        model.loglikelihood([])
    with pytest.raises(NotImplementedError, match="cannot do several rounds"):
        model.generate_until_multi_round([])
