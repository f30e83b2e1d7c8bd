"""How methods and budgets are written, and what a mistake is told."""

import pytest

from arr_coc.eval.method import BLIND, FULL, Method, parse_budget


@pytest.mark.parametrize("text", ["efe+merge+ln_n", "efe+ln_n+merge", " efe + ln_n + merge "])
def test_switches_have_one_order_however_they_are_written(text: str) -> None:
    method = Method.parse(text)

    assert method == Method("efe", merge=True, precision=True)
    assert method.name == "efe+merge+ln_n"
    assert Method.parse(method.name) == method


def test_a_switch_for_all_methods_is_added_to_each() -> None:
    assert Method.parse("divprune", precision=True).name == "divprune+ln_n"


@pytest.mark.parametrize("text", ["efe+compact+merge", "efe+merge+compact"])
def test_a_position_policy_is_a_switch_that_comes_last(text: str) -> None:
    method = Method.parse(text)

    assert method.name == "efe+merge+compact"
    assert Method.parse(method.name) == method
    assert method.allocator(0.5, seed=0).positions == "compact"  # type: ignore[union-attr]


def test_a_policy_for_all_methods_is_that_of_those_which_name_none() -> None:
    names = [Method.parse(text, positions="compact").name for text in ("efe", "pool+centroid")]

    assert names == ["efe+compact", "pool+centroid"]


def test_a_source_of_relevance_is_a_switch_of_methods_that_have_one() -> None:
    method = Method.parse("scope+ln_n+received")

    assert method.name == "scope+received+ln_n"
    assert Method.parse(method.name) == method
    assert method.needs(0.5, seed=0) == ("received",)
    with pytest.raises(ValueError, match="unknown switch 'received'"):
        Method.parse("divprune+received")
    with pytest.raises(ValueError, match="two names for source: choose cls or text"):
        Method.parse("trim+cls+text")


def test_what_a_set_tells_and_what_is_preferred_are_switches_of_methods_that_ask_for_both() -> None:
    method = Method.parse("efe+ln_n+indifferent+logdet")

    assert method.name == "efe+logdet+indifferent+ln_n"
    assert Method.parse(method.name) == method
    scorer = method.allocator(0.5, seed=0).scorer  # type: ignore[union-attr]
    assert (scorer.epistemic, scorer.preference) == ("logdet", "indifferent")  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="unknown switch 'logdet'"):
        Method.parse("cdpruner+logdet")


def test_two_policies_or_an_unknown_one_are_refused() -> None:
    with pytest.raises(ValueError, match="two position policies: choose compact or centroid"):
        Method.parse("efe+compact+centroid")
    with pytest.raises(KeyError, match="did you mean 'compact'"):
        Method.parse("efe", positions="compac")


def test_switches_and_budget_reach_the_allocator() -> None:
    allocator = Method.parse("random+ln_n").allocator(0.11, seed=7)

    assert allocator is not None
    assert (allocator.budget, allocator.merge, allocator.precision) == (0.11, False, True)
    assert allocator.scorer.seed == 7  # type: ignore[union-attr]


def test_the_full_budget_attaches_nothing() -> None:
    assert FULL.allocator(1.0, 0) is None
    assert BLIND.allocator(0, 0) is not None


def test_an_unknown_switch_is_named_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"unknown switch 'log'.*SCORER\[\+merge\]\[\+ln_n\]"):
        Method.parse("divprune+log")


def test_an_unknown_scorer_is_named_with_a_guess() -> None:
    with pytest.raises(KeyError, match="did you mean 'divprune'"):
        Method.parse("divprun")


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("1.0", 1.0),
        ("0.33", 0.33),
        ("64", 64),
        (64, 64),
        (0.5, 0.5),
        ("auto", "auto:0.11"),
        ("auto:64", "auto:64"),
        (" auto:.5", "auto:0.5"),
        ("shared:64", "shared:64"),
        ("shared:.5", "shared:0.5"),
        ("cascade:.05", "cascade:0.05"),
        ("iqr", "iqr"),
        ("1", 1),
        ("5e-2", 0.05),
    ],
)
def test_a_point_makes_a_ratio_and_a_whole_number_a_count(text: object, budget: object) -> None:
    parsed = parse_budget(text)  # type: ignore[arg-type]

    assert parsed == budget
    assert type(parsed) is type(budget)


@pytest.mark.parametrize(
    "text",
    [
        "count",
        "0",
        "-3",
        "0.0",
        "1.5",
        "half",
        "",
        "nan.",
        "shared",
        "shared:iqr",
        "shared:2.5",
        "cascade:1",
        "cascade:",
        True,
    ],
)
def test_a_budget_that_keeps_nothing_or_too_much_is_refused_with_the_way_out(text: object) -> None:
    with pytest.raises(ValueError, match=r"budget|keep_ratio"):
        parse_budget(text)  # type: ignore[arg-type]
