"""When to stop looking: the limits by hand, the risk over many rehearsals, and a cascade end to end."""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor
from torch.testing import assert_close

from arr_coc.cascade import Cascade, Looks, failing_level, load_cascade, looks_taken, risk_level
from arr_coc.eval.calibrate import calibrate
from arr_coc.eval.looking import answered, looks_of
from arr_coc.eval.method import Method
from arr_coc.eval.models import Loaded, calibrated, load
from arr_coc.eval.prompt import prompt
from arr_coc.eval.run import evaluate
from arr_coc.eval.tasks.task import looked_at, open_task
from tests.test_eval_run import config

RATIOS = (0.05, 0.2)


def rehearsal(prompts: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Surprise of two looks, and whether they differ: likelier the more surprising, and less often if longer.

    A second look may be wrong where the first one was right.
    """
    hard = torch.rand(prompts, 1, generator=draw)
    surprise = (0.05 + hard * torch.tensor([2.0, 0.8])) * torch.rand(prompts, 2, generator=draw).sqrt()
    return surprise, torch.rand(prompts, 2, generator=draw) < -torch.expm1(-surprise)


def stopped(looks: Looks, surprise: Tensor, differs: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each prompt ends with another answer, and the share of tokens it took; by the words alone."""
    wrong, cost = [], []
    for said, other in zip(surprise.tolist(), differs.tolist(), strict=True):
        spent, end = 0.0, False
        for ratio, limit in zip(looks.ratios, looks.limits, strict=True):
            k = RATIOS.index(ratio)
            spent += ratio
            if said[k] < limit:
                end = other[k]
                break
        else:
            spent += 1.0
        wrong.append(end)
        cost.append(spent)
    return torch.tensor(wrong).double(), torch.tensor(cost)


def test_the_level_is_an_order_statistic_of_where_prompts_begin_to_differ() -> None:
    chance = torch.tensor([[0.1, 0.3], [0.2, 0.1], [0.4, 0.4], [0.3, 0.2], [0.5, 0.1]])
    differs = torch.tensor([[True, False], [False, True], [False, True], [True, True], [False, False]])

    # The third never stops at its second look: that is no surer than the first.
    assert_close(failing_level(chance, differs), torch.tensor([0.1, 0.1, math.inf, 0.2, math.inf]))
    # 6 alpha: one may begin to differ at 1/6, two at 1/3 and so on; below one nobody may.
    expected = {0.1: -math.inf, 1 / 6: 0.1, 0.34: 0.1, 0.5: 0.2, 0.67: math.inf, 0.99: math.inf}
    assert {alpha: round(risk_level(chance, differs, alpha), 6) for alpha in expected} == expected


def test_a_prompt_takes_looks_until_one_is_below_the_level() -> None:
    chance = torch.tensor([[0.1, 0.3], [0.2, 0.1], [0.2, 0.2]])
    assert looks_taken(chance, 0.2).tolist() == [1, 2, 3]
    assert looks_taken(chance, 0.3).tolist() == [1, 1, 1]
    assert looks_taken(chance, -math.inf).tolist() == [3, 3, 3]


def test_the_risk_that_is_controlled_never_falls_with_the_level_and_is_never_below_the_true_one() -> None:
    surprise, differs = rehearsal(300, torch.Generator().manual_seed(5))
    levels = torch.linspace(0, 2, 41).tolist()
    found = torch.cat([differs, torch.zeros(300, 1, dtype=torch.bool)], dim=1)

    controlled = [(failing_level(surprise, differs) < level).double().mean() for level in levels]
    true = [found.gather(1, looks_taken(surprise, level)[:, None] - 1).double().mean() for level in levels]

    assert all(a <= b for a, b in pairwise(controlled))
    assert all(a >= b for a, b in zip(controlled, true, strict=True))
    assert true[0] == 0
    assert any(a > b for a, b in pairwise(true))  # or there would be nothing to mend


@pytest.mark.parametrize(("prompts", "alpha"), [(40, 0.1), (200, 0.05), (200, 0.2)])
def test_over_many_rehearsals_no_more_than_alpha_differ_and_not_much_less(prompts: int, alpha: float) -> None:
    draw = torch.Generator().manual_seed(0)
    risks, costs = [], []
    for _ in range(80):
        looks = Cascade(RATIOS, *rehearsal(prompts, draw)).looks(alpha)
        wrong, cost = stopped(looks, *rehearsal(200, draw))
        risks.append(float(wrong.mean()))
        costs.append(float(cost.mean()))

    risk = torch.tensor(risks)
    error = float(risk.std() / math.sqrt(len(risks)))
    assert risk.mean() <= alpha + 3 * error
    assert risk.mean() > 0.25 * alpha
    assert sum(costs) / len(costs) < 0.95


def test_of_looks_the_cheaper_ones_are_taken() -> None:
    # The first look is as sure and as right as the second.
    draw = torch.Generator().manual_seed(1)
    surprise, differs = rehearsal(400, draw)
    twice = Cascade((0.05, 0.5), surprise[:, :1].expand(-1, 2), differs[:, :1].expand(-1, 2)).looks(0.1)

    assert twice.ratios == (0.05,)


def test_with_too_few_rehearsed_prompts_nothing_stops_early() -> None:
    surprise, differs = rehearsal(30, torch.Generator().manual_seed(2))
    assert Cascade(RATIOS, surprise, differs).looks(0.05) == Looks((), ())  # 16 alpha < 1


def test_looks_that_never_differ_are_always_enough() -> None:
    surprise, differs = rehearsal(60, torch.Generator().manual_seed(3))
    looks = Cascade(RATIOS, surprise, torch.zeros_like(differs)).looks(0.1)
    assert looks == Looks((0.05,), (math.inf,))


def test_equally_surprising_answers_are_all_taken_or_all_looked_at_again() -> None:
    # Certain answers of which a third differs: at no limit above 0 is that few enough.
    surprise = torch.zeros(90, 1)
    differs = torch.arange(90)[:, None] % 3 == 0
    looks = Cascade((0.1,), surprise, differs).looks(0.1)
    assert max(looks.limits, default=0.0) == 0.0


def test_what_is_no_rehearsal_is_refused(tmp_path: Path) -> None:
    surprise, differs = rehearsal(20, torch.Generator())
    for ratios in ((0.2, 0.05), (0.0, 0.1), (0.1, 1.5), (0.1,), ()):
        with pytest.raises(ValueError, match="ratios of looks must rise"):
            Cascade(ratios, surprise, differs)
    with pytest.raises(ValueError, match="4 prompts or more, got 3"):
        Cascade(RATIOS, surprise[:3], differs[:3])
    for alpha in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(ValueError, match="alpha is a probability"):
            Cascade(RATIOS, surprise, differs).looks(alpha)
    (tmp_path / "junk").write_bytes(b"\x00" * 64)
    with pytest.raises(ValueError, match="arr-coc calibrate"):
        load_cascade(tmp_path / "junk")


def test_a_cascade_is_the_same_once_it_was_written_and_read(tmp_path: Path) -> None:
    cascade = Cascade(RATIOS, *rehearsal(100, torch.Generator().manual_seed(4)), method="efe")
    cascade.save(tmp_path / "cascade.safetensors")

    read = load_cascade(tmp_path / "cascade.safetensors")

    assert (read.looks(0.1), read.method) == (cascade.looks(0.1), "efe")


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny random model, calibrated."""
    out = tmp_path_factory.mktemp("calibrated")
    run = config(out, methods=("efe",), budgets=(1,), limit=16, batch_size=8)
    return run, calibrate(run, Console(quiet=True))[1]


def test_a_calibration_writes_down_how_sure_every_look_was(rehearsed: Any) -> None:
    run, path = rehearsed
    cascade = calibrated(load(run.model), path).cascade
    lines = [json.loads(line) for line in (path.parent / "samples.jsonl").read_text().splitlines()]
    said = {(line["id"], line["budget"]): line for line in lines if line["method"] != "blind"}

    assert cascade is not None
    ids = [item.id for item in open_task("scene_vqa").items("test", 16)]
    for k, ratio in enumerate(cascade.ratios):
        for i in (0, 7, 15):
            assert_close(cascade.surprise[i, k], torch.tensor(said[ids[i], ratio]["surprise"]))
            full = said[ids[i], 1.0]["answer"]
            assert bool(cascade.differs[i, k]) == (said[ids[i], ratio]["answer"] != full)


def by_hand(loaded: Loaded, looks: Looks, items: list[Any]) -> tuple[list[str], list[int]]:
    """One item at a time, one call at a time."""
    texts, kept = [], []
    for item in items:
        asked = prompt(loaded, [item.pictures], [item.question])
        spent = 0
        for ratio, limit in (*zip(looks.ratios, looks.limits, strict=True), (1.0, math.inf)):
            way = (Method("efe") if ratio < 1 else Method("full"), ratio)
            said = answered(loaded, way, asked, [item.pictures], [item.question], 0, 8, watch=True)
            spent += said.by_layer[0][0]
            if (said.surprise or [math.inf])[0] < limit:
                break
        texts.append(said.texts[0])
        kept.append(spent)
    return texts, kept


def test_a_batch_is_answered_as_one_after_another_and_every_look_counts(rehearsed: Any) -> None:
    run, path = rehearsed
    loaded = calibrated(load(run.model), path)
    assert loaded.cascade is not None
    items = [looked_at(item) for item in open_task("scene_vqa").items("validation", 6)]
    pictures, questions = [item.pictures for item in items], [item.question for item in items]

    alpha = next(a for a in (0.2, 0.3, 0.4, 0.5) if len(loaded.cascade.looks(a).ratios) > 0)
    setting = (Method("efe"), f"cascade:{alpha}")
    got = answered(loaded, setting, prompt(loaded, pictures, questions), pictures, questions, 0, 8)

    texts, kept = by_hand(loaded, loaded.cascade.looks(alpha), items)
    assert got.texts == texts
    assert got.by_layer == [[k, k] for k in kept]  # the model has two layers


def test_the_full_look_is_the_untouched_model(rehearsed: Any, tmp_path: Path) -> None:
    _, path = rehearsed
    changes = {"methods": ("efe",), "budgets": ("cascade:0.001",), "limit": 5, "need": str(path)}
    results = evaluate(config(tmp_path, **changes))

    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    said = {(line["method"], line["id"]): line["answer"] for line in lines}
    assert results is not None
    assert {said["efe", line["id"]] == said["full", line["id"]] for line in lines} == {True}
    assert results["rows"][2]["kept_tokens"] == 576
    assert results["rows"][2]["budget"] == "cascade:0.001"
    assert [row["differs_from_full"] for row in results["rows"]][1:] == [0.0, 0.0]


def test_a_cascade_of_another_method_or_none_says_what_to_run(rehearsed: Any, tmp_path: Path) -> None:
    run, path = rehearsed
    bare = load(run.model)
    with pytest.raises(ValueError, match=r"arr-coc calibrate MODEL --method divprune, and give its file"):
        looks_of(bare, Method("divprune"), 0.1)
    with pytest.raises(ValueError, match=r"calibrate MODEL --method stride\+ln_n"):
        evaluate(config(tmp_path, methods=("stride+ln_n",), budgets=("cascade:0.1",)))
    assert not (tmp_path / "samples.jsonl").exists()
    with pytest.raises(ValueError, match=r"rehearsed with efe, and the bound does not hold for divprune"):
        looks_of(calibrated(bare, path), Method("divprune"), 0.1)
