"""A log-precision per key on every attention: the same logits whichever kernel adds it, exact for copies."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn.attention.flex_attention import create_block_mask
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from arr_coc.adapters.tiny import Tiny
from arr_coc.attach import attached
from arr_coc.channel import appended
from arr_coc.weighing import WeighedBlocks
from tests.kernels import KERNELS, running
from tests.laws.memory import drift
from tests.runs import ROWS, apart, batches, even, generated, sliding, tiny_model
from tests.stubs import Some, keep_all

CLOSE = 1e-5
WEIGHED = Some(precision=True)
TAKE_NO_MASK = KERNELS[2:]
FLASH = "flash_attention_2"


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def model_of(name: str) -> Tiny:
    return sliding("sdpa") if name == "sliding window" else tiny_model(name, "sdpa")


@pytest.mark.parametrize("how", TAKE_NO_MASK)
@pytest.mark.parametrize("family", ["llava", "qwen3_vl", "qwen3_5", "sliding window", "gemma3"])
def test_a_log_precision_gives_the_logits_that_a_float_mask_gives(family: str, how: str) -> None:
    if (family, how) == ("gemma3", FLASH):
        pytest.skip("its pictures' tokens see each other in both directions, which no flash kernel does")
    tiny = model_of(family)

    for inputs in batches(tiny):
        with running(tiny, "sdpa"), attached(tiny.model, WEIGHED) as trace:
            oracle = tiny.model(**inputs).logits
        with running(tiny, how), attached(tiny.model, WEIGHED):
            ours = tiny.model(**inputs).logits
        keep = trace[0].keep
        assert apart(ours[keep], oracle[keep]) < CLOSE


@pytest.mark.parametrize("rows", ["ragged", "even"])
@pytest.mark.parametrize("how", TAKE_NO_MASK)
@pytest.mark.parametrize("family", ["llava", "qwen3_vl", "sliding window"])
def test_it_is_there_in_every_step_of_generation(family: str, how: str, rows: str) -> None:
    tiny = model_of(family)
    inputs = tiny.inputs(ROWS if rows == "ragged" else even(tiny))
    ways: list[dict[str, Any]] = [{}]
    if how == FLASH:  # static caches are off on flex attention in some transformers, without arr-coc too
        ways.append({"cache_implementation": "static", "disable_compile": True})

    for options in ways:
        with running(tiny, "sdpa"), attached(tiny.model, WEIGHED):
            oracle = generated(tiny, inputs, **options)
        with running(tiny, how), attached(tiny.model, WEIGHED):
            ours = generated(tiny, inputs, **options)
        assert torch.equal(ours.sequences, oracle.sequences)
        assert drift(ours, oracle) < CLOSE


@pytest.mark.parametrize("how", TAKE_NO_MASK)
def test_off_is_off_with_the_stand_in(llava: Tiny, how: str) -> None:
    inputs = llava.inputs(ROWS)

    with running(llava, how):
        plain = llava.model(**inputs).logits
        with attached(llava.model, keep_all):
            assert torch.equal(llava.model(**inputs).logits, plain)


def test_a_static_cache_on_flash_attention_is_pruned_without_a_bias_too(llava: Tiny) -> None:
    inputs = llava.inputs(ROWS)

    with running(llava, FLASH), attached(llava.model, Some()):
        dynamic = generated(llava, inputs)
        static = generated(llava, inputs, cache_implementation="static", disable_compile=True)

    assert drift(dynamic, static) < CLOSE


@pytest.mark.parametrize("how", TAKE_NO_MASK)
def test_the_functions_of_transformers_are_back_when_the_last_block_ends(llava: Tiny, how: str) -> None:
    other, theirs = tiny_model("idefics3", "sdpa"), ALL_ATTENTION_FUNCTIONS[how]

    with running(llava, how), running(other, how):
        first, second = attached(llava.model, WEIGHED), attached(other.model, WEIGHED)
        first.__enter__()
        second.__enter__()
        assert ALL_ATTENTION_FUNCTIONS[how] is not theirs
        first.__exit__(None, None, None)  # not the last that came
        other.model(**other.inputs(ROWS[:1]))
        second.__exit__(None, None, None)

    assert ALL_ATTENTION_FUNCTIONS[how] is theirs
    assert how not in ALL_ATTENTION_FUNCTIONS._local_mapping


def test_a_mask_that_moves_to_another_device_takes_the_log_precision_along() -> None:
    blocks = create_block_mask(lambda b, h, q, k: k <= q, B=1, H=None, Q_LEN=4, KV_LEN=4, device="cpu")

    moved = WeighedBlocks(blocks, torch.ones(1, 4)).to("meta")

    assert moved.kv_indices.device.type == moved.bias.device.type == "meta"
    assert moved.shape == blocks.shape


def test_a_function_that_the_user_put_there_is_back_too(llava: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    theirs = ALL_ATTENTION_FUNCTIONS["flex_attention"]

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return theirs(*args, **kwargs)

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._local_mapping, "flex_attention", counted)
    with running(llava, "flex_attention"), attached(llava.model, WEIGHED):
        llava.model(**llava.inputs(ROWS[:1]))

    assert len(calls) == 3
    assert ALL_ATTENTION_FUNCTIONS["flex_attention"] is counted


def test_an_attention_that_cannot_be_weighed_is_refused_with_those_that_can(llava: Tiny) -> None:
    with (
        running(llava, "paged|eager"),
        pytest.raises(ValueError, match=r"runs 'paged\|eager'.*'sdpa', 'eager', 'flex_attention' or 'flash"),
        attached(llava.model, WEIGHED),
    ):
        llava.model(**llava.inputs(ROWS[:1]))


def test_a_cap_on_the_logits_is_refused_on_flash_attention(llava: Tiny) -> None:
    q, mask = torch.zeros(1, 1, 2, 8), torch.zeros(1, 1, 1, 2)

    with (
        running(llava, FLASH),
        attached(llava.model, WEIGHED),
        pytest.raises(ValueError, match="cap the bias together with the logits"),
    ):
        ALL_ATTENTION_FUNCTIONS[FLASH](llava.model, q, q, q, mask, softcap=50.0)


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("dim", [16, 20, 248])
@pytest.mark.parametrize(
    ("dtype", "close"), [(torch.float64, 1e-6), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)]
)
def test_appended_channels_are_a_bias_for_any_kernel(
    kv_heads: int, dim: int, dtype: torch.dtype, close: float
) -> None:
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, n, 9, dim, generator=draw).to(dtype) for n in (4, kv_heads, kv_heads))
    bias = torch.rand(2, 9, generator=draw) * 6 - 1
    causal = torch.ones(9, 9, dtype=torch.bool).tril()
    mask = torch.where(causal, bias[:, None, None], -torch.inf).double()
    oracle = scaled_dot_product_attention(
        q.double(), k.double(), v.double(), attn_mask=mask, scale=0.3, enable_gqa=True
    )

    wide = appended(q, k, v, bias, scale=0.3)
    ours = scaled_dot_product_attention(*wide, is_causal=True, scale=0.3, enable_gqa=True)

    assert ours.shape[-1] % 8 == 0
    assert apart(ours[..., :dim], oracle) < close
    assert (ours[..., dim:] == 0).all()


def test_three_channels_hold_a_bias_that_one_of_bfloat16_would_round() -> None:
    bias = torch.tensor([[5.545177]])  # ln 256
    one = torch.zeros(1, 1, 1, 128, dtype=torch.bfloat16)
    scale = 128**-0.5

    query, key, _ = appended(one, one, one, bias, scale)

    added = scale * (query.double() * key.double()).sum()
    assert abs(added - 5.545177) < 1e-6
    assert abs(scale * (bias / scale).bfloat16().double() - 5.545177) > 1e-3


def test_heads_without_room_for_the_channels_are_refused() -> None:
    q = torch.zeros(1, 1, 2, 256)

    with pytest.raises(ValueError, match=r"at most 256, and this model's have 256.*'sdpa' or 'flex"):
        appended(q, q, q, torch.zeros(1, 2), scale=1.0)
