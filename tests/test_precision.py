"""Precision-weighted attention: standard with nothing set, exact where theory says so."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.testing import assert_close

from arr_coc.precision import PrecisionWeightedAttention

DIM, HEADS = 12, 3


def layer(seed: int = 0, **settings: object) -> PrecisionWeightedAttention:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return PrecisionWeightedAttention(DIM, **{"heads": HEADS} | settings).double()  # type: ignore[arg-type]


def tokens(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def heads_of(attention: PrecisionWeightedAttention, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries of x, keys and values of y, by head."""
    q, k, v = attention.query_proj(x), attention.key_proj(y), attention.value_proj(y)
    split = [t.view(*t.shape[:2], -1, DIM // HEADS).transpose(1, 2) for t in (q, k, v)]
    return split[0], split[1], split[2]


@pytest.mark.parametrize("kv_heads", [3, 1])
def test_as_it_is_made_it_is_the_attention_of_torch_to_the_last_bit(kv_heads: int) -> None:
    attention, x, y = layer(kv_heads=kv_heads), tokens(2, 4), tokens(2, 6, seed=2)

    plain = scaled_dot_product_attention(*heads_of(attention, x, y), enable_gqa=kv_heads != HEADS)

    assert torch.equal(attention(x, y, y), plain.transpose(1, 2).reshape(2, 4, DIM))


def test_it_is_multi_head_attention_with_the_same_weights() -> None:
    attention, x, y = layer(), tokens(2, 4), tokens(2, 6, seed=2)
    real = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]]).bool()
    oracle = nn.MultiheadAttention(DIM, HEADS, batch_first=True).double()
    parts = (attention.query_proj, attention.key_proj, attention.value_proj)
    with torch.no_grad():
        oracle.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        oracle.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        oracle.out_proj.weight.copy_(torch.eye(DIM))
        oracle.out_proj.bias.zero_()

    assert_close(attention(x, y, y, real=real), oracle(x, y, y, key_padding_mask=~real)[0])


def test_one_head_with_a_precision_is_the_formula_of_the_sketch() -> None:
    attention, x, y = layer(heads=1), tokens(2, 4), tokens(2, 6, seed=2)
    with torch.no_grad():
        attention.log_precision.fill_(0.7)

    scores = attention.query_proj(x) @ attention.key_proj(y).transpose(1, 2)
    weights = (math.exp(0.7) * scores / math.sqrt(DIM)).softmax(-1)

    assert_close(attention(x, y, y), weights @ attention.value_proj(y))


