"""The experiment with a temperature per head, on the shipped model and a handful of items."""

import pytest
import torch

from arr_coc.eval.models import Loaded, load
from arr_coc.eval.temperature import measure, tempered
from arr_coc.parts import parts_of


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load("nano-llava")


@torch.no_grad()
def test_a_temperature_of_one_changes_nothing_and_another_scales_the_logits(loaded: Loaded) -> None:
    layers = parts_of(loaded.model).decoder.layers
    attention, x = layers[0].self_attn, torch.randn(1, 3, loaded.model.config.text_config.hidden_size)
    gamma = torch.ones(len(layers), loaded.model.config.text_config.num_attention_heads)
    plain = attention.q_proj(x)

    with tempered(layers, gamma):
        assert torch.equal(attention.q_proj(x), plain)
    gamma[0, 1] = 3.0
    with tempered(layers, gamma):
        warm = attention.q_proj(x)

    by_head = (warm / plain).view(1, 3, -1, attention.head_dim)
    torch.testing.assert_close(by_head, gamma[0, :, None].expand_as(by_head))
    assert torch.equal(attention.q_proj(x), plain)


def test_it_is_measured_on_the_same_items_with_and_without(loaded: Loaded) -> None:
    (row,) = measure(limit=4, budgets=(16,), loaded=loaded, held_out=2)["rows"]

    assert row["n"] == 4
    assert row["difference"] == pytest.approx(row["accuracy_tempered"] - row["accuracy"])
    gamma = torch.tensor(row["gamma"])
    text = loaded.model.config.text_config
    assert gamma.shape == (text.num_hidden_layers, text.num_key_value_heads)
    assert (gamma > 0.2).all()
    assert (gamma < 5).all()
