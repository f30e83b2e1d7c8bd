"""VLMEvalKit's own loop and base class, around the bridge, come to the answers of `arr-coc eval`.

The package asks for hundreds of others, so the two are taken out of it; what they import is stood in for.
"""

import mimetypes
import os
import pickle
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas
import pytest
import torch
from PIL import Image

from arr_coc.eval.config import RunConfig
from arr_coc.eval.run import evaluate
from arr_coc.eval.samples import read
from arr_coc.eval.tasks import Item
from arr_coc.eval.tasks.scene_vqa import SceneVQA
from tests.lmms import installed, taken
from tests.tiny_llava import folder

N = 6


@pytest.fixture
def kit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """(the bridge, VLMEvalKit's `infer_data`)."""
    root = installed("vlmeval", "ms-vlmeval")
    no_url = SimpleNamespace(url=lambda text: False)
    files = taken(root / "smp" / "file.py", "parse_file", osp=os.path, mimetypes=mimetypes, validators=no_url)
    stand_ins: dict[str, dict[str, Any]] = {
        "vlmeval": {"__path__": []},
        "vlmeval.dataset": {"DATASET_TYPE": lambda name: "VQA"},
        "vlmeval.smp": files
        | dict.fromkeys(("concat_images_vlmeval", "encode_image_to_base64", "listinstr")),
        "vlmeval.vlm": {"__path__": [str(root / "vlm")]},  # its base.py is the real one
        "vlmeval.config": {"supported_VLM": {}},
    }
    for name, holds in stand_ins.items():
        module = ModuleType(name)
        vars(module).update(holds)
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("vlmeval.vlm.base", "arr_coc.eval.vlmevalkit_bridge"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    loop = taken(
        root / "inference.py", "infer_data", osp=os.path, os=os, torch=torch, warnings=warnings,
        tqdm=lambda numbers, desc: numbers, get_rank_and_world_size=lambda: (0, 1),
        supported_VLM=sys.modules["vlmeval.config"].supported_VLM,
        load=lambda path: pickle.loads(Path(path).read_bytes()),
        dump=lambda what, path: Path(path).write_bytes(pickle.dumps(what)),
    )["infer_data"]  # fmt: skip
    yield SimpleNamespace(bridge=import_module("arr_coc.eval.vlmevalkit_bridge"), infer_data=loop)
    sys.modules.pop("arr_coc.eval.vlmevalkit_bridge", None)
    sys.modules.pop("vlmeval.vlm.base", None)


class Scenes:
    """SceneVQA as a data set of VLMEvalKit."""

    dataset_name = "scenes"

    def __init__(self, items: list[Item], place: Path) -> None:
        self.data = pandas.DataFrame(
            [{"index": i.id, "image": str(place / f"{i.id}.png"), "question": i.question} for i in items]
        )
        for item in items:
            item.image.save(place / f"{item.id}.png")

    def __len__(self) -> int:
        return len(self.data)

    def build_prompt(self, row: Any) -> list[dict[str, str]]:
        return [{"type": "image", "value": row["image"]}, {"type": "text", "value": row["question"]}]

    def dump_image(self, row: Any) -> str:
        return str(row["image"])


def test_the_loop_of_vlmevalkit_comes_to_the_answers_of_arr_coc_eval(kit: Any, tmp_path: Path) -> None:
    scenes = Scenes(list(SceneVQA().items("test", N)), tmp_path)
    model = kit.bridge.ArrCoc(pretrained="nano-llava", scorer="efe", budget=0.11, max_new_tokens=4)
    out = tmp_path / "theirs.pkl"

    kit.infer_data(model, "arr_coc", str(tmp_path), scenes, str(out))
    evaluate(
        RunConfig(methods=("efe",), budgets=(0.11,), limit=N, batch_size=1, examples=0, out=str(tmp_path))
    )

    ours = {s.id: s.answer for s in read(tmp_path / "samples.jsonl") if s.method == "efe"}
    assert pickle.loads(out.read_bytes()) == ours
    assert len(set(ours.values())) > 2


@pytest.fixture
def model(kit: Any) -> Any:
    return kit.bridge.ArrCoc(pretrained=str(folder()), scorer="stride", budget=16, max_new_tokens=2)


@pytest.fixture
def red(tmp_path: Path) -> str:
    Image.new("RGB", (192, 192), "red").save(tmp_path / "red.png")
    return str(tmp_path / "red.png")


def test_texts_and_pictures_keep_their_order(kit: Any, red: str) -> None:
    question = kit.bridge._question
    picture, first, second = ({"type": "image", "value": red}, *({"type": "text", "value": t} for t in "ab"))

    assert question([picture, first, second]) == "a\nb"
    assert question([first, picture, second, picture]) == "a<image>b<image>"


def test_a_message_may_be_written_in_any_way_that_vlmevalkit_takes(model: Any, red: str) -> None:
    parts = [{"type": "image", "value": red}, {"type": "text", "value": "is there a red circle ?"}]

    assert model.generate([red, "is there a red circle ?"]) == model.generate(parts) != ""


def test_a_question_that_has_no_answer_is_an_error_to_vlmevalkit(model: Any, tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"no picture")

    with pytest.raises(RuntimeError, match=r"no answer about .*torn\.png: item: .*is not a picture"):
        model.generate([str(tmp_path / "torn.png"), "is there a red circle ?"])
    with pytest.raises(ValueError, match="shows no picture"):
        model.generate("is there a red circle ?")


def test_it_is_added_under_a_name_and_as_a_class_for_configurations(kit: Any) -> None:
    kit.bridge.add()

    assert sys.modules["vlmeval.config"].supported_VLM == {"arr_coc": kit.bridge.ArrCoc}
    assert sys.modules["vlmeval.vlm"].ArrCoc is kit.bridge.ArrCoc
