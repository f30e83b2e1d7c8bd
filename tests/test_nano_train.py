"""Training the nano models: a packed question is read as one alone, and a stopped stage goes on."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from arr_coc.eval.models import load
from arr_coc.eval.nano import train
from arr_coc.eval.nano.bodies import PREFIX, Seen
from arr_coc.eval.nano.build import CENTRE
from arr_coc.eval.nano.curriculum import (
    REACH,
    gap,
    ideal,
    ideal_planes,
    loudness,
    stand_for,
    tally,
    tower,
)
from arr_coc.eval.nano.design import DESIGNS, LLAVA, QWEN, Design
from arr_coc.eval.nano.learner import Losses, Nano
from arr_coc.eval.nano.lessons import Batch, Lessons
from arr_coc.eval.nano.stages import FROM_IDEAL, STAGES, Stage, stages
from arr_coc.eval.nano.start import start

PAGES = replace(QWEN, pages=1.0)
SHOWN = pytest.mark.parametrize("design", [LLAVA, QWEN, PAGES], ids=[*DESIGNS, "pages"])


def test_a_stopped_stage_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def stopped_once(nano: Nano, batch: Batch, progress: float) -> Losses:
        calls.append(progress)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return tower(nano, batch, progress)

    for name, losses in (("whole", tower), ("stopped", stopped_once)):
        monkeypatch.setitem(STAGES, "tower", Stage(losses, steps=4, batch=1, questions=1, rate=1e-3))
        (tmp_path / name).mkdir()
        for _ in range(2):
            try:
                train.train("nano-llava", "tower", tmp_path / name, seed=0, threads=1, every=2)
            except KeyboardInterrupt:
                continue

    whole, stopped = (
        torch.load(tmp_path / name / "tower.pt", weights_only=True) for name in ("whole", "stopped")
    )
    assert calls == [0.0, 0.25, 0.5, 0.5, 0.75]
    assert whole["step"] == stopped["step"] == 4
    for key, value in whole["nano"].items():
        assert torch.equal(value, stopped["nano"][key]), key


def test_the_precise_end_of_a_stage_computes_in_float32_with_weights_as_they_are_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def watched(nano: Nano, batch: Batch, progress: float) -> Losses:
        used.append(nano.table.detach().clone())
        return tower(nano, batch, progress)

    stage = Stage(watched, steps=4, batch=1, questions=0, rate=1e-3, precise=0.5)
    monkeypatch.setattr(train, "stages", lambda model: {"tower": stage})
    train.train("nano-qwen", "tower", tmp_path, seed=0, threads=1)

    assert [table.dtype for table in used] == [torch.bfloat16] * 2 + [torch.float32] * 2
    for table in used[2:]:
        assert torch.equal(table, table.bfloat16().float())


@pytest.mark.parametrize("model", list(DESIGNS))
def test_a_stage_may_begin_with_the_shipped_weights(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "stages", lambda model: {"tower": Stage(tower, 1, 1, 0, rate=0.0)})
    for out, shipped in ((tmp_path / "new", False), (tmp_path / "on", True)):
        out.mkdir()
        train.train(model, "tower", out, seed=0, threads=1, shipped=shipped)
        trained = torch.load(out / "tower.pt", weights_only=True)["nano"]
        written = load(model, "cpu", "float32").model.state_dict()
        assert all(torch.equal(trained[f"vlm.{key}"], value) for key, value in written.items()) == shipped


@torch.no_grad()
def test_ideal_tokens_of_things_are_of_one_length_but_for_what_counts() -> None:
    torch.manual_seed(0)
    nano = Nano(LLAVA)
    start(nano)
    batch = Lessons(LLAVA, seed=0, stage=0, steps=1, batch=2, questions=0)[0]

    tokens = ideal(nano, batch)
    quiet = (batch.patches[..., 0] >= 0) & (loudness(batch.share) == 0)
    length = tokens[quiet].norm(dim=-1)

    assert (length.max() - length.min()) < 1e-3 * length.mean()


@SHOWN
@torch.no_grad()
def test_the_gap_is_none_at_the_ideal_and_one_for_each_kind_of_token_that_says_nothing(
    design: Design,
) -> None:
    torch.manual_seed(0)
    nano = Nano(design)
    batch = Lessons(design, seed=0, stage=0, steps=1, batch=2, questions=0)[0]
    tokens, planes = ideal(nano, batch), ideal_planes(nano, batch)

    nothing = Seen(tokens, torch.zeros_like(tokens), tuple(map(torch.zeros_like, planes)))

    assert gap(nano, Seen(tokens, tokens, planes), batch) < 1e-9
    assert gap(nano, nothing, batch).item() == pytest.approx(2.0 + len(planes), rel=1e-5)


def test_attention_that_grows_exponentially_with_loudness_is_linear_in_the_share() -> None:
    share = torch.tensor([1.0, 0.5, 0.25, 0.01])

    assert_close((REACH * (loudness(share) - 1)).exp(), share)


@pytest.mark.parametrize("name", list(stages("nano-qwen")))
def test_gradients_reach_the_eyes_unless_tokens_are_ideal_and_the_decoder_if_there_are_questions(
    name: str,
) -> None:
    torch.manual_seed(0)
    nano, stage = Nano(QWEN), stages("nano-qwen")[name]
    nano.vlm.set_attn_implementation({"text_config": "eager", "vision_config": "sdpa"})
    seen = stage.losses not in FROM_IDEAL
    usual = replace(QWEN, sides=(12,), pages=0.0)
    questions = min(stage.questions, 3)
    batch = Lessons(usual, 0, 0, 1, 1, questions, stage.often, seen=seen)[0]

    stage.losses(nano, batch, 0.5)["loss"].backward()

    eyes = nano.vlm.model.visual.blocks[0].attn.qkv.weight.grad
    words = nano.vlm.model.language_model.layers[1].self_attn.q_proj.weight.grad
    for learns, gradient in ((seen, eyes), (questions > 0, words)):
        assert (gradient is not None and bool(gradient.abs().max() > 0)) == learns
        assert gradient is None or bool(gradient.isfinite().all())


@SHOWN
@torch.no_grad()
def test_a_thing_counts_as_one_at_the_ideal_and_as_half_where_its_tokens_say_so(design: Design) -> None:
    torch.manual_seed(0)
    nano = Nano(design)
    batch = Lessons(design, seed=0, stage=0, steps=1, batch=2, questions=0)[0]
    tokens, planes = ideal(nano, batch), ideal_planes(nano, batch)
    word = nano.table[design.ids[CENTRE]]

    half = tokens - math.log(2) / REACH * word

    things = float(batch.share.sum() > 0)  # none on a page
    assert tally(nano, Seen(tokens, tokens, planes), batch) < 1e-3
    assert tally(nano, Seen(tokens, half, planes), batch).item() == pytest.approx(things / 4, abs=0.02)


def test_a_full_batch_has_as_many_pictures_of_any_size_and_the_usual_one_as_often_as_asked() -> None:
    mixed = replace(QWEN, pages=0.0)
    full = Lessons(mixed, seed=0, stage=0, steps=40, batch=2, questions=1, seen=False, usual=0.2, full=True)

    batches = [full[step] for step in range(40)]

    assert {len(batch.ids) for batch in batches} == {2}
    assert len({batch.grid for batch in batches}) > 10
    assert 2 <= sum(batch.grid == (12, 12) for batch in batches) <= 20


def test_the_tokens_that_were_chosen_stand_for_all_of_them() -> None:
    batch = Lessons(LLAVA, seed=0, stage=2, steps=1, batch=3, questions=2)[0]
    n = batch.share.shape[1]
    urge = torch.rand(3, n, generator=torch.Generator().manual_seed(0)) + 2.0 * (batch.share > 0.01)
    chosen = urge.topk(400, 1).indices.sort(1).values

    weight = stand_for(batch, chosen).exp()

    assert (weight >= 1 - 1e-6).all()
    assert_close(weight.sum(1), torch.full((3,), float(n)))


@SHOWN
@torch.no_grad()
def test_a_packed_question_is_read_as_the_shipped_model_reads_it_alone(design: Design) -> None:
    torch.manual_seed(0)
    nano = Nano(design).eval()
    batch = Lessons(design, seed=0, stage=2, steps=4, batch=1, questions=5)[3]
    seen = nano.look(batch)
    n = seen.tokens.shape[1]
    packed, _ = nano.read(seen.tokens[:1], tuple(p[:1] for p in seen.planes), torch.arange(n)[None],
                          first(batch), attend=False)  # fmt: skip
    pictures = design.processor().image_processor
    ids = design.ids

    for question in (1, 3):
        mine = batch.block[0] == question
        row = torch.tensor([ids["<bos>"], ids["user:"], *[ids["<image>"]] * n])
        row = torch.cat([row, batch.ids[0, mine]])[None]
        given = {"pixel_values": batch.pixels[:1]}
        if design is not LLAVA:
            image = (batch.pixels[0] * 0.15 + torch.tensor([0.37, 0.34, 0.36])[:, None, None]) * 255
            given = dict(
                pictures([image.round().byte()], return_tensors="pt", input_data_format="channels_first")
            )
            given["mm_token_type_ids"] = (row == ids["<image>"]).long()
        alone = nano.vlm.model(input_ids=row, **given).last_hidden_state
        assert_close(packed[0, mine], alone[0, PREFIX + n :], atol=3e-4, rtol=1e-4)


def first(batch: Batch) -> Batch:
    """A batch of its first picture."""
    parts = (
        "patches",
        "share",
        "ids",
        "block",
        "place",
        "target",
        "kind",
        "named",
        "number",
        "thing",
        "look",
    )
    return replace(batch, **{name: getattr(batch, name)[:1] for name in parts})
