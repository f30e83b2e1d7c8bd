"""The configuration: its references, its errors, its file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from arr_coc.eval.config import RunConfig
from arr_coc.eval.folder import claim, settings_from
from arr_coc.eval.method import BLIND, FULL, Method


def test_the_full_budget_is_run_once_and_both_references_always() -> None:
    config = RunConfig(methods=("efe", "random"), budgets=(1.0, 0.5))

    assert config.settings() == [(BLIND, 0), (FULL, 1.0), (Method("efe"), 0.5), (Method("random"), 0.5)]
    assert RunConfig(methods=("blind", "full"), budgets=(64,)).settings() == [(BLIND, 0), (FULL, 1.0)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"methods": ()}, "methods is empty"),
        ({"budgets": ()}, "budgets is empty"),
        ({"methods": ("efe", "efe")}, "names one twice"),
        ({"methods": ("efe", "efe+merge"), "merge": True}, "are the same"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"dtype": "int8"}, "dtype must be one of"),
    ],
)
def test_a_setting_that_makes_no_sense_is_said_at_once(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RunConfig(**settings)


def test_the_file_beside_the_results_gives_the_same_configuration_again(tmp_path: Path) -> None:
    config = RunConfig(
        task="mvbench", task_options=("n_frames=4",), methods=("efe+ln_n",), budgets=(0.25, 64), limit=5,
        out=str(tmp_path),
    )  # fmt: skip

    claim(config, "weights")

    assert RunConfig(**settings_from(tmp_path / "config.yaml")) == config


def test_the_positions_are_part_of_the_configuration_and_of_the_methods_name(tmp_path: Path) -> None:
    config = RunConfig(methods=("efe", "divprune"), budgets=(0.25,), positions="compact", out=str(tmp_path))

    assert config.plain()["positions"] == "compact"
    assert [method.name for method in config.parsed()] == ["efe+compact", "divprune+compact"]
    claim(config, "weights")
    with pytest.raises(ValueError, match="with positions: compact"):
        claim(replace(config, positions="original"), "weights")


def test_an_unknown_key_in_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("modle: nano-llava\n")

    with pytest.raises(ValueError, match="unknown key 'modle'"):
        settings_from(tmp_path / "mine.yaml")


@pytest.mark.parametrize("text", ["limit: ten", "methods: efe", "merge: 1", "seed: 0.5"])
def test_a_value_of_the_wrong_kind_in_a_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)

    with pytest.raises(ValueError, match=rf"{text.split(':')[0]} must be of the kind of"):
        settings_from(tmp_path / "mine.yaml")


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['true']", "- a\n- b\n", "a: [", "\x00"])
def test_yaml_that_is_no_mapping_of_plain_values_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)

    with pytest.raises(ValueError, match=r"mine\.yaml"):
        settings_from(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("change", "key"), [({"limit": 6}, "limit"), ({"budgets": (0.5,)}, "budgets"), ({"seed": 1}, "seed")]
)
def test_a_folder_of_another_configuration_is_refused_naming_the_key(
    tmp_path: Path, change: dict[str, Any], key: str
) -> None:
    ours = {"limit": 5, "budgets": (0.25,), "seed": 0, "out": str(tmp_path)}
    claim(RunConfig(**ours), "weights")  # type: ignore[arg-type]

    with pytest.raises(ValueError, match=rf"with {key}: .*Choose another --out, or add --fresh"):
        claim(RunConfig(**(ours | change)), "weights")


def test_a_folder_of_other_weights_is_refused(tmp_path: Path) -> None:
    claim(RunConfig(out=str(tmp_path)), "before training")

    with pytest.raises(ValueError, match="with weights: before training, this one has after training"):
        claim(RunConfig(out=str(tmp_path)), "after training")


def test_results_go_to_a_folder_named_after_the_task_and_after_nothing_else() -> None:
    assert RunConfig(task="pope", name="a").folder == Path("runs/pope/a")
    assert RunConfig(task="pope", out="here").folder == Path("here")
    with pytest.raises(KeyError, match="no task called"):
        _ = RunConfig(task="../up").folder
