"""Several processes give the rows of one, also if some are killed on the way."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any

import pytest
import yaml

from arr_coc.eval import untrusted
from arr_coc.eval.config import RunConfig
from arr_coc.eval.ranks import Rank
from arr_coc.eval.run import evaluate, total
from arr_coc.eval.terminal import evaluate_with_progress
from tests.tiny_llava import folder

CONFIG = RunConfig(
    model=str(folder()), methods=("stride",), budgets=(16,), limit=22, batch_size=2, examples=0
)


def launch(config: RunConfig) -> "subprocess.Popen[bytes]":
    """`accelerate launch` with two processes on the CPU."""
    settings = Path(config.out) / "settings.yaml"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(yaml.safe_dump(config.plain()))
    words = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    words += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command = ["-m", "arr_coc.eval.cli", "eval", "--config", str(settings)]
    return subprocess.Popen([sys.executable, *words, *command], stdout=subprocess.DEVNULL)


def lines(out: Path) -> list[bytes]:
    return sorted((out / "samples.jsonl").read_bytes().splitlines())


def test_two_processes_of_which_one_is_killed_give_the_rows_of_one(tmp_path: Path) -> None:
    out = tmp_path / "two"
    evaluate(replace(CONFIG, out=str(tmp_path / "one")))

    first = launch(replace(CONFIG, out=str(out)))
    part = out / "samples.1.jsonl"
    while first.poll() is None and not (part.exists() and part.stat().st_size):
        sleep(0.01)
    _kill_rank(first.pid, "1")
    broken = first.wait()
    before = sum(path.read_bytes().count(b"\n") for path in out.glob("samples*.jsonl"))
    again = launch(replace(CONFIG, out=str(out))).wait()

    assert broken != 0
    assert 0 < before < total(CONFIG)
    assert again == 0
    assert lines(out) == lines(tmp_path / "one")
    assert not list(out.glob("samples.*.jsonl"))
    assert (out / "report.html").exists()


def _kill_rank(launcher: int, rank: str) -> None:
    """Kill the worker of a launcher that has this RANK, as an operator or the memory killer would."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children")
    if not children.exists():
        pytest.skip("this system does not say which processes are whose")
    for child in children.read_text().split():
        if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            subprocess.run(["kill", "-9", child], check=True)


def as_rank(monkeypatch: pytest.MonkeyPatch, index: int, of: int) -> None:
    monkeypatch.setenv("RANK", str(index))
    monkeypatch.setenv("WORLD_SIZE", str(of))


def test_any_number_of_processes_one_after_the_other_give_the_rows_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, limit=7, out=str(tmp_path / "three"))
    evaluate(replace(config, out=str(tmp_path / "one")))

    found = []
    for index in (2, 0, 1):
        as_rank(monkeypatch, index, 3)
        done: list[int] = []
        found.append(evaluate(config, lambda n, what, done=done: done.append(n)))  # type: ignore[misc]
        assert sum(done) == total(config, Rank(index, 3))

    assert [results is None for results in found] == [True, True, False]  # the last one has all of them
    assert lines(tmp_path / "three") == lines(tmp_path / "one")


def test_each_process_decodes_the_pictures_of_its_own_batches_and_none_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, task="pope", data="sample", limit=10, out=str(tmp_path))
    decode, opened = untrusted._decoded, []
    monkeypatch.setattr(untrusted, "_decoded", lambda file, name: opened.append(name) or decode(file, name))

    each = []
    for index in (0, 1, 0):
        as_rank(monkeypatch, index, 2)
        evaluate(config)
        each.append(set(opened))
        assert len(opened) == len(each[-1])
        opened.clear()

    assert [len(names) for names in each] == [6, 4, 0]  # five batches of two; then all is done
    assert len(each[0] | each[1]) == 10


def test_shares_add_up_to_the_whole() -> None:
    assert sum(total(CONFIG, Rank(i, 3)) for i in range(3)) == total(CONFIG) == 66


def test_starting_over_is_not_left_to_one_of_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    as_rank(monkeypatch, 0, 2)

    with pytest.raises(ValueError, match="remove the folder"):
        evaluate_with_progress(replace(CONFIG, out=str(tmp_path)), True, Console())


@pytest.mark.parametrize(
    ("rank", "name", "device"),
    [
        (Rank(), "cuda", "cuda"),
        (Rank(3, 8, 1), "cuda", "cuda:1"),
        (Rank(3, 8, 1), "cuda:0", "cuda:0"),
        (Rank(1, 2, 1), "cpu", "cpu"),
    ],
)
def test_every_process_takes_the_accelerator_of_its_own(rank: Rank, name: str, device: str) -> None:
    assert rank.device(name) == device


def test_a_rank_that_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    as_rank(monkeypatch, 2, 2)

    with pytest.raises(ValueError, match="got 2 of 2"):
        Rank.here()


def test_a_model_may_be_spread_over_what_there_is(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="device_map is accelerate's")
    answers: list[Any] = []
    for device in ("cpu", "auto"):
        evaluate(replace(CONFIG, device=device, limit=2, out=str(tmp_path / device)))
        answers.append(lines(tmp_path / device))

    assert answers[0] == answers[1]
