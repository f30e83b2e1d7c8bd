"""What attaching leaves alone: other rows, positions, and the model itself."""

from typing import Any

import torch

from arr_coc.adapters.tiny import Tiny
from arr_coc.attach import attached
from arr_coc.parts import parts_of
from tests.laws import CLOSE, EXACT, law
from tests.runs import ROWS, apart, batches, decoder_of, positions, watched
from tests.stubs import Some


@law(CLOSE)
def rows(tiny: Tiny) -> float:
    """4. A row of a batch is the row alone, padded left or right; without a picture, the plain model's."""
    worst = 0.0
    for side in ("left", "right"):
        inputs = tiny.inputs(ROWS, side)
        with attached(tiny.model, Some()) as trace:
            together = tiny.model(**inputs).logits
        for n, row in enumerate(ROWS):
            with attached(tiny.model, Some()) as single:
                alone = tiny.model(**tiny.inputs([row])).logits[0]
            if not single:
                assert "image" not in row.parts
                alone = tiny.model(**tiny.inputs([row])).logits[0]
            kept = single[0].keep[0] if single else slice(None)
            worst = max(worst, apart(together[n][trace[0].keep[n]], alone[kept]))
    return worst


@law(EXACT)
def original_positions(tiny: Tiny) -> float:
    """5. What is kept stays at its position in the full prompt; DeepStack planes are cut alike."""
    worst = 0.0
    decoder = decoder_of(tiny)
    for inputs in batches(tiny):
        at = positions(tiny, inputs) or {"position_ids": torch.arange(inputs["input_ids"].shape[1])[None]}
        with watched(decoder) as full:
            tiny.model(**inputs | at)
        with attached(tiny.model, Some()) as trace, watched(decoder) as cut:
            tiny.model(**inputs | at)
        keep, before, after = trace[0].keep, full[0], cut[0]
        new = after["position_ids"].reshape(-1, *after["position_ids"].shape[-2:])
        old = before["position_ids"].reshape(len(new), -1, keep.shape[1]).expand(-1, len(keep), -1)
        n = after["inputs_embeds"].shape[1]
        real = torch.arange(n) >= n - keep.sum(1)[:, None]  # padding stands on the left
        worst = max(worst, apart(new[:, real], old[:, keep]))
        planes = before.get("deepstack_visual_embeds") or []
        for whole, part in zip(planes, after.get("deepstack_visual_embeds") or [], strict=True):
            worst = max(worst, apart(part, whole[keep[before["visual_pos_masks"]]]))
    return worst


@law(EXACT)
def restored(tiny: Tiny) -> float:
    """6. After the block, also after an exception in it, no hook, attribute or class is left behind."""
    inputs = tiny.inputs(ROWS)

    def state() -> list[Any]:
        return [
            (type(module), sorted(vars(module)), len(module._forward_pre_hooks), len(module._forward_hooks))
            for module in tiny.model.modules()
        ]

    plain = tiny.model(**inputs).logits
    before = state()
    with attached(tiny.model, Some()):
        tiny.model.generate(**inputs, max_new_tokens=2, do_sample=False)
    worst = apart(tiny.model(**inputs).logits, plain)
    try:
        with attached(tiny.model, lambda context: 1 / 0):
            tiny.model(**inputs)
    except ZeroDivisionError:
        worst = max(worst, apart(tiny.model(**inputs).logits, plain))
    return worst if state() == before else float("inf")


@law(EXACT)
def really_shorter(tiny: Tiny) -> float:
    """8. The first layer is given as many tokens as the longest row keeps, and the trace says so."""
    worst = 0
    first = parts_of(tiny.model).first_layer
    for inputs in batches(tiny):
        with attached(tiny.model, Some()) as trace, watched(first) as calls:
            tiny.model(**inputs)
        longest = int(trace[0].keep.sum(1).max())
        got = calls[0]["hidden_states"].shape[-2]
        assert longest < inputs["input_ids"].shape[1]
        worst = max(worst, abs(got - longest), abs((trace[0].seen or 0) - got))
    return float(worst)
