"""Published methods that choose in a way of their own, on examples small enough to be done by hand."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from arr_coc.scorers import SCORERS
from arr_coc.scorers.hiprune import HiPrune
from arr_coc.scorers.holov import HoloV, shared_out
from arr_coc.scorers.tome import ToMe
from arr_coc.scorers.visionzip import VisionZip
from arr_coc.scorers.vispruner import AT_ONCE, without_duplicates
from arr_coc.select import SELECTORS
from arr_coc.types import Pictures, Selection
from tests.pictures import picture_of

PLAIN = [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]


def chosen(scorer: Any, these: Pictures, k: int) -> Selection:
    return SELECTORS[scorer.selector]()(these, scorer(these), torch.tensor([k]))


def kept(selection: Selection) -> list[int]:
    return selection.keep[0].nonzero()[:, 0].tolist()


def merged(selection: Selection) -> list[list[float]]:
    assert selection.merged is not None
    return selection.merged[0][selection.keep[0]].tolist()


def test_fastervlm_keeps_what_the_tower_looks_at() -> None:
    these = picture_of(PLAIN[:4], attention=[0.1, 0.4, 0.2, 0.3])

    assert kept(chosen(SCORERS["fastervlm"](), these, 2)) == [1, 3]


def test_visionzip_adds_the_mean_of_those_with_the_most_similar_key_to_evenly_spaced_tokens() -> None:
    # Dominant: 0 and 3. Left: 1 2 4 5 6, of which every 5 // 2 = 2nd is contextual: 1 and 4.
    these = picture_of(
        [[9, 9], [1, 0], [0, 5], [9, 9], [0, 1], [3, 0], [5, 0.0]],
        attention=[0.4, 0.05, 0.1, 0.3, 0.06, 0.09, 0.0],
        # Two heads; by their mean, 2 goes with 4, and 5 and 6 with 1. By the first head, 2 would go with 1.
        keys=[
            [[1, 1], [1, 1]], [[1, 0], [1, 0]], [[2, 0], [-2, 4]], [[1, 1], [1, 1]], [[0, 1], [0, 1]],
            [[3, 1], [3, 1]], [[2, 0], [2, 0.0]],
        ],
    )  # fmt: skip

    selection = chosen(VisionZip(contextual=0.5), these, 4)

    assert kept(selection) == [0, 1, 3, 4]
    assert merged(selection) == [[9, 9], [1 + (3 + 5) / 2, 0], [9, 9], [0, 1 + 5]]
    assert selection.mass is not None
    assert selection.mass[0].tolist() == [1, 3, 0, 1, 2, 0, 0]
    assert selection.speaker is not None
    assert selection.speaker[0].tolist() == [0, 1, 4, 3, 4, 1, 1]


def test_visionzip_has_ten_contextual_tokens_of_sixty_four() -> None:
    these = picture_of([[1.0, 0.0]] * 100, attention=[0.01] * 100, keys=[[[1.0, 0.0]]] * 100)

    selection = chosen(VisionZip(), these, 64)

    # All are alike: the first 54 are dominant; of the 46 left every 4th is contextual, and the rest joins the
    # first of them.
    assert kept(selection) == [*range(54), *range(54, 54 + 40, 4)]
    assert selection.mass is not None
    assert selection.mass[0, 54:58].tolist() == [37, 0, 0, 0]


def test_prumerge_takes_in_neighbours_by_attention_and_gathers_the_rest_in_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    these = picture_of(
        [[1, 0], [0, 1], [1, 1], [2, 0.0]],
        attention=[0.5, 0.2, 0.2, 0.1],
        keys=[[[1, 0]], [[0, 1]], [[0, 1]], [[1, 0.1]]],  # 3 is nearest to 0
    )

    everyone = chosen(SCORERS["prumerge"](), these, 2)
    monkeypatch.setattr("arr_coc.scorers.prumerge.NEIGHBOURS", 1)
    nearest = chosen(SCORERS["prumerge"](), these, 2)

    rest = [0.2 * 1 + 0.1 * 2, 0.2 + 0.2]  # 0.2 (0, 1) + 0.2 (1, 1) + 0.1 (2, 0)
    assert kept(everyone) == [0, 1]
    assert_close(torch.tensor(merged(everyone)), torch.tensor([[1 + rest[0], rest[1]], rest]))
    assert_close(torch.tensor(merged(nearest)), torch.tensor([[1 + 0.1 * 2, 0.0], rest]))


def test_prumerge_plus_adds_evenly_spaced_tokens() -> None:
    # k - 1 = 4: one by attention, 4; three spaced, of 0 1 2 3 5 6 7 8 every 8 // 3 = 2nd. 7 is the best left.
    attention = [0.06, 0.05, 0.05, 0.05, 0.4, 0.05, 0.05, 0.2, 0.05]
    these = picture_of([[1.0, 0.0]] * 9, attention=attention, keys=[[[1.0]]] * 9)

    assert kept(chosen(SCORERS["prumerge_plus"](), these, 5)) == [0, 2, 4, 5, 7]


def test_trim_keeps_what_resembles_the_question_and_the_mean_of_the_rest() -> None:
    # The mean word is (1, 0.5): cosines 0.89, -0.89, 0.45, -0.45.
    these = picture_of([[1, 0], [-1, 0], [0, 1], [0, -1.0]], words=[[2, 0], [0, 1.0]])

    selection = chosen(SCORERS["trim"](), these, 2)

    assert kept(selection) == [0, 2]
    assert_close(torch.tensor(merged(selection)), torch.tensor([[1, 0], [-1 / 3, 0]]))
    assert selection.mass is not None
    assert selection.mass[0].tolist() == [1, 0, 3, 0]


def test_vispruner_removes_duplicates_from_what_attention_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    # 0 and 1 by attention. Of 2 3 4 5: sides 2 4 and 3 5; 2 is the closest to the other side (cosine 0.995)
    # and goes. Of 3 4 5: sides 3 5 and 4; 3 (0.0995) goes before 5 (0).
    these = picture_of(
        [[1.0, 0.0]] * 6,
        attention=[0.4, 0.3, 0.1, 0.1, 0.05, 0.05],
        features=[[5, 5], [5, 5], [1, 0], [1, 0.1], [0, 1], [-1, 0.0]],
    )
    monkeypatch.setattr("arr_coc.scorers.vispruner.AT_ONCE", 1)

    assert kept(chosen(SCORERS["vispruner"](), these, 4)) == [0, 1, 4, 5]


def test_vispruner_ends_with_what_is_wanted_even_if_one_side_is_gone_in_a_round() -> None:
    # Half of 2 by attention: 0. Of the five left, the first side 1 3 5 goes at once; then 2, and 4 remains.
    these = picture_of([[1.0, 0.0]] * 6, attention=[0.9, 0, 0, 0, 0, 0.0], features=[[1.0, 0.0]] * 6)

    assert kept(chosen(SCORERS["vispruner"](), these, 2)) == [0, 4]


def test_vispruner_removes_what_a_plain_loop_removes() -> None:
    alike = torch.randn(3, 40, 40, generator=torch.Generator().manual_seed(0))
    among = torch.rand(3, 40, generator=torch.Generator().manual_seed(1)) < 0.8
    wanted = torch.tensor([3, 17, 25])

    left = without_duplicates(alike, among, wanted)

    for picture, there, n, found in zip(alike, among, wanted.tolist(), left, strict=True):
        tokens = there.nonzero()[:, 0].tolist()
        while len(tokens) > n:
            one, other = tokens[::2], tokens[1::2]
            one.sort(key=lambda t: -float(picture[t, other].max()))
            gone = one[: min(AT_ONCE, len(tokens) - n)]
            tokens = [t for t in tokens if t not in gone]
        assert found.nonzero()[:, 0].tolist() == tokens


def test_tome_merges_pairs_and_weighs_them_by_their_sizes() -> None:
    # Step 1: sides 0 2 and 1; 0 is like 1. Step 2: sides 1 and 2, and 1 stands for two by then.
    these = picture_of([[0, 0], [6, 0], [0, 9.0]], keys=[[[1, 0]], [[1, 0.1]], [[0, 1.0]]])

    two, one = (chosen(ToMe(steps=1), these, k) for k in (2, 1))

    assert kept(two) == [1, 2]
    assert merged(two) == [[3, 0], [0, 9]]
    assert two.mass is not None
    assert two.mass[0].tolist() == [0, 2, 1]
    assert kept(one) == [2]
    assert_close(torch.tensor(merged(one)), torch.tensor([[2.0, 3.0]]))
    assert one.mass is not None
    assert one.mass[0].tolist() == [0, 0, 3]
    assert one.speaker is not None
    assert one.speaker[0].tolist() == [2, 2, 2]


def test_tome_spreads_its_merges_over_the_steps() -> None:
    plan = ToMe(steps=4)._plan([20, 8], [7, 1])

    # 13 = 4 + 3 + 3 + 3; and 7 = 2 + 2 + 2, which leaves 2 tokens, + 1.
    assert plan == [[4, 2], [3, 2], [3, 2], [3, 1]]


def test_holov_gives_strips_their_share_and_what_is_over_to_those_with_room() -> None:
    # 6 shared as 3 : 1 : 0 is 4.5, 1.5, 0; rounded down and cut to the sizes 2, 1, 0; 3 are left: one each to
    # the second and third, and the last to the second.
    weight, size = torch.tensor([[3.0, 1.0, 0.0]]), torch.tensor([[2, 5, 5]])

    assert shared_out(weight, size, torch.tensor([6])).tolist() == [[2, 3, 1]]


def test_holov_gives_more_to_a_strip_whose_tokens_differ_and_picks_by_attention() -> None:
    half = 0.5**0.5
    # Cosines with the others of the second strip: (0, h), (0, h), (h, h): variances 1/8, 1/8, 0. gamma is 4
    # (mean attention 1/6, mean variance 1/24): the strips weigh 1/6 and 1/2, so of 4 they get 1 and 3.
    tokens = [[1, 0], [1, 0], [1, 0], [1, 0], [0, 1], [half, half]]
    attention = [0.16, 0.18, 0.16, 1 / 6, 1 / 6, 1 / 6]
    these = picture_of(tokens, attention=attention)

    assert kept(chosen(HoloV(strips=2), these, 4)) == [1, 3, 4, 5]
    alike = picture_of(PLAIN[:6], attention=[0.1, 0.2, 0.3, 0.05, 0.2, 0.15])
    assert kept(chosen(HoloV(strips=2), alike, 2)) == [
        1,
        2,
    ]  # 1.2 and 0.8 of two: what is over goes to the first


def test_hiprune_keeps_an_anchor_its_neighbours_and_registers() -> None:
    # Half of 8 is four tokens: 0.8 of an anchor with four around it, so one. Three are left for registers.
    last = [0.3, 0.0, 0.2, 0.0, 0.1, 0.0, 0.1, 0.0, 0.05]
    centre, corner = [0.0] * 4 + [1.0] + [0.0] * 4, [1.0] + [0.0] * 8

    def shown(middle: list[float], grid: tuple[int, int]) -> Pictures:
        return picture_of([[1.0, 0.0]] * 9, grid=grid, attention=last, middle=middle)

    assert kept(chosen(HiPrune(alpha=0.5), shown(centre, (3, 3)), 8)) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert kept(chosen(HiPrune(alpha=0.5), shown(corner, (3, 3)), 5)) == [0, 1, 2, 3, 4]  # around 0: 1, 3
    assert kept(chosen(HiPrune(alpha=0.5), shown(corner, (0, 0)), 3)) == [0, 2, 4]  # grid unknown


def test_dart_keeps_pivots_and_what_is_least_like_each() -> None:
    # The longest token is 0, the word is (0, 2); each adds one: 2 points away from 0, 3 away from the word.
    these = picture_of([[3, 0], [2, 0.1], [-1, 0], [0, -1.0]], words=[[0, 2.0]])

    assert kept(chosen(SCORERS["dart"](), these, 1)) == [0]
    assert kept(chosen(SCORERS["dart"](pivots=1), these, 3)) == [0, 2, 3]  # type: ignore[call-arg]
    mute = picture_of([[3, 0], [2, 0.1], [-1, 0], [0, -1.0]])
    assert kept(chosen(SCORERS["dart"](pivots=1), mute, 2)) == [0, 2]  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("visionzip", {"contextual": 1.5}), ("prumerge_plus", {"spaced": -0.1}), ("tome", {"steps": 0}),
        ("vispruner", {"important": 2.0}), ("holov", {"strips": 0}), ("hiprune", {"alpha": 1.1}),
        ("dart", {"pivots": 0}), ("cdpruner", {"theta": 1.0}), ("mmtok", {"text_temperature": 0.0}),
        ("eadp", {"mu": 1.5}),
        ("eadp", {"gamma": 0.0}), ("agileprune", {"slope": -1.0}), ("trim", {"source": "clib"}),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused_by_name(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError), match=next(iter(settings)).split("_")[-1]):
        SCORERS[name](**settings)