def test_a_temperature_of_every_head_scales_its_queries_and_so_its_logits() -> None:
    attention, x, y = layer(), tokens(2, 4), tokens(2, 6, seed=2)
    gamma = torch.tensor([0.5, 1.0, 3.0], dtype=torch.double)
    q, k, v = heads_of(attention, x, y)
    logits = q @ k.transpose(2, 3) / math.sqrt(DIM // HEADS)
    plain = attention(x, y, y)
    with torch.no_grad():
        attention.log_precision.copy_(gamma.log())

    tempered = attention(x, y, y).view(2, 4, HEADS, -1)

    assert_close(tempered.transpose(1, 2), (gamma[:, None, None] * logits).softmax(-1) @ v)
    assert_close(tempered[:, :, 1], plain.view(2, 4, HEADS, -1)[:, :, 1])


@pytest.mark.parametrize("learned", [False, True])
def test_a_token_with_ln_n_stands_for_n_copies_of_it(learned: bool) -> None:
    attention, x, few = layer(learned=learned), tokens(2, 4), tokens(2, 3, seed=2)
    n = torch.tensor([1, 5, 2])
    every = few.repeat_interleave(n, dim=1)
    if attention.key_precision is not None:
        nn.init.normal_(attention.key_precision.weight)

    merged = attention(x, few, few, key_log_precision=n.double().log().expand(2, 3))

    assert_close(merged, attention(x, every, every))
    assert not torch.allclose(attention(x, few, few), attention(x, every, every))


def test_a_precision_near_zero_is_a_key_that_is_not_there() -> None:
    attention, x, y = layer(), tokens(2, 4), tokens(2, 6, seed=2)
    doubted = torch.zeros(2, HEADS, 6, dtype=torch.double)
    doubted[:, :, 4:] = -math.inf

    assert_close(attention(x, y, y, key_log_precision=doubted), attention(x, y[:, :4], y[:, :4]))


def test_a_precision_may_differ_between_heads() -> None:
    attention, x, y = layer(), tokens(1, 4), tokens(1, 6, seed=2)
    bias = torch.zeros(1, HEADS, 6, dtype=torch.double)
    bias[:, 1, 2] = 3.0

    plain, weighed = (attention(x, y, y, key_log_precision=b).view(1, 4, HEADS, -1) for b in (bias * 0, bias))

    assert_close(plain[:, :, [0, 2]], weighed[:, :, [0, 2]])
    assert not torch.allclose(plain[:, :, 1], weighed[:, :, 1])


def test_causal_attention_sees_nothing_later_and_may_follow_cached_keys() -> None:
    attention, y = layer(), tokens(2, 6)

    whole = attention(y, y, y, causal=True)

    for at in range(6):
        assert_close(whole[:, at : at + 1], attention(y[:, at : at + 1], y[:, : at + 1], y[:, : at + 1]))
    assert_close(attention(y[:, 4:], y, y, causal=True), whole[:, 4:])


def test_who_sees_no_key_reads_nothing_and_passes_no_gradient_that_is_no_number() -> None:
    attention, y = layer(), tokens(2, 3).requires_grad_()
    real = torch.tensor([[False, False, False], [False, True, True]])

    read = attention(y, y, y, key_log_precision=torch.zeros(2, 3, dtype=torch.double), real=real, causal=True)
    read.square().sum().backward()

    assert (read[0] == 0).all()
    assert (read[1, 0] == 0).all()
    assert read[1, 1:].abs().min() > 0
    assert y.grad is not None
    assert torch.isfinite(y.grad).all()


def test_gradients_are_those_of_finite_differences_to_every_precision_too() -> None:
    attention, x, y = layer(learned=True), tokens(1, 2), tokens(1, 3, seed=2)
    bias = torch.tensor([[0.0, 1.0, -1.0]], dtype=torch.double, requires_grad=True)
    names = [name for name, _ in attention.named_parameters()]

    def run(bias: Tensor, *parameters: Tensor) -> Tensor:
        given = dict(zip(names, parameters, strict=True))
        read: Tensor = torch.func.functional_call(attention, given, (x, y, y, bias), {"causal": True})
        return read

    assert torch.autograd.gradcheck(run, (bias, *attention.parameters()))


def test_precision_is_learned_from_no_precision_at_all() -> None:
    attention, x, y = layer(learned=True), tokens(2, 4), tokens(2, 6, seed=2)
    assert_close(attention(x, y, y), layer()(x, y, y))

    attention(x, y, y).square().sum().backward()

    for parameter in (attention.log_precision, attention.key_precision.weight):  # type: ignore[union-attr]
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0


def test_a_wild_precision_stays_finite_in_half_precision() -> None:
    attention = layer().bfloat16()
    with torch.no_grad():
        attention.log_precision.fill_(1e4)

    assert torch.isfinite(attention(*[tokens(1, 4).bfloat16()] * 3)).all()
    assert attention.gamma.max() < 55


def test_dropout_is_for_training_alone() -> None:
    attention, plain, x = layer(dropout=0.5), layer(), tokens(1, 6)

    assert not torch.equal(attention(x, x, x), plain(x, x, x))
    assert torch.equal(attention.eval()(x, x, x), plain(x, x, x))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"heads": 5}, "heads must divide dim, got 5 heads for a dim of 12"),
        ({"heads": 3, "kv_heads": 2}, "kv_heads must divide heads, got 2"),
        ({"dropout": 1.0}, r"share of weights in \[0, 1\), got 1.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        layer(**settings)
