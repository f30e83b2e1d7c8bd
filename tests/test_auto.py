"""The budget as a policy: what is learned of needs is Bayes' rule, and a stream keeps its mean."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor
from torch.testing import assert_close

from arr_coc.allocate import Allocator
from arr_coc.budgets.auto import Auto, Ledger
from arr_coc.climb import climb
from arr_coc.eval.calibrate import calibrate
from arr_coc.eval.run import evaluate
from arr_coc.need import STAKE, Need, Seen, learn, load_need, look
from arr_coc.preference import WordPreference
from arr_coc.scorers.efe import ExpectedFreeEnergy
from arr_coc.types import Pictures, Scores
from tests.contexts import context
from tests.pictures import pictures
from tests.test_eval_run import config

RATIOS = (0.05, 0.1, 0.5)


def rehearsal(prompts: int = 120, seed: int = 0, noise: float = 0.0) -> tuple[Seen, Tensor]:
    """Two kinds of question: one is answered by any budget, the other by the largest one only."""
    draw = torch.Generator().manual_seed(seed)
    hard = torch.rand(prompts, generator=draw) < 0.3
    question = torch.randn(prompts, 12, generator=draw) * 0.1 + 5.0 * hard[:, None]
    agrees = torch.stack([~hard, ~hard, torch.ones_like(hard)], dim=1)
    agrees = agrees ^ (torch.rand(agrees.shape, generator=draw) < noise)
    return Seen(question, torch.rand(prompts, generator=draw), torch.full((prompts,), 40.0)), agrees


def stream(prompts: int, seed: int = 1) -> tuple[Pictures, Scores]:
    """Pictures of 40 tokens, each with a question of one of the two kinds."""
    these = pictures([40] * prompts, seed=seed)
    seen, _ = rehearsal(prompts, seed)
    asked = torch.ones_like(these.asked)
    these = replace(these, query=seen.question[:, None].expand_as(these.query), asked=asked)
    # A mild preference, so that how much is wanted stays among what was rehearsed.
    return these, ExpectedFreeEnergy(preference=WordPreference(gamma=0.5))(these)


UNREAD = ("row", "taps", "attention", "mass")


def rows(these: Pictures, scores: Scores, order: Tensor) -> tuple[Pictures, Scores]:
    part = {name: value[order] for name, value in vars(these).items() if name not in UNREAD}
    assert scores.pragmatic is not None
    kept = Scores(scores.values[order], scores.pragmatic[order])
    return Pictures(**part, row=torch.arange(len(order)), taps=None), kept


def test_what_a_budget_is_expected_to_cost_is_bayes_rule_over_the_counts() -> None:
    seen, agrees = rehearsal(noise=0.1)
    need = learn(RATIOS, seen, agrees)

    got = need.surprise(seen)

    state = torch.tensor([next((k for k in range(3) if a[k:].all()), 3) for a in agrees])
    code = torch.cdist(seen.question, need.questions).argmin(1)
    wanted = torch.bucketize(seen.wanted, need.edges)
    for i in (0, 7, 31):
        weight = torch.tensor([1.0 + (state == s).sum() for s in range(4)])
        for given, width in ((code, 16), (wanted, 6)):
            together = [1 / width + ((given == given[i]) & (state == s)).sum() for s in range(4)]
            weight = (
                weight * torch.stack(together) / torch.tensor([1.0 + (state == s).sum() for s in range(4)])
            )
        for k in range(3):
            fails = [
                ((0.1 if k >= s else 0.9) + (~agrees[state == s][:, k]).sum()) / (1.0 + (state == s).sum())
                for s in range(4)
            ]
            chance = (weight / weight.sum()) @ torch.stack(fails)
            assert_close(got[i, k], STAKE * chance + math.log1p(math.exp(-STAKE)), atol=1e-5, rtol=1e-4)


def test_a_question_whose_kind_needed_more_gets_more() -> None:
    need = learn(RATIOS, *rehearsal())
    these, scores = stream(60)
    hard = look(these, scores).question[:, 0] > 2.5

    kept = Auto(7, need, patience=1e9)(these, scores).tokens

    assert kept[hard].min() == 20
    assert kept[~hard].max() == 2
    assert hard.any()


@pytest.mark.parametrize("order", ["as they come", "easy first", "hard first"])
@pytest.mark.parametrize("target", [4, 0.1, 10, 0.3])
@pytest.mark.parametrize("learned", [True, False])
def test_the_mean_over_a_thousand_prompts_is_the_target_within_two_percent_in_any_order(
    order: str, target: float, learned: bool
) -> None:
    need = learn((0.03, 0.05, 0.1, 0.2, 0.5, 1.0), *_finer()) if learned else None
    these, scores = stream(1000)
    if not learned:
        # One set function for all: what is asked here is bookkeeping, not selection.
        scores = ExpectedFreeEnergy(epistemic="logdet")(these)
    hard = look(these, scores).question[:, 0]
    places = {
        "as they come": torch.arange(1000),
        "easy first": hard.argsort(),
        "hard first": (-hard).argsort(),
    }
    part, said = rows(these, scores, places[order])
    said = said if learned else ExpectedFreeEnergy(epistemic="logdet")(part)

    kept = Auto(target, need)(part, said).tokens.float().mean()

    meant = target * 40 if isinstance(target, float) else target
    assert abs(kept / meant - 1) < 0.02


def _finer() -> tuple[Seen, Tensor]:
    seen, agrees = rehearsal(400, seed=3, noise=0.1)
    more = torch.rand(400, 3, generator=torch.Generator().manual_seed(4)) < 0.9
    return seen, torch.cat([agrees, more], dim=1)


def test_prompts_pay_what_those_before_them_left_whatever_the_batch() -> None:
    need = learn(RATIOS, *rehearsal())
    these, scores = stream(24)
    together = Auto(0.2, need)(these, scores).tokens
    ledger = Ledger()

    one_by_one = [
        Auto(0.2, need, ledger=ledger)(*rows(these, scores, torch.tensor([i]))).tokens for i in range(24)
    ]

    assert torch.equal(torch.cat(one_by_one), together)
    assert ledger.prompts == 24
    assert_close(ledger.spent, float(together.sum()) / (0.2 * 40))


def test_pictures_of_one_prompt_pay_one_price_whatever_their_order() -> None:
    need = learn(RATIOS, *rehearsal())
    these, scores = stream(6)
    ledger = Ledger(prompts=3, spent=5.0)
    there, back = torch.arange(6), torch.arange(5, -1, -1)

    def of(order: Tensor) -> Tensor:
        part, said = rows(these, scores, order)
        one = replace(part, row=torch.zeros(6, dtype=torch.long), nth=torch.arange(6))
        return Auto(0.2, need, ledger=replace(ledger))(one, said).tokens

    assert torch.equal(of(there), of(back).flip(0))


def test_a_batch_without_pictures_spends_nothing() -> None:
    these = pictures([4])
    none, scores = rows(these, ExpectedFreeEnergy()(these), torch.arange(0))
    auto = Auto(4)

    assert len(auto(none, scores).tokens) == 0
    assert auto.ledger == Ledger()


def test_the_posterior_over_budgets_prefers_the_one_that_is_taken() -> None:
    these, scores = stream(9)

    spending = Auto(8, learn(RATIOS, *rehearsal()), gamma=2.0)(these, scores)

    assert spending.q_pi is not None
    assert spending.candidates is not None
    assert_close(spending.q_pi.sum(1), torch.ones(9))
    assert torch.equal(
        spending.candidates.gather(1, spending.q_pi.argmax(1, keepdim=True))[:, 0], spending.tokens
    )


def test_without_a_need_the_share_of_nats_decides() -> None:
    these = pictures([576], dim=24)
    scores = ExpectedFreeEnergy()(these)
    auto = Auto(64, patience=1e9)

    spending = auto(these, scores)

    assert scores.of_sets is not None
    told = climb(scores.of_sets, these.valid, torch.tensor([192])).gains[0].cumsum(0)
    assert spending.candidates is not None
    G = STAKE * (1 - told[spending.candidates[0] - 1] / told[-1]) + spending.candidates[0] / 64
    assert spending.tokens[0] == spending.candidates[0, G.argmin()]


def test_a_need_is_the_same_once_it_was_written_and_read(tmp_path: Path) -> None:
    seen, agrees = rehearsal(noise=0.2)
    need = learn(RATIOS, seen, agrees, method="efe+ln_n")
    need.save(tmp_path / "need.safetensors")

    read = load_need(tmp_path / "need.safetensors")

    assert_close(read.surprise(seen), need.surprise(seen))
    assert (read.ratios, read.method, read.count) == (RATIOS, "efe+ln_n", 40.0)


def test_what_is_no_need_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"\x00" * 64)
    with pytest.raises(ValueError, match="arr-coc calibrate"):
        load_need(tmp_path / "junk")
    seen, agrees = rehearsal()
    for ratios in ((0.1, 0.05, 0.5), (0.0, 0.1, 0.5), (0.1, 0.5, 1.5), (0.1, 0.5)):
        with pytest.raises(ValueError, match="candidate ratios must rise"):
            learn(ratios, seen, agrees)
    need: Need = learn(RATIOS, seen, agrees)
    with pytest.raises(ValueError, match=r"width 12, the model at hand has 7.*calibrate"):
        need.surprise(Seen(torch.zeros(2, 7), torch.zeros(2), torch.ones(2)))
    with pytest.raises(ValueError, match=r"target=0\.6 is more than the largest candidate, 0.5"):
        Auto(0.6, need)(pictures([40]), Scores(torch.zeros(1, 40)))
    with pytest.raises(ValueError, match="needs a scorer with a value of sets"):
        Auto(4)(pictures([40]), Scores(torch.zeros(1, 40)))


@pytest.mark.parametrize("target", [0, -1, 0.0, 1.5, True, float("nan")])
def test_a_target_is_a_count_or_a_share(target: float) -> None:
    with pytest.raises(ValueError, match="target must be"):
        Auto(target)


def test_an_allocator_reads_the_target_behind_the_name_and_keeps_one_ledger() -> None:
    allocator = Allocator(scorer="efe", budget="auto:0.25")
    prompt = context([[8, 40, 3]], dim=12)

    first, second = allocator(prompt), allocator(prompt)

    assert first.q_pi is not None
    assert first.candidates is not None
    assert first.q_pi.shape == first.candidates.shape == (*first.budget.shape, 11)
    assert second.q_pi is not None
    spent_more = bool(first.budget.sum() > 0.25 * first.visual.sum())
    assert (second.q_pi[0, 0, 0] > first.q_pi[0, 0, 0]) == spent_more
    with pytest.raises(ValueError, match=r"cannot read the budget 'auto:many'.*auto:0\.11"):
        Allocator(budget="auto:many")


def test_a_rehearsal_puts_each_question_to_its_own_answers_whatever_the_batch(tmp_path: Path) -> None:
    def rehearsed(batch_size: int) -> Need:
        run = config(
            tmp_path / str(batch_size), methods=("efe",), budgets=(1,), limit=20, batch_size=batch_size
        )
        return calibrate(run, Console(quiet=True))[0]

    two, seven = rehearsed(2), rehearsed(7)

    assert two.model.pA is not None
    assert seven.model.pA is not None
    assert_close(two.model.pA, seven.model.pA)
    assert two.method == "efe"
    assert load_need(tmp_path / "2" / "need.safetensors").count == 576


def test_a_stream_that_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    changes = {"methods": ("efe",), "budgets": ("auto:0.05",), "limit": 9}
    evaluate(config(tmp_path / "whole", **changes))
    seen: list[int] = []

    def kill(done: int, what: str) -> None:
        seen.append(done)
        if sum(seen) > 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(config(tmp_path / "killed", **changes), kill)
    evaluate(config(tmp_path / "killed", **changes))

    def records(out: Path) -> list[str]:
        return sorted((out / "samples.jsonl").read_text().splitlines())

    assert records(tmp_path / "killed") == records(tmp_path / "whole")
    kept = {json.loads(line)["kept"] for line in records(tmp_path / "whole") if '"auto' in line}
    assert len(kept) > 1
