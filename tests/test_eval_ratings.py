"""`+clip` in an evaluation: what the CLIP is shown, who pays for it, and what is said where there is none."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml  # type: ignore[import-untyped]
from PIL import Image

from arr_coc.attach import attached
from arr_coc.clip import OpenClip
from arr_coc.eval.answer import answer
from arr_coc.eval.cli import main
from arr_coc.eval.config import RunConfig
from arr_coc.eval.folder import claim
from arr_coc.eval.looking import answered
from arr_coc.eval.method import Method
from arr_coc.eval.models import Loaded, load
from arr_coc.eval.prompt import encoded, prompt, rated
from arr_coc.eval.ratings import Ratings, rate, with_clip
from arr_coc.eval.run import evaluate
from arr_coc.eval.samples import read
from arr_coc.rated import Rated
from tests.clips import saved
from tests.tiny_llava import folder

QUESTIONS = ["what color is the square ?", "<image> is this like <image> ?"]
NEEDS = ("clip",)


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def llava(name: str) -> Loaded:
    return with_clip(load(str(folder())), name)


def noise(seed: int, size: tuple[int, int] = (96, 96)) -> Image.Image:
    draw = torch.Generator().manual_seed(seed)
    return Image.fromarray(torch.randint(0, 256, (*size[::-1], 3), generator=draw).byte().numpy())


def config(out: Path, **changes: Any) -> RunConfig:
    usual: dict[str, Any] = {
        "model": str(folder()), "methods": ("cdpruner", "cdpruner+clip", "efe+clip"), "budgets": (16,),
        "limit": 4, "batch_size": 2, "out": str(out), "examples": 1,
    }  # fmt: skip
    return RunConfig(**usual | changes)


@pytest.mark.parametrize("share", [True, False])
def test_methods_that_read_a_clip_are_rows_of_an_evaluation(tmp_path: Path, name: str, share: bool) -> None:
    results = evaluate(config(tmp_path, clip=name, share_vision=share, share_choice=share))

    assert results is not None
    assert [row["method"] for row in results["rows"]][2:] == ["cdpruner", "cdpruner+clip", "efe+clip"]
    assert not results["failures"]["reasons"]
    assert {sample.kept for sample in read(tmp_path / "samples.jsonl") if sample.budget == 16} == {16}


def test_the_clip_is_shown_what_the_model_is_shown_and_asked_what_it_is_asked(
    llava: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Sequence[Sequence[Image.Image]], Sequence[str]]] = []

    def listening(clip: OpenClip, pictures: Any, questions: Any) -> Ratings:
        asked.append((pictures, questions))
        return rate(clip, pictures, questions)

    monkeypatch.setattr("arr_coc.eval.prompt.rate", listening)
    pictures = [[noise(0, (300, 40))], [noise(1), noise(2)]]

    made = rated(llava, prompt(llava, pictures, QUESTIONS), pictures, QUESTIONS, NEEDS)

    ((shown, questions),) = asked
    assert questions == [QUESTIONS[0], "is this like ?"]
    plan, pixels = llava.processor.image_processor, made.inputs["pixel_values"]
    for picture, seen in zip([image for row in shown for image in row], pixels, strict=True):
        again = torch.tensor(list(picture.tobytes())).view(*picture.size[::-1], 3).permute(2, 0, 1) / 255
        mean, std = torch.tensor(plan.image_mean), torch.tensor(plan.image_std)
        assert ((again - mean[:, None, None]) / std[:, None, None] - seen).abs().max() < 0.02  # bytes
    assert made.ratings is not None
    assert [[tuple(rating.shape) for rating in row] for row in made.ratings.maps] == [
        [(1, 2, 3)], [(1, 2, 3)] * 2,
    ]  # fmt: skip


def test_what_is_kept_is_what_the_library_keeps_with_the_same_ratings(llava: Loaded) -> None:
    pictures, questions = [[noise(0)], [noise(1)]], [QUESTIONS[0]] * 2
    method = Method.parse("cdpruner+clip")
    shown = rated(llava, prompt(llava, pictures, questions), pictures, questions, method.needs(9, 0))

    got = answered(llava, (method, 9), encoded(llava, shown, NEEDS), pictures, questions, 0, 2)

    assert llava.clip is not None
    allocator = method.allocator(9, 0)
    assert allocator is not None
    with (
        attached(llava.model, Rated(allocator, llava.clip.rates(pictures, questions))) as trace,
        torch.no_grad(),
    ):
        llava.model(**shown.inputs)
    assert torch.equal(torch.stack(got.keep), trace[0].keep[shown.visual].view(2, -1))


def test_only_who_reads_the_ratings_pays_for_them(llava: Loaded) -> None:
    pictures = [[noise(0)]]
    shown = rated(llava, prompt(llava, pictures, QUESTIONS[:1]), pictures, QUESTIONS[:1], NEEDS)
    assert shown.ratings is not None
    assert shown.ratings.ms > 0
    dear = replace(shown, ratings=Ratings(shown.ratings.maps, 1e7))

    for text, pays in (("cdpruner+clip", True), ("efe+clip", True), ("cdpruner", False), ("efe", False)):
        said = answer(llava, dear, Method.parse(text).allocator(9, 0), 2)
        assert [said.select_ms > 1e7, said.prefill_ms > 1e7, said.seconds > 1e4] == [pays] * 3
    assert answer(llava, dear, None, 2).seconds < 1e4


def test_a_second_look_at_some_rows_has_their_ratings_and_does_not_pay_again() -> None:
    maps = [[torch.full((1, 2, 2), float(i))] for i in range(3)]

    again = Ratings(maps, 5.0).of([2, 0])

    assert [row[0].mean().item() for row in again.maps] == [2.0, 0.0]
    assert again.ms == 0.0


def test_without_a_clip_nothing_is_rated_and_who_needs_one_says_so(llava: Loaded, tmp_path: Path) -> None:
    bare = replace(llava, clip=None)
    shown = prompt(bare, [[noise(0)]], QUESTIONS[:1])

    assert rated(llava, shown, [[noise(0)]], QUESTIONS[:1], ("attention",)) is shown
    with pytest.raises(ValueError, match="--clip ViT-L-14-336-quickgelu:openai"):
        rated(bare, shown, [[noise(0)]], QUESTIONS[:1], NEEDS)
    with pytest.raises(ValueError, match=r"a method with \+clip reads what a CLIP"):
        config(tmp_path)
    assert with_clip(bare, "") is bare


def test_the_missing_extra_is_named_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    words = ["--model", str(folder()), "--methods", "trim+clip", "--budgets", "16", "--limit", "1"]
    monkeypatch.setattr(
        sys, "argv", ["arr-coc", "eval", *words, "--clip", "ViT-B-32:openai", "--out", str(tmp_path)]
    )
    with pytest.raises(SystemExit) as stopped:
        main()

    assert stopped.value.code == 2
    assert "pip install 'arr-coc[clip]'" in capsys.readouterr().err
    assert not (tmp_path / "samples.jsonl").exists()


def test_the_name_and_the_weights_of_a_clip_are_told_apart(
    llava: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []

    def note(name: str, weights: str, device: torch.device) -> OpenClip:
        told.append((name, weights))
        assert llava.clip is not None
        return llava.clip

    monkeypatch.setattr("arr_coc.eval.ratings.load_clip", note)
    for clip in ("ViT-B-32:openai", "ViT-B-32:/a/b:c.pt", "local-dir:/a:b", "hf-hub:o/n", "ViT-B-32"):
        assert with_clip(llava, clip).clip is llava.clip

    assert told == [
        ("ViT-B-32", "openai"), ("ViT-B-32", "/a/b:c.pt"), ("local-dir:/a:b", ""), ("hf-hub:o/n", ""),
        ("ViT-B-32", ""),
    ]  # fmt: skip


def test_an_evaluation_from_before_a_setting_existed_goes_on(tmp_path: Path) -> None:
    run = config(tmp_path, methods=("stride",), limit=2)
    evaluate(run)
    record = tmp_path / "config.yaml"
    settings = yaml.safe_load(record.read_text())
    assert settings.pop("clip") == ""
    record.write_text(yaml.safe_dump(settings))

    assert evaluate(run) is not None
    with pytest.raises(ValueError, match="holds an evaluation with clip: , this one has"):
        claim(replace(run, clip="ViT-B-32:openai"), settings["weights"])
