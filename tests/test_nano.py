"""SceneVQA: even priors, unambiguous questions, splits that share nothing; nano-llava's parts fit."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch

from arr_coc.eval.nano.build import UNK, processor, vocabulary
from arr_coc.eval.nano.dataset import SPLITS, item, items, lesson, sized_item
from arr_coc.eval.nano.design import DESIGNS, LLAVA, Design
from arr_coc.eval.nano.labels import describe
from arr_coc.eval.nano.lessons import Lessons
from arr_coc.eval.nano.questions import KINDS, ask, chance, wish
from arr_coc.eval.nano.scene import CELLS, COLORS, PLACES, SHAPES, arrange, owners, shares


def answer_to(question: str, things: list) -> set[str]:
    """An independent reader of the questions: every answer that the scene allows, from the words alone."""
    words = question.removesuffix(" ?").split()

    def named(color: str, shape: str) -> list:
        return [t for t in things if t.color == color and t.shape == shape]

    def spot(t):
        return t.cell % CELLS, t.cell // CELLS

    if words[:3] == ["is", "there", "a"]:
        return {"yes" if named(*words[3:]) else "no"}
    if words[0] == "is":
        first, second = named(*words[2:4])[0], named(*words[-2:])[0]
        (x, y), (u, v) = spot(first), spot(second)
        order = ["small", "medium", "large"]
        bigger = order.index(first.size) - order.index(second.size)
        true = {
            "left": x < u,
            "right": x > u,
            "above": y < v,
            "below": y > v,
            "bigger": bigger > 0,
            "smaller": bigger < 0,
        }[words[4]]
        return {"yes" if true else "no"}
    if words[:2] == ["how", "many"]:
        fits = [t for t in things if words[2] in ("objects", t.color, t.shape)]
        return {str(len(fits))}
    if words[1] == "is":  # what is written on the red ring
        return {t.character for t in named(*words[-2:])}
    asked = words[1]
    if words[3] == "at":
        return {getattr(t, asked) for t in things if PLACES[t.cell] == words[4]}
    if words[3] in ("left", "right", "above", "below"):
        steps = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1)}
        (x, y), (u, v) = spot(named(*words[-2:])[0]), steps[words[3]]
        return {getattr(t, asked) for t in things if spot(t) == (x + u, y + v)}
    if words[-1] == "object":
        return {getattr(t, asked) for t in things if t.color == words[-2]}
    if asked == "size":
        return {t.size for t in named(*words[-2:])}
    return {getattr(t, asked) for t in things if t.shape == words[-1]}


@pytest.mark.parametrize("kind", KINDS)
def test_an_independent_reader_finds_exactly_the_given_answer(kind: str) -> None:
    rng = np.random.default_rng(7)
    seen = 0
    while seen < 150:
        things = arrange(rng)
        question = ask(things, *wish(rng, kind), rng)
        if question is not None:
            seen += 1
            assert answer_to(question.text, things) == {question.answer}, question


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_evenly_spread(kind: str) -> None:
    rng = np.random.default_rng(3)
    answers = Counter(wish(rng, kind)[1] for _ in range(4000))

    sets = KINDS[kind][1]
    for options in sets:
        share = np.array([answers[answer] for answer in options]) / 4000
        np.testing.assert_allclose(share, 1 / len(options) / len(sets), atol=0.03)
    assert chance(kind) == pytest.approx(sum(1 / len(options) for options in sets) / len(sets))


def test_an_item_is_the_same_every_time_and_kinds_take_turns() -> None:
    first, again = item("test", 5), item("test", 5)

    assert (first.question, first.answer, first.id) == (again.question, again.answer, again.id)
    assert first.image.tobytes() == again.image.tobytes()
    assert [x.kind for x in islice(items("test"), len(KINDS))] == list(KINDS)


def test_splits_share_no_picture() -> None:
    pictures = {split: {x.image.tobytes() for x in islice(items(split), 24)} for split in SPLITS}

    assert len(set.union(*pictures.values())) == 24 * len(SPLITS)


def test_an_unknown_split_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="validation"):
        item("dev", 0)


def test_every_word_of_every_question_is_one_known_token() -> None:
    rng = np.random.default_rng(0)
    words = set()
    for _ in range(400):
        question = ask(arrange(rng), *wish(rng), rng)
        if question is not None:
            words |= {*question.text.split(), question.answer}

    assert words <= vocabulary().keys()
    ids = processor().tokenizer(" ".join(sorted(words))).input_ids
    assert len(ids) == len(words)
    assert LLAVA.ids[UNK] not in ids


def test_questions_are_read_in_any_case_and_with_a_glued_question_mark() -> None:
    tokenizer = processor().tokenizer

    assert tokenizer("Is there a RED circle?").input_ids == tokenizer("is there a red circle ?").input_ids


def test_every_thing_owns_the_patch_of_its_centre() -> None:
    things = arrange(np.random.default_rng(1))

    owned = set(owners(things).reshape(-1).tolist()) - {-1}

    assert owned == set(range(len(things)))


def test_the_shares_of_a_thing_add_up_to_one_wherever_it_stands() -> None:
    rng = np.random.default_rng(2)
    things = arrange(rng, 20)

    share = shares(things)

    np.testing.assert_allclose(share.sum((1, 2)), 1, rtol=1e-5)
    rows, columns = np.mgrid[0:24, 0:24] + 0.5
    np.testing.assert_allclose((share * columns).sum((1, 2)) * 8, [t.x for t in things], atol=1e-3)
    np.testing.assert_allclose((share * rows).sum((1, 2)) * 8, [t.y for t in things], atol=1e-3)


def test_where_nothing_is_asked_scenes_are_crowded_and_have_no_questions() -> None:
    truths = [lesson((0, 0, 0, i), 0) for i in range(6)]

    assert all(not truth.questions for truth in truths)
    assert max(len(truth.things) for truth in truths) > 16


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_a_batch_of_lessons_comes_back_the_same_after_a_restart(design: Design) -> None:
    one, two = (Lessons(design, seed=0, stage=2, steps=5, batch=2, questions=4)[3] for _ in range(2))

    assert torch.equal(one.pixels, two.pixels)
    assert torch.equal(one.ids, two.ids)
    assert torch.equal(one.look, two.look)


@pytest.mark.parametrize(("name", "side"), [("nano-llava", 24), ("nano-qwen", 12), ("nano-qwen", 20)])
def test_labels_name_the_things_that_are_there(name: str, side: int) -> None:
    truth = lesson((0, 0, 0, 0), 2)

    said = describe(DESIGNS[name], truth.things, side)

    assert (said.share[said.owner < 0] == 0).all()
    # In small tokens but for corners that cover too little.
    close = 1e-5 if DESIGNS[name].confined else 0.1
    assert said.share.sum().item() == pytest.approx(len(truth.things), rel=close)
    for patch in (said.owner >= 0).nonzero()[:, 0].tolist():
        thing = truth.things[int(said.owner[patch])]
        assert list(COLORS)[said.words[patch, 0]] == thing.color
        assert SHAPES[said.words[patch, 1]] == thing.shape
        assert PLACES[said.words[patch, 4]] == PLACES[thing.cell]


def test_items_of_several_sizes_are_the_items_of_one_size_shown_otherwise() -> None:
    pairs = [(item("test", i), sized_item("test", i)) for i in range(0, 48, 8)]

    assert all((a.question, a.answer, a.kind) == (b.question, b.answer, b.kind) for a, b in pairs)
    assert [b.image.width for _, b in pairs] == [160, 192, 256, 320, 384, 512]
    assert pairs[1][1].image.tobytes() == pairs[1][0].image.tobytes()
