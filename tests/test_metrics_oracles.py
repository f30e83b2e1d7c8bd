"""Metrics against independent implementations, on a thousand random answers each."""

import random
from statistics import fmean
from typing import Any

import pytest

from arr_coc.eval.metrics import yes_no
from arr_coc.eval.metrics.anls import FAR, anls, similarity
from arr_coc.eval.metrics.choice import mentioned, strict_letter
from arr_coc.eval.metrics.gold import several
from arr_coc.eval.metrics.iou import iou
from arr_coc.eval.metrics.open_answer import open_answer
from arr_coc.eval.metrics.relaxed import relaxed
from arr_coc.eval.metrics.vqa_accuracy import APOSTROPHES, normal, vqa_accuracy
from tests.lmms import functions

N = 1000
WORDS = """
a the an red Red. two 2 none ten yes no dont don't couldnt've it's black/white t-shirt 1,000 $5.50 3.5
what's? (left) man's 10% -4 U.S. , ! o'clock oclock "big" ; youre
"""
LETTERED = """
A B C D (A) (B) (C) A. B. C. D. the answer is The answer is option correct red blue dark because and it so
, . picture shows best answer: E no x
"""
OPENED = """
the answer is so thus therefore final result could be = 12 12.5 1,200 -3 x y cell wall 1e3 . , a 7%
"""
OPTIONS = ("red", "dark red", "blue", "a picture of it")


def phrases(words: str, longest: int, seed: int) -> list[str]:
    """Random words of a text in random number, at least one; now and then on two lines."""
    rng = random.Random(seed)
    found = [rng.choices(words.split(), k=rng.randint(1, longest)) for _ in range(N)]
    return [("\n" if rng.random() < 0.1 else " ").join(some) for some in found]


def lmms(file: str, *names: str) -> Any:
    found = functions(file, *names)
    return found[names[-1]]


def test_answers_take_the_form_that_lmms_eval_gives_them() -> None:
    processor = lmms("_task_utils/vqa_eval_metric.py", "EvalAIAnswerProcessor")()
    texts = phrases(WORDS, 4, 0) + list(APOSTROPHES) + list(APOSTROPHES.values())

    assert [normal(text) for text in texts] == [processor(text) for text in texts]


def test_vqa_accuracy_is_that_of_lmms_eval() -> None:
    processor = lmms("_task_utils/vqa_eval_metric.py", "EvalAIAnswerProcessor")()
    rng = random.Random(1)
    pool = phrases(WORDS, 2, 2)
    for _ in range(N):
        few = rng.sample(pool, 4)
        people, said = rng.choices(few, k=10), rng.choice(few)
        heard, answer = [processor(person) for person in people], processor(said)
        leave_out = [sum(o == answer for j, o in enumerate(heard) if j != i) / 3 for i in range(10)]

        assert vqa_accuracy(said, several(people)) == pytest.approx(fmean(min(1, x) for x in leave_out))


def test_anls_is_that_of_the_anls_package_but_for_exactly_half() -> None:
    from anls import anls_score

    rng = random.Random(3)
    checked = 0
    for _ in range(N):
        right = ["".join(rng.choices("abC 1", k=rng.randint(1, 8))) for _ in range(rng.randint(1, 3))]
        said = "".join(rng.choices("abC 1", k=rng.randint(0, 8)))
        if any(similarity(said, one) == FAR for one in right):
            continue  # the paper drops it, the official scripts keep it
        checked += 1
        assert anls(said, several(right)) == pytest.approx(anls_score(said, right))
    assert checked > N / 2


def test_relaxed_accuracy_is_that_of_lmms_eval() -> None:
    oracle = lmms("chartqa/utils.py", "relaxed_correctness")
    rng = random.Random(4)
    for _ in range(N):
        right = rng.choice(
            [f"{rng.uniform(-50, 50):.2f}", str(rng.randint(0, 20)), "Yes", f"{rng.randint(0, 99)}%"]
        )
        said = rng.choice(
            [right, right.lower(), f"{rng.uniform(-50, 50):.1f}", str(rng.randint(0, 20)), "no", "3%"]
        )
        if right[0].isdigit() and not right.endswith("%"):
            said = rng.choice([said, f"{float(right) * rng.uniform(0.9, 1.1):.4f}"])

        assert relaxed(said, right) == oracle(said, right), (said, right)


