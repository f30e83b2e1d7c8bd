"""A product of experts: its formula by hand, what is learned of made-up teachers, its file, its needs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.adapters.tiny import PICTURE
from arr_coc.allocate import Allocator
from arr_coc.attach import attached
from arr_coc.experts import Experts, load_experts
from arr_coc.gaze import gazed
from arr_coc.parts import parts_of
from arr_coc.preference import PREFERENCES, SourcePreference, needed_by, needs_of, witnessed
from arr_coc.relevance import RELEVANCE
from arr_coc.scorers.efe import ExpectedFreeEnergy
from arr_coc.scorers.efe_depth import DepthEFE
from arr_coc.scorers.quadtree import Quadtree
from arr_coc.trust import Rehearsal, learn_experts
from tests.pictures import alone, padded, permuted, picture_of, pictures, shuffle
from tests.runs import ROWS, tiny_model

SOURCES = ("words", "received", "norm")
TRUSTED = Experts(SOURCES, (0.8, -0.4, 0.3), eps=0.05)


def teacher(gammas: list[float], eps: float, n: int = 300, seed: int = 0) -> Rehearsal:
    """Pictures of two sizes, and an answer that looks exactly where so trusted experts would."""
    draw = torch.Generator().manual_seed(seed)
    count = torch.tensor([12, 40])[torch.arange(n) % 2]
    valid = torch.arange(40) < count[:, None]
    z = torch.randn(n, 40, len(gammas), generator=draw).double() * valid[..., None]
    pi = (z @ torch.tensor(gammas).double()).masked_fill(~valid, -torch.inf).softmax(1)
    return Rehearsal(z, ((1 - eps) * pi + eps / count[:, None]) * valid, valid)


def drawn(rehearsal: Rehearsal, looks: int, seed: int = 1) -> Rehearsal:
    """The answer looks so many times, at random."""
    draw = torch.Generator().manual_seed(seed)
    places = rehearsal.p.multinomial(looks, replacement=True, generator=draw)
    counts = torch.zeros_like(rehearsal.p).scatter_add(1, places, torch.ones_like(places, dtype=torch.double))
    return replace(rehearsal, p=counts / looks)


def half(rehearsal: Rehearsal) -> Tensor:
    return torch.arange(len(rehearsal.p)) % 4 < 2


def test_the_preference_is_the_softmax_of_weighed_standardised_scores_with_a_floor() -> None:
    # Norms about the mean: 3, 1, 1, 3; standardised 1, -1, -1, 1. Received: 0.7, 0.1, 0.1, 0.1.
    these = picture_of([[3.0], [1.0], [-1.0], [-3.0]], received=[0.7, 0.1, 0.1, 0.1])
    z = torch.tensor([[1.0, -1.0, -1.0, 1.0], [3**0.5, -(3**-0.5), -(3**-0.5), -(3**-0.5)]])

    got = Experts(("norm", "received"), (0.5, -2.0), eps=0.2)(these)

    pi = (0.5 * z[0] - 2.0 * z[1]).exp()
    assert_close(got[0], (0.8 * 4 * pi / pi.sum() + 0.2).log())


BY_SOURCES = [kind for kind in PREFERENCES.values() if issubclass(kind, SourcePreference)]


@pytest.mark.parametrize("kind", BY_SOURCES)
def test_a_preference_by_sources_is_a_product_of_experts_that_are_trusted_alike(
    kind: type[SourcePreference],
) -> None:
    these = pictures([30, 8])
    assert these.taps is not None
    these = replace(these, taps=replace(these.taps, clip=these.tokens[..., 0]))
    each = 1.2 / len(kind.sources)
    experts = Experts(kind.sources, (each,) * len(kind.sources), eps=0.1)
    assert_close(kind(gamma=1.2, eps=0.1)(these), experts(these))


def test_the_question_is_heard_as_a_whole_and_word_by_word() -> None:
    assert {kind.sources for kind in BY_SOURCES} >= {("text",), ("words",), ("text", "words")}


def test_experts_see_neither_neighbours_nor_padding_nor_order() -> None:
    these = pictures([20, 7, 33], seed=2)
    said, order = TRUSTED(these), shuffle(these, seed=0)

    assert said.isfinite().all()
    assert (said[~these.valid] == 0).all()
    assert_close(TRUSTED(permuted(these, order)), said.gather(1, order), atol=1e-5, rtol=1e-5)
    assert_close(TRUSTED(padded(these, 5))[:, :33], said, atol=1e-5, rtol=1e-5)
    for i, n in enumerate(these.count.tolist()):
        assert_close(TRUSTED(alone(these, i))[0], said[i, :n], atol=1e-5, rtol=1e-5)


def test_the_preference_sums_to_one_over_a_picture() -> None:
    these = pictures([20, 7])
    pi = TRUSTED(these).exp() * these.valid / these.count[:, None]
    assert_close(pi.sum(1), torch.ones(2))


@pytest.mark.parametrize("eps", [0.0, 0.25])
def test_what_made_the_teacher_is_found_again(eps: float) -> None:
    made = teacher([0.7, -0.5, 1.5], eps)

    learned = learn_experts(SOURCES, made, half(made))

    assert learned.sources == SOURCES
    assert_close(torch.tensor(learned.gammas), torch.tensor([0.7, -0.5, 1.5]), atol=1e-3, rtol=0)
    assert abs(learned.eps - eps) < 1e-3
    assert_close(learned.together, learned.most, atol=1e-5, rtol=0)  # nothing is left to explain


def test_noise_is_not_believed() -> None:
    made = drawn(teacher([0.8, 0.0], 0.1), looks=20)

    alone = dict(learn_experts(("words", "norm"), made, half(made)).alone)
    noise = learn_experts(("norm",), Rehearsal(made.z[..., 1:], made.p, made.valid), half(made))

    assert abs(noise.gammas[0]) < 0.05
    assert abs(alone["norm"]) < 0.01
    assert alone["words"] > 0.15


def test_a_source_that_says_nothing_new_drops_out() -> None:
    made = drawn(teacher([0.8, 0.5], 0.1), looks=50)
    twice = Rehearsal(torch.cat([made.z, made.z[..., :1]], dim=2), made.p, made.valid)

    learned = learn_experts(("words", "received", "text"), twice, half(made))

    assert len(learned.sources) == 2
    assert "received" in learned.sources
    assert_close(sorted(learned.gammas), [0.5, 0.8], atol=0.05, rtol=0)


def test_what_is_explained_is_the_likelihood_of_pictures_that_were_not_learned_from() -> None:
    made = drawn(teacher([0.8, -0.6, 0.4], 0.1), looks=10)
    apart = half(made)

    learned = learn_experts(SOURCES, made, apart)
    ours = learn_experts(SOURCES, made.of(~apart), torch.arange(int((~apart).sum())) % 2 == 0)

    z, p, valid = made.z[apart], made.p[apart], made.valid[apart]
    n = valid.sum(1, keepdim=True)
    pi = (z @ torch.tensor(ours.gammas).double()).masked_fill(~valid, -torch.inf).softmax(1)
    told = p * ((1 - ours.eps) * n * pi + ours.eps).log().masked_fill(~valid, 0.0)
    assert_close(learned.together, float(told.sum(1).mean()), atol=1e-6, rtol=0)
    assert_close(learned.most, float((p * (p * n).clamp(min=1e-300).log()).sum(1).mean()))


def test_pictures_weigh_alike_whatever_their_size() -> None:
    made = teacher([0.5, 0.5], 0.0, n=8)
    doubled = [torch.cat([x, x], dim=1) for x in (made.z, made.p / 2, made.valid)]

    got = Rehearsal(*doubled).explained(torch.tensor([0.5, 0.2]).double(), torch.tensor(0.1).double())

    assert_close(got, made.explained(torch.tensor([0.5, 0.2]).double(), torch.tensor(0.1).double()))


def test_experts_are_the_same_once_they_were_written_and_read(tmp_path: Path) -> None:
    made = drawn(teacher([0.7, -0.5, 0.2], 0.1), looks=30)
    learned = learn_experts(SOURCES, made, half(made))
    learned.save(tmp_path / "preference.json")

    assert load_experts(tmp_path / "preference.json") == learned


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        "3",
        json.dumps({"kind": "arr-coc need"}),
        json.dumps({"kind": "arr-coc preference", "sources": ["words"]}),
        json.dumps({"kind": "arr-coc preference", "sources": ["words"], "gammas": "x", "eps": 0.1,
                    "alone": [], "together": 0, "most": 0}),
    ],
)  # fmt: skip
def test_what_is_no_preference_says_how_to_make_one(tmp_path: Path, damage: str) -> None:
    (tmp_path / "preference.json").write_text(damage)
    with pytest.raises(ValueError, match=r"preference\.json .*run arr-coc calibrate"):
        load_experts(tmp_path / "preference.json")


def test_a_file_that_is_no_text_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "preference.json").write_bytes(b"\xff\xfe\x00" * 20)
    with pytest.raises(ValueError, match=r"damaged or holds no preference.*run arr-coc calibrate"):
        load_experts(tmp_path / "preference.json")


def test_mistakes_are_named() -> None:
    for apart in (torch.zeros(4, dtype=torch.bool), torch.ones(4, dtype=torch.bool)):
        with pytest.raises(ValueError, match=r"4 were rehearsed.*rehearse more pictures"):
            learn_experts(("words",), teacher([1.0], 0.1, n=4), apart)
    with pytest.raises(ValueError, match="2 sources, 1 gammas"):
        Experts(("words", "norm"), (1.0,))
    with pytest.raises(ValueError, match="must be finite"):
        Experts(("words",), (float("nan"),))
    with pytest.raises(ValueError, match="eps must lie in"):
        Experts(("words",), (1.0,), eps=1.5)
    with pytest.raises(KeyError, match="did you mean 'received'"):
        Experts(("recieved",), (1.0,))


def test_experts_that_learned_nothing_say_how_to() -> None:
    scorer = ExpectedFreeEnergy(preference="learned")
    with pytest.raises(ValueError, match=r"has to be learned first: run arr-coc calibrate.*--need"):
        scorer(pictures([9]))
    with pytest.raises(ValueError, match="run arr-coc calibrate"):
        _ = Allocator(scorer=scorer).needs


def test_what_the_sources_need_is_what_every_scorer_with_this_preference_needs() -> None:
    assert TRUSTED.needs == needs_of(TRUSTED) == ("received",)
    assert Experts(("cls", "received", "norm"), (1.0, 1.0, 1.0)).needs == ("attention", "received")
    assert needs_of("words") == needs_of("indifferent") == ()
    efe = ExpectedFreeEnergy(preference=TRUSTED)
    for scorer in (efe, Quadtree(preference=TRUSTED), DepthEFE(before=efe)):
        assert Allocator(scorer=scorer).needs == ("received",)
    assert ExpectedFreeEnergy().needs == Quadtree().needs == DepthEFE().needs == ()


def test_needs_reach_the_tower_of_a_model() -> None:
    tiny = tiny_model("llava", "eager")
    inputs = tiny.inputs(ROWS)

    with attached(tiny.model, Allocator(scorer=ExpectedFreeEnergy(preference=TRUSTED), budget=2)) as trace:
        tiny.model(**inputs)
    with attached(tiny.model, Allocator(scorer=ExpectedFreeEnergy(), budget=2)) as plain:
        tiny.model(**inputs)

    assert (trace[0].budget[trace[0].visual > 0] == 2).all()
    assert not torch.equal(trace[0].scores.nan_to_num(), plain[0].scores.nan_to_num())


@pytest.mark.parametrize("name", RELEVANCE)
def test_every_source_can_be_an_expert(name: str) -> None:
    these = pictures([9, 4])
    z = witnessed((name,), these)

    assert z[these.valid].isfinite().all()
    assert (z[~these.valid] == 0).all()
    assert set(needed_by((name, name))) == set(RELEVANCE[name].needs)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", ["llava", "qwen3_vl"])
def test_a_gaze_is_the_attention_of_the_last_word_and_changes_nothing(family: str, attention: str) -> None:
    tiny = tiny_model(family, attention)
    inputs = tiny.inputs(ROWS)
    parts = parts_of(tiny.model)
    text = inputs["attention_mask"].bool() & (inputs["input_ids"] != PICTURE)
    with torch.no_grad():
        plain = tiny.model(**inputs)
        with gazed(parts, text) as said:
            logits = tiny.model(**inputs).logits
        tiny.model.set_attn_implementation("eager")
        weights = tiny.model(**inputs, output_attentions=True).attentions
        tiny.model.set_attn_implementation(attention)

    assert torch.equal(logits, plain.logits)
    assert len(said) == len(weights) > 0
    last = [int(row.nonzero()[-1]) for row in text]
    for mine, theirs in zip(said, weights, strict=True):
        for i, at in enumerate(last):
            assert_close(mine[i], theirs[i, :, at].mean(0), atol=1e-5, rtol=1e-5)
