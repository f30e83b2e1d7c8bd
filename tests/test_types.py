"""The dense view of the pictures of a prefill."""

import pytest
import torch

from tests.contexts import context


def test_pictures_are_the_visual_tokens_in_reading_order() -> None:
    prefill = context([[2, 4, 1, 3, 2], [5], [1, 6, 1]])
    these = prefill.pictures()
    assert these.row.tolist() == [0, 0, 2]
    assert these.nth.tolist() == [0, 1, 0]
    assert these.count.tolist() == [4, 3, 6]
    for i in range(3):
        member = prefill.visual[these.row[i]] & (prefill.picture[these.row[i]] == these.nth[i])
        assert torch.equal(these.index[i][these.valid[i]], member.nonzero()[:, 0])
        assert torch.equal(these.tokens[i][these.valid[i]], prefill.embeds[these.row[i]][member])
        assert torch.equal(
            these.query[i][these.asked[i]], prefill.embeds[these.row[i]][prefill.text[these.row[i]]]
        )
    assert (these.tokens[~these.valid] == 0).all()


def test_both_sides_of_padding_give_the_same_pictures() -> None:
    right, left = (
        context([[2, 4, 1], [1, 6, 9]]).pictures(),
        context([[2, 4, 1], [1, 6, 9]], left=True).pictures(),
    )
    assert torch.equal(right.tokens, left.tokens)
    assert torch.equal(right.query[right.asked], left.query[left.asked])


def test_pictures_are_float32_whatever_the_model_is() -> None:
    assert context([[1, 4, 1]], dtype=torch.bfloat16).pictures().tokens.dtype == torch.float32


@pytest.mark.parametrize("rows", [[[5]], [[3], [4]]])
def test_a_prefill_without_pictures_has_none(rows: list[list[int]]) -> None:
    assert len(context(rows).pictures().row) == 0


def test_visual_tokens_that_are_not_numbers_are_refused_with_a_way_out() -> None:
    prefill = context([[1, 4, 1]])
    broken = prefill.embeds.clone()
    broken[0, 2, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinity: check the picture"):
        type(prefill)(**{**vars(prefill), "embeds": broken})
