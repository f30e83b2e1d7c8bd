"""What is measured is what happened: counts exactly, times by their order."""

import pytest
import torch

from arr_coc.eval.bench.efficiency import break_even, measure
from arr_coc.eval.bench.gauges import gauged
from arr_coc.eval.bench.random_llava import RandomLlava

SMALL = RandomLlava(layers=2, dim=32, hidden=48, heads=2, vocabulary=64, side=56)


def test_tokens_cache_and_flops_are_those_of_what_the_first_layer_saw() -> None:
    found = measure(
        ["stride", "random"], 4, rounds=2, new_tokens=3, llava=SMALL, batches=(1, 2), sides=(28, 56)
    )

    stride, random = found["rows"]
    assert [stride["case"], random["case"]] == ["stride 4", "random 4"]
    assert (stride["visual"], stride["seen"], stride["peer_seen"]) == (16, 44, 56)
    assert stride["kv_bytes"] == 44 * 2 * 2 * 32 * 4  # tokens, k and v, layers, channels, float32
    assert stride["peer_kv_bytes"] == 56 * 2 * 2 * 32 * 4
    # Twelve tokens less: projections and MLP of each, and attention of 44 instead of 56.
    layer = 12 * (2 * 4 * 32**2 + 6 * 32 * 48) + 4 * 32 * (56**2 - 44**2)
    assert stride["peer_flops"] - stride["flops"] == 2 * layer
    assert 0 < stride["select_ms"] < stride["ours_ms"]
    assert stride["ours_ms"] <= stride["ttft_p95_ms"]
    assert stride["tpot_p50_ms"] <= stride["tpot_p95_ms"]
    assert [row["batch"] for row in found["batch_sweep"]] == [1, 2]
    assert [row["prompt_tokens"] for row in found["length_sweep"]] == [44, 56]
    assert {"command", "commit", "seed", "hardware"} <= set(found)


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        ([-2.0, -1.0, 1.0], 250.0),
        ([-1.0, 3.0, 4.0], 125.0),
        ([1.0, 2.0, 3.0], 100.0),
        ([-1.0, -1.0, -1.0], None),
        ([1.0, 1.0, -1.0], None),
        ([1.0, -1.0, 1.0], 250.0),
    ],
)
def test_the_break_even_point_lies_between_the_last_loss_and_the_first_gain(
    saved: list[float], expected: float | None
) -> None:
    assert break_even([100, 200, 300], saved) == expected


def test_memory_that_was_held_for_a_moment_is_seen() -> None:
    with gauged(torch.device("cpu")) as gauge:
        torch.ones(64 * 2**20 // 4)
    with gauged(torch.device("cpu")) as less:
        pass

    if gauge.peak_bytes is None:
        pytest.skip("this system does not tell the peak of a process's memory")
    assert less.peak_bytes is not None
    assert gauge.peak_bytes - less.peak_bytes > 48 * 2**20
