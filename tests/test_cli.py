"""The command line: help, errors in one line with exit code 2, and every command once."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from arr_coc.eval import looking
from arr_coc.eval.cli import main
from tests.tiny_llava import folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Calls the command with words; returns (exit code, stdout, stderr)."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("ARR_COC_DEBUG", raising=False)

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["arr-coc", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return call


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny model in the place of the shipped one."""
    monkeypatch.setattr("arr_coc.eval.models.MODELS", {"nano-llava": folder()})


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.effect_noise((300, 200), 60).convert("RGB").save(tmp_path / "mine.png")
    return tmp_path / "mine.png"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["demo"],
        ["ask"],
        ["eval"],
        ["bench"],
        ["bench", "prefill"],
        ["bench", "agent"],
        ["cite"],
        ["compare"],
        ["leaderboard"],
        ["export"],
        ["bench", "sweep"],
        ["bench", "efficiency"],
        ["bench", "kills"],
    ],
)
def test_every_command_explains_itself(run, words: list[str]) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run(*words, "--help")

    assert code == 0
    assert "Usage" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["eval", "--budgets", "2.0"], "keep_ratio must lie in (0, 1], got 2.0"),
        (["eval", "--budgets", "0"], "at least one token"),
        (["eval", "--methods", "efee"], "did you mean 'efe'?"),
        (["eval", "--methods", "efe+log"], "unknown switch 'log'"),
        (["eval", "--task", "scene"], "did you mean 'scene_vqa'?"),
        (["eval", "--model", "nano-lava"], "no model called 'nano-lava'"),
        (["eval", "--config", "gone.yaml"], "gone.yaml"),
        (["ask", "gone.png", "what is this?"], "no picture at gone.png"),
        (["eval", "--name", "../up"], "name must be letters"),
        (["eval", "--task", "pope", "--data", "gone"], "gone"),
        (["eval", "--task", "videomme", "--task-option", "frames=2"], "known: n_frames (int)"),
        (["compare", "gone", "gone"], "no samples in gone"),
        (["export", "gone", "out.parquet"], "no samples in gone"),
        (["export", "gone", "out.xlsx"], "give a file of .parquet"),
        (["leaderboard", "gone"], "no evaluation below gone"),
        (["cite", "efee"], "did you mean 'efe'?"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(  # type: ignore[no-untyped-def]
    run, words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    code, _, err = run(*words)

    assert code == 2
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_an_unknown_option_is_exit_code_2(run) -> None:  # type: ignore[no-untyped-def]
    assert run("eval", "--buget", "64")[0] == 2


@pytest.mark.parametrize("extra", ["typer", "jinja2", "matplotlib.figure"])
def test_a_missing_extra_says_what_to_install(  # type: ignore[no-untyped-def]
    run, extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, extra, None)
    if extra == "typer":
        monkeypatch.delitem(sys.modules, "arr_coc.eval.commands", raising=False)

    words = [
        "--model",
        folder(),
        "--limit",
        1,
        "--methods",
        "stride",
        "--budgets",
        "16",
        "--out",
        tmp_path / "o",
    ]
    code, _, err = run("eval", *words)

    assert code == 2
    assert "pip install 'arr-coc[eval]'" in err


def test_list_names_what_there_is(run) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run("list")

    assert code == 0
    assert all(name in out for name in ("scene_vqa", "efe", "divprune", "top_k", "qwen3_vl"))
    assert "--task-option n_frames=8" in " ".join(out.split())


def test_cite_gives_the_source(run) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run("cite", "divprune")

    assert code == 0
    assert "divprune" in out


def test_ask_answers_twice_and_draws_what_was_kept(run, shipped, picture: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, err = run(
        "ask", picture, "is there a red cross ?", "--budget", "64", "--out", tmp_path / "kept.png"
    )

    assert (code, err) == (0, "")
    assert "64 of 576" in out
    assert "576 of 576" in out
    assert (tmp_path / "kept.png").exists()


def test_ask_wants_a_question(run, picture: Path) -> None:  # type: ignore[no-untyped-def]
    code, _, err = run("ask", picture, "  ")

    assert code == 2
    assert "the question is empty" in err


def test_demo_writes_everything_it_promises_and_goes_on_if_run_again(run, shipped, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    words = ["demo", "--limit", 4, "--batch-size", 4, "--out", tmp_path / "demo"]

    code, out, _ = run(*words)
    again, _, _ = run(*words)

    assert (code, again) == (0, 0)
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {
        ".lock", "config.yaml", "samples.jsonl", "timings.jsonl", "results.json", "report.html", "report.md",
        "accuracy_vs_tokens.png",
        "kept_0.png", "kept_1.png", "kept_2.png",
    }  # fmt: skip
    results = json.loads((tmp_path / "demo" / "results.json").read_text())
    assert len(results["rows"]) == 2 + 5 * 4
    assert "divprune" in out
    assert (tmp_path / "demo" / "report.html").read_text().count("data:image/png") == 4


def test_fresh_starts_over_and_leaves_other_files_alone(run, shipped, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    words = ["eval", "--methods", "stride", "--budgets", "16", "--out", tmp_path]
    run(*words, "--limit", 1)
    (tmp_path / "notes.txt").write_text("mine")

    refused, _, err = run(*words, "--limit", 2)
    code, _, _ = run(*words, "--limit", 2, "--fresh")

    assert refused == 2
    assert "limit: 1" in err
    assert code == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_configuration_file_is_overruled_by_options(run, shipped, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "mine.yaml").write_text("methods: [stride]\nbudgets: [16]\nlimit: 3\n")

    code, _, _ = run("eval", "--config", tmp_path / "mine.yaml", "--limit", 1, "--out", tmp_path / "out")

    assert code == 0
    assert len((tmp_path / "out" / "samples.jsonl").read_text().splitlines()) == 3  # blind, full, stride


def test_all_items_are_asked_without_a_limit(run, shipped, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    words = ["--task", "pope", "--data", "sample", "--methods", "full", "--budgets", "1.0", "--examples", 0]

    code, _, _ = run("eval", *words, "--limit", 0, "--out", tmp_path)

    assert code == 0
    assert len((tmp_path / "samples.jsonl").read_text().splitlines()) == 2 * 10  # blind and full


def test_two_runs_are_compared_and_ranked(run, shipped, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for method in ("stride", "random"):
        words = ["--methods", method, "--budgets", "16", "--limit", 3, "--examples", 0]
        code, _, _ = run("eval", *words, "--out", tmp_path, "--name", method)
        assert code == 0

    compared, table, _ = run("compare", tmp_path / "stride", tmp_path / "random", "--markdown")
    ranked, board, _ = run("leaderboard", tmp_path)
    exported, _, _ = run("export", tmp_path / "stride", tmp_path / "stride.parquet")

    assert (compared, ranked, exported) == (0, 0, 0)
    assert (tmp_path / "stride.parquet").exists()
    assert "| `stride` | `random` | 16 |" in table
    assert board.count("scene_vqa") == 6


def test_answers_that_failed_are_said_and_give_exit_code_3(  # type: ignore[no-untyped-def]
    run, shipped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = looking.answer

    def picky(loaded: object, prompt: object, allocator: object, longest: int, watch: bool) -> object:
        if allocator is None:
            raise RuntimeError("[bold]no[/bold] kernel")
        return answer(loaded, prompt, allocator, longest, watch)  # type: ignore[arg-type]

    monkeypatch.setattr(looking, "answer", picky)
    words = ["--methods", "stride", "--budgets", "16", "--limit", 2, "--examples", 0, "--out", tmp_path]

    code, out, _ = run("eval", *words)

    assert code == 3
    assert "2 answers failed and count as wrong" in out
    assert "[bold]no[/bold] kernel" in out
    assert "[bold]no[/bold] kernel" in (tmp_path / "report.html").read_text()
