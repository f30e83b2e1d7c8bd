"""Loading a model: where from, what is refused, what is said."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from arr_coc.eval.config import RunConfig
from arr_coc.eval.models import load, source_of
from arr_coc.eval.run import evaluate
from arr_coc.family import FAMILIES, REFUSED
from tests.tiny_llava import folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder(), tmp_path / "model"))


def change(path: Path, **entries: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_a_folder_is_loaded_ready_to_answer() -> None:
    loaded = load(str(folder()))

    assert loaded.model.config.model_type == "llava"
    assert not loaded.model.training
    assert loaded.processor.tokenizer.pad_token is not None


def test_the_name_of_the_weights_changes_with_them() -> None:
    loaded = load(str(folder()))
    before = loaded.weights

    with torch.no_grad():
        loaded.model.model.language_model.layers[1].mlp.up_proj.weight[0, 0] += 1

    assert before == load(str(folder())).weights != loaded.weights


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(KeyError, match=r"no model called 'nonsense'.*a folder, or a Hugging Face name"):
        source_of("nonsense")


def test_a_hub_name_is_passed_on() -> None:
    assert source_of("llava-hf/llava-1.5-7b-hf") == "llava-hf/llava-1.5-7b-hf"


def test_a_hub_that_cannot_be_reached_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(FileNotFoundError, match=r"cannot load 'no/such-model'.*cannot be reached"):
        load("no/such-model")


def test_an_empty_folder_is_told_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"the folder must hold config\.json"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("bert", r"'bert' takes no pictures with its questions.*Known: .*llava"),
        ("mllama", r"'mllama' cannot be pruned here: .*cross-attention"),
        ("florence2", r"no model family called 'florence2'.*no decoder where most models have theirs"),
    ],
)
def test_what_cannot_be_pruned_is_refused_before_weights_are_read(
    copy: Path, monkeypatch: pytest.MonkeyPatch, kind: str, reason: str
) -> None:
    monkeypatch.delitem(REFUSED._parts, "florence2", raising=False)  # as if nobody had looked at it yet
    change(copy / "config.json", model_type=kind, text_config={}, vision_config={})
    (copy / "model.safetensors").unlink()

    with pytest.raises(ValueError, match=reason):
        load(str(copy))


def test_a_type_that_nobody_declared_is_evaluated_like_a_declared_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunConfig(
        model=str(folder()), methods=("efe",), budgets=(16,), limit=3, batch_size=3, examples=0
    )
    evaluate(replace(config, out=str(tmp_path / "declared")))
    monkeypatch.delitem(FAMILIES._parts, "llava")

    results = evaluate(replace(config, out=str(tmp_path / "undeclared")))

    assert results is not None
    assert not results["failures"]["reasons"]
    lines = [(tmp_path / name / "samples.jsonl").read_bytes() for name in ("declared", "undeclared")]
    assert lines[0] == lines[1]


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")

    with pytest.raises(FileNotFoundError, match="safetensors"):
        load(str(copy))


def test_code_in_a_model_folder_is_not_run(copy: Path, tmp_path: Path) -> None:
    (copy / "evil.py").write_text(f"open({str(tmp_path / 'pwned')!r}, 'w')\nclass Config: ...\n")
    change(copy / "config.json", model_type="evil", auto_map={"AutoConfig": "evil.Config"})

    with pytest.raises(ValueError, match=r"evil|trust_remote_code"):
        load(str(copy))
    assert not (tmp_path / "pwned").exists()


def test_a_device_that_is_not_there_is_said() -> None:
    with pytest.raises(ValueError, match=r"device 'warp:9' cannot be used here.*try cpu"):
        load(str(folder()), device="warp:9")
