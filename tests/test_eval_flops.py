"""The formula against torch's own counter, on the real class."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from arr_coc.eval.flops import DecoderShape


@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("length", [1, 7, 33])
def test_the_formula_counts_what_torch_counts(length: int, kv_heads: int) -> None:
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=kv_heads, head_dim=16, attn_implementation="eager",
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    ids = torch.ones(1, length, dtype=torch.long)

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=ids, logits_to_keep=1)

    assert counter.get_total_flops() == DecoderShape.of(config).prefill_flops(length)
