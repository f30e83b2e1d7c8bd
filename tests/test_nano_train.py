"""Training nano-llava: a packed question is read as one alone, and a stopped stage goes on."""

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from arr_coc.eval.nano import train
from arr_coc.eval.nano.build import N_VISUAL
from arr_coc.eval.nano.curriculum import REACH, gap, ideal, loudness, stand_for, tower
from arr_coc.eval.nano.learner import Losses, Nano
from arr_coc.eval.nano.lessons import IDS, PREFIX, Batch, Lessons
from arr_coc.eval.nano.train import Stage


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
        monkeypatch.setitem(train.STAGES, "tower", Stage(losses, steps=4, batch=1, questions=1, rate=1e-3))
        (tmp_path / name).mkdir()
        for _ in range(2):
            try:
                train.train("tower", tmp_path / name, seed=0, threads=1, every=2)
            except KeyboardInterrupt:
                continue

    whole, stopped = (
        torch.load(tmp_path / name / "tower.pt", weights_only=True) for name in ("whole", "stopped")
    )
    assert calls == [0.0, 0.25, 0.5, 0.5, 0.75]
    assert whole["step"] == stopped["step"] == 4
    for key, value in whole["nano"].items():
        assert torch.equal(value, stopped["nano"][key]), key


@torch.no_grad()
def test_ideal_tokens_of_things_are_of_one_length_but_for_what_counts() -> None:
    torch.manual_seed(0)
    nano = Nano()
    batch = Lessons(seed=0, stage=0, steps=1, batch=2, questions=0)[0]

    tokens = ideal(nano, batch)
    quiet = (batch.patches[..., 0] >= 0) & (loudness(batch.share) == 0)
    length = tokens[quiet].norm(dim=-1)

    assert (length.max() - length.min()) < 1e-3 * length.mean()
    assert gap(nano, tokens, batch) < 1e-9
    assert gap(nano, torch.zeros_like(tokens), batch).item() == pytest.approx(2.0, rel=1e-5)


def test_attention_that_grows_exponentially_with_loudness_is_linear_in_the_share() -> None:
    share = torch.tensor([1.0, 0.5, 0.25, 0.01])

    assert_close((REACH * (loudness(share) - 1)).exp(), share)


def test_the_tokens_that_were_chosen_stand_for_all_of_them() -> None:
    batch = Lessons(seed=0, stage=2, steps=1, batch=3, questions=2)[0]
    urge = torch.rand(3, N_VISUAL, generator=torch.Generator().manual_seed(0)) + 2.0 * (batch.share > 0.01)
    chosen = urge.topk(400, 1).indices.sort(1).values

    weight = stand_for(batch, chosen).exp()

    assert (weight >= 1 - 1e-6).all()
    assert_close(weight.sum(1), torch.full((3,), float(N_VISUAL)))


@torch.no_grad()
def test_a_packed_question_is_read_as_the_shipped_model_reads_it_alone() -> None:
    torch.manual_seed(0)
    nano = Nano().eval()
    batch = Lessons(seed=0, stage=2, steps=1, batch=1, questions=5)[0]
    visual = nano.vlm.model.multi_modal_projector(nano.look(batch))
    everything = torch.arange(N_VISUAL).expand(1, -1)
    packed, _ = nano.read(visual, everything, batch, attend=False)

    for question in (1, 4):
        mine = batch.block[0] == question
        start = [IDS["<bos>"], IDS["user:"], *[IDS["<image>"]] * N_VISUAL]
        ids = torch.cat([torch.tensor(start), batch.ids[0, mine]])[None]
        alone = nano.vlm.model(input_ids=ids, pixel_values=batch.pixels).last_hidden_state
        assert_close(packed[0, mine], alone[0, PREFIX + N_VISUAL :], atol=1e-4, rtol=1e-4)
