"""What goes wrong is written down with the item, and everything else goes on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from PIL import Image

from arr_coc.eval import asking, looking
from arr_coc.eval.config import RunConfig
from arr_coc.eval.run import evaluate
from arr_coc.eval.samples import Sample, read
from arr_coc.eval.tasks import Item
from arr_coc.eval.tasks.scene_vqa import SceneVQA
from arr_coc.eval.tasks.task import Answered
from tests.tiny_llava import folder

RIGHT = SceneVQA()


@dataclass(frozen=True)
class Faulty:
    """SceneVQA with one item of every fault."""

    max_new_tokens: ClassVar[int] = 2
    headline: ClassVar[str] = "accuracy"
    splits: ClassVar[tuple[str, ...]] = ("test",)

    def items(self, split: str, limit: int | None) -> Iterator[Item]:
        good = list(RIGHT.items(split, 6))
        good[1] = replace(good[1], fault="the picture cannot be opened")
        good[2] = replace(good[2], id=good[0].id)
        good[3] = replace(good[3], gold="unreadable")
        good[4] = replace(good[4], image=Torn())
        return islice(iter(good), limit)

    def count(self, split: str, limit: int | None) -> int:
        return limit or 6

    def score(self, answer: str, gold: str) -> float:
        if gold == "unreadable":
            raise ValueError("no answer")
        return RIGHT.score(answer, gold)

    def follows(self, answer: str) -> bool:
        return RIGHT.follows(answer)

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        return RIGHT.summary(answered)


class Torn(Image.Image):
    """A picture that opens and then cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self._size, self._mode = (8, 8), "RGB"

    def load(self) -> Any:
        raise OSError("image file is truncated")


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arr_coc.eval.tasks.task.TASKS", {"faulty": Faulty})


def config(out: Path, **changes: Any) -> RunConfig:
    settings: dict[str, Any] = {"methods": ("stride",), "budgets": (16,), "limit": 6, "batch_size": 6}
    return RunConfig(model=str(folder()), out=str(out), **(settings | changes))


def answered(out: Path) -> dict[tuple[str, str], Sample]:
    return {(sample.method, sample.id): sample for sample in read(out / "samples.jsonl")}


def test_items_that_cannot_be_asked_are_left_out_everywhere_and_said(faulty: None, tmp_path: Path) -> None:
    results = evaluate(config(tmp_path, task="faulty"))

    assert results is not None
    assert results["failures"]["items"] == 4
    assert [row["n"] for row in results["rows"]] == [2, 2, 2]
    reasons = " | ".join(results["failures"]["reasons"])
    for reason in (
        "cannot be opened",
        "is used twice",
        "cannot be scored: ValueError: no answer",
        "truncated",
    ):
        assert reason in reasons
    assert len(read(tmp_path / "samples.jsonl")) == 6 * 3


class Broken:
    """Answers in the place of the model, and fails as it is told."""

    def __init__(self, most: int = 99, on: str = "") -> None:
        self.most, self.on, self.sizes = most, on, []  # type: ignore[var-annotated]
        self.answer = looking.answer

    def __call__(self, loaded: Any, prompt: Any, allocator: Any, max_new_tokens: int, watch: bool) -> Any:
        rows = len(prompt.visual)
        self.sizes.append(rows)
        if rows > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        asked = loaded.processor.batch_decode(prompt.inputs["input_ids"])[0]
        if self.on and allocator is not None and self.on in asked:
            raise RuntimeError("CUDA error: device-side assert")
        return self.answer(loaded, prompt, allocator, max_new_tokens, watch)


def test_a_batch_that_memory_does_not_take_is_halved_and_its_size_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(config(tmp_path / "whole"))
    broken = Broken(most=2)
    monkeypatch.setattr(looking, "answer", broken)

    results = evaluate(config(tmp_path / "halves", limit=8, batch_size=4, methods=("full",)))

    assert results is not None
    assert not results["failures"]["reasons"]
    assert broken.sizes == [4, 2, 2, 4, 2, 2, 2, 2, 2, 2]
    before, after = answered(tmp_path / "whole"), answered(tmp_path / "halves")
    assert all(after[key].answer == before[key].answer for key in before if key[0] != "stride")


@pytest.mark.parametrize(
    ("error", "lacking"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: device-side assert"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_allocators_say_is_told_from_other_errors(error: Exception, lacking: bool) -> None:
    assert asking._out_of_memory(error) == lacking


def test_an_item_on_which_the_model_fails_is_wrong_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (item,) = islice(SceneVQA().items("test", 3), 2, 3)
    broken = Broken(on=item.question.split()[-2])
    monkeypatch.setattr(looking, "answer", lambda *given: broken(*given))

    results = evaluate(config(tmp_path, batch_size=1))

    assert results is not None
    failed = {name for (method, name), sample in answered(tmp_path).items() if sample.error}
    assert item.id in failed
    assert len(failed) < 6
    assert results["failures"]["answers"] == 2 * len(failed)
    assert [row["n"] for row in results["rows"]] == [6, 6, 6]
    assert [row["failed"] for row in results["rows"]] == [len(failed), 0, len(failed)]

    monkeypatch.undo()
    again = evaluate(config(tmp_path, batch_size=1))
    assert again is not None
    assert again["failures"] == results["failures"]  # final, until it is asked to try again

    retried = evaluate(config(tmp_path, batch_size=1), retry=True)
    assert retried is not None
    assert not retried["failures"]["reasons"]
    assert len(read(tmp_path / "samples.jsonl")) == 18


def test_a_model_that_always_fails_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_IN_A_ROW", 3)
    monkeypatch.setattr(looking, "answer", Broken(most=0))

    with pytest.raises(ValueError, match="failed on 3 items in a row"):
        evaluate(config(tmp_path))


def test_a_folder_that_cannot_be_written_is_said_before_a_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(OSError, match=r"cannot write into .*choose another --out"):
        evaluate(RunConfig(model="no/such-model", out=str(tmp_path / "file" / "out")))


@pytest.mark.parametrize("name", ["../up", "/etc", "a/b", "..", ".hidden", "a\\b", "a\nb", "x" * 101])
def test_the_name_of_a_run_cannot_leave_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="name must be letters"):
        RunConfig(name=name)


def test_a_name_makes_a_folder_of_its_own() -> None:
    assert RunConfig(out="runs", name="efe-0.11").folder == Path("runs/efe-0.11")
