"""A cache with two lengths: what its caller counts and what it holds."""

from copy import deepcopy

import pytest
import torch
from transformers import DynamicCache, StaticCache

from arr_coc.adapters.tiny import Tiny
from arr_coc.attach import attached
from arr_coc.cache import CACHE, Prefix, mark, prefix_of
from tests.runs import ROWS, STEPS, apart, generated, tiny_model
from tests.stubs import Some

MASK = torch.tensor([[False, True, True], [True, True, True]])


def filled(columns: int = 3) -> DynamicCache:
    past = DynamicCache()
    states = torch.arange(2.0)[:, None, None, None].expand(2, 1, columns, 4)
    past.update(states, states, 0)
    return past


def marked(bias: torch.Tensor | None = None) -> DynamicCache:
    past = filled()
    mark(past, Prefix(logical=10, mask=MASK, padded=True, bias=bias))
    return past


def test_positions_go_on_from_the_prompt_and_masks_from_what_is_kept() -> None:
    past = marked()

    assert past.get_seq_length() == 10
    assert past.get_query_offset() == 3
    assert past.get_mask_sizes(1, 0) == (4, 0)
    past.update(torch.zeros(2, 1, 1, 4), torch.zeros(2, 1, 1, 4), 0)
    assert past.get_seq_length() == 11
    assert past.get_query_offset() == 4


def test_an_unmarked_cache_has_no_prefix() -> None:
    assert prefix_of(filled()) is None
    assert prefix_of(None) is None


def test_rows_of_the_prefix_follow_the_rows_of_the_cache() -> None:
    bias = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])

    for move, rows in (
        (lambda past: past.reorder_cache(torch.tensor([1, 0])), [1, 0]),
        (lambda past: past.batch_select_indices(torch.tensor([1])), [1]),
        (lambda past: past.batch_repeat_interleave(2), [0, 0, 1, 1]),
    ):
        past = marked(bias)
        move(past)

        assert past.layers[0].keys[:, 0, 0, 0].tolist() == rows
        assert torch.equal(past.prefix.mask, MASK[rows])
        assert torch.equal(past.prefix.bias, bias[rows])


def test_a_copy_is_independent_and_a_reset_forgets() -> None:
    past = marked()
    copy = deepcopy(past)

    past.reset()

    assert type(past) is DynamicCache
    assert prefix_of(past) is None
    assert past.get_seq_length() in (0, 3)  # older transformers zero the columns, and keep them
    assert copy.get_seq_length() == 10


def test_generated_tokens_can_be_cropped_but_not_the_pruned_prompt() -> None:
    past = marked()
    past.update(torch.zeros(2, 1, 2, 4), torch.zeros(2, 1, 2, 4), 0)

    past.crop(-2)

    assert past.get_seq_length() == 10
    with pytest.raises(ValueError, match="cannot crop 1 tokens of a pruned prompt"):
        past.crop(-1)


def test_a_pruned_prompt_can_be_cropped_as_far_as_its_last_words() -> None:
    past = filled()
    mark(past, Prefix(logical=10, mask=MASK, padded=True, tail=1, bias=torch.ones(2, 3)))
    past.update(torch.zeros(2, 1, 2, 4), torch.zeros(2, 1, 2, 4), 0)

    past.crop(-3)

    assert (past.get_seq_length(), past.get_query_offset()) == (9, 2)
    assert torch.equal(past.prefix.mask, MASK[:, :2])
    assert past.prefix.bias.shape == (2, 2)
    with pytest.raises(ValueError, match="after whose last visual token there are 0"):
        past.crop(-1)


def test_columns_are_the_prefix_and_what_the_caller_says_of_later_tokens() -> None:
    prefix = Prefix(logical=4, mask=MASK, padded=True)
    given = torch.tensor([[True] * 5, [True] * 4 + [False]])

    assert prefix.columns(None, 5).tolist() == [[False, True, True, True, True], [True] * 5]
    assert prefix.columns(given, 4).tolist() == [[False, True, True, True], [True, True, True, False]]
    assert Prefix(4, torch.ones_like(MASK), padded=False).columns(None, 5) is None
    with pytest.raises(ValueError, match="whole conversation"):
        prefix.columns(given[:, :1], 4)


@torch.no_grad()
def test_a_static_cache_holds_what_was_kept_and_counts_what_was_shown() -> None:
    tiny = tiny_model("qwen2_5_vl", "sdpa")
    inputs = tiny.inputs(ROWS)
    past = StaticCache(config=tiny.model.config.text_config, max_cache_len=120)

    with attached(tiny.model, Some()) as trace:
        static = generated(tiny, inputs, **{CACHE: past}, disable_compile=True)
        dynamic = generated(tiny, inputs)

    assert max(map(apart, static.logits, dynamic.logits)) < 1e-4
    assert int(past.get_seq_length()) == inputs["input_ids"].shape[1] + STEPS - 1
    assert int(past.get_query_offset()) == (trace[0].seen or 0) + STEPS - 1


@torch.no_grad()
@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"])
def test_assisted_generation_writes_the_same(family: str) -> None:
    tiny: Tiny = tiny_model(family, "sdpa")
    inputs = tiny.inputs(ROWS[:1])

    with attached(tiny.model, Some()):
        plain = generated(tiny, inputs)
        assisted = generated(tiny, inputs, prompt_lookup_num_tokens=2)

    assert torch.equal(assisted.sequences, plain.sequences)
