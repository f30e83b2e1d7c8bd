"""The guide's claims: what is called true is true to rounding, and what is called false is seen to fail."""

from dataclasses import replace
from math import nan

import pytest

from arr_coc.agent.unify.claims import CLAIMS, Claim

FALSE = [claim for claim in CLAIMS if claim.gap is not None]


def name(claim: Claim) -> str:
    return claim.name


def claimed(law: float, gap: float | None = None, condition: str = "") -> Claim:
    """A claim that is off by these on every problem."""
    return Claim("", "", "", lambda seed: law, 1e-10, None if gap is None else lambda seed: gap, condition)


@pytest.mark.parametrize("claim", CLAIMS, ids=name)
@pytest.mark.parametrize("seed", range(2))
def test_the_truth_holds_on_random_problems(claim: Claim, seed: int) -> None:
    assert claim.law(seed) <= claim.tolerance


@pytest.mark.parametrize("claim", FALSE, ids=name)
def test_the_guides_sentence_does_not_where_it_is_not_the_truth(claim: Claim) -> None:
    judged = replace(claim, law=lambda seed: 0.0).measured(range(4))

    assert judged.verdict == ("holds only if" if claim.condition else "false")
    assert judged.counterexample > 1e-2


def test_claims_have_names_of_their_own() -> None:
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        (claimed(1e-11), "holds"),
        (claimed(1e-11, 0.3), "false"),
        (claimed(1e-11, 0.3, "it is certain"), "holds only if"),
        (claimed(1e-9), "not shown"),
        (claimed(nan), "not shown"),
        (claimed(1e-9, 0.3), "not shown"),
        (claimed(1e-11, 1e-9), "not shown"),
        (claimed(1e-11, nan), "not shown"),
    ],
)
def test_a_verdict_follows_from_what_was_measured(claim: Claim, verdict: str) -> None:
    assert claim.measured(range(3)).verdict == verdict


def test_the_worst_of_all_problems_counts() -> None:
    claim = Claim("", "", "", lambda seed: [0.0, nan, 0.0][seed], 1e-10)

    assert claim.measured(range(1)).verdict == "holds"
    assert claim.measured(range(3)).deviation == float("inf")