def test_yes_rates_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import precision_recall_fscore_support

    rng = random.Random(5)
    for _ in range(10):
        right = rng.choices(["yes", "no"], k=N // 10)
        said = rng.choices(["Yes", "No.", "yes, it is", "no", "maybe"], k=N // 10)
        heard = ["yes" if word.lower().startswith("yes") else "no" for word in said]
        precision, recall, f1, _ = precision_recall_fscore_support(
            right, heard, pos_label="yes", average="binary"
        )

        rates = yes_no.rates(said, right)

        assert rates["precision"] == pytest.approx(precision)
        assert rates["recall"] == pytest.approx(recall)
        assert rates["f1"] == pytest.approx(f1)
        assert rates["yes_rate"] == heard.count("yes") / len(heard)


def test_yes_and_no_are_heard_as_lmms_eval_hears_them() -> None:
    oracle = lmms("mme/utils.py", "parse_pred_ans")
    texts = phrases("Yes no No. y N not yeah eyes known sure .", 3, 6)

    assert [yes_no.heard(text) or "other" for text in texts] == [oracle(text) for text in texts]


def test_overlap_is_that_of_shapely() -> None:
    from shapely import box

    rng = random.Random(7)
    for _ in range(N):
        one, other = (
            (left, top, left + rng.uniform(0.01, 5), top + rng.uniform(0.01, 5))
            for left, top in ((rng.uniform(0, 5), rng.uniform(0, 5)) for _ in range(2))
        )
        shared = box(*one).intersection(box(*other)).area

        assert iou(one, other) == pytest.approx(shared / box(*one).union(box(*other)).area)


def test_letters_of_scienceqa_are_read_as_lmms_eval_reads_them() -> None:
    """But for `The answer is X.`, which LLaVA's own script reads and lmms-eval does not."""
    oracle = functions("scienceqa/utils.py", "sqa_doc_to_target", "sqa_process_results")[
        "sqa_process_results"
    ]
    for text in phrases(LETTERED, 6, 9):
        if "The answer is" in text:
            continue
        for number, letter in enumerate("ABCD"):
            doc = {"choices": OPTIONS, "answer": number}
            assert (strict_letter(text, OPTIONS) == letter) == (oracle(doc, [text])["exact_match"] == 1), text


def test_letters_of_mmmu_are_read_as_lmms_eval_reads_them_where_it_does_not_guess() -> None:
    oracle = lmms("_task_utils/mmmu_mcq_utils.py", "parse_mmmu_multi_choice_response")
    options = dict(zip("ABCD", OPTIONS, strict=True))
    read = 0
    for text in phrases(LETTERED + " ".join(OPTIONS), 9, 11):
        guesses = set()
        for seed in range(12):
            random.seed(seed)
            guesses.add(oracle(text, list("ABCD"), options))
        if len(guesses) == 1:
            read += 1
            assert mentioned(text, OPTIONS) == guesses.pop(), text
        else:
            assert mentioned(text, OPTIONS) == "", text
    assert read > N / 2


def test_open_answers_of_mmmu_are_judged_as_lmms_eval_judges_them() -> None:
    oracle = functions(
        "mmmu/utils.py",
        "extract_numbers",
        "check_is_number",
        "normalize_str",
        "parse_open_response",
        "eval_open",
    )
    rng = random.Random(12)
    right_ones = 0
    for text in phrases(OPENED, 7, 13):
        right = rng.choice(
            [["12"], ["12.5"], ["1,200"], ["cell wall"], ["x", "y"], ["-3"], ["1000"], ["the answer"]]
        )
        judged = oracle["eval_open"](right, oracle["parse_open_response"](text))

        assert open_answer(text, several(right)) == judged, (text, right)
        right_ones += judged
    assert right_ones > N / 20
