"""Settings of one scorer share its scores and its climb: less work, the same answers."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from arr_coc.allocate import Allocator
from arr_coc.eval.remembered import Memory, remembered
from arr_coc.eval.run import evaluate
from arr_coc.scorers.efe import ExpectedFreeEnergy
from arr_coc.types import Pictures, Scores
from tests.contexts import context
from tests.test_eval_run import answers, config


@dataclass(frozen=True)
class Counted:
    """`efe`, counting how often it is asked."""

    selector: ClassVar[str] = "greedy"
    asked: list[int] = field(default_factory=list)

    def __call__(self, pictures: Pictures) -> Scores:
        self.asked.append(len(pictures.tokens))
        return ExpectedFreeEnergy()(pictures)


def test_a_run_that_shares_what_it_chooses_gives_the_same_answers_and_does_not_say_how_long_it_took(
    tmp_path: Path,
) -> None:
    wanted: dict[str, Any] = {
        "methods": ("efe", "efe+merge+ln_n", "divprune+ln_n", "visionzip+received", "fastv", "random"),
        "budgets": (0.11, 16, 0.33),
    }
    each = evaluate(config(tmp_path / "each", **wanted))

    shared = evaluate(config(tmp_path / "shared", share_choice=True, **wanted))

    assert answers(tmp_path / "shared") == answers(tmp_path / "each")
    assert each is not None
    assert shared is not None
    assert [row["kept_tokens"] for row in shared["rows"]] == [row["kept_tokens"] for row in each["rows"]]
    times = [json.loads(line) for line in (tmp_path / "shared" / "timings.jsonl").read_text().splitlines()]
    assert {time["select_ms"] for time in times} == {None}


def test_pictures_are_scored_once_for_all_budgets() -> None:
    scorer, memory = Counted(), Memory()
    prefill = context([[2, 12, 2], [3, 7, 1]])

    for budget in (5, 3, 7):
        ours = remembered(Allocator(scorer, budget), memory, [5, 3, 7])(prefill)
        theirs = Allocator("efe", budget)(prefill)
        assert torch.equal(ours.keep, theirs.keep)
        assert ours.gains is not None
        assert theirs.gains is not None
        assert torch.equal(ours.gains.nan_to_num(), theirs.gains.nan_to_num())

    assert len(scorer.asked) == 1


def test_other_pictures_and_another_question_about_the_same_ones_are_scored_anew() -> None:
    scorer, memory = Counted(), Memory()
    prefill, other = context([[2, 12, 2]]), context([[2, 12, 2]], seed=7)
    asked = replace(prefill, embeds=torch.where(prefill.visual[..., None], prefill.embeds, other.embeds))

    for one in (prefill, other, prefill, asked):
        ours = remembered(Allocator(scorer, 3), memory, [3])(one)
        assert torch.equal(ours.keep, Allocator("efe", 3)(one).keep)

    assert len(scorer.asked) == 4
    # The question changed what is to be kept, so that scores of the last one would have shown.
    assert not torch.equal(Allocator("efe", 3)(asked).scores, Allocator("efe", 3)(prefill).scores)
