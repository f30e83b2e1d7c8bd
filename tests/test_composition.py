"""With what users have on their models already: adapters, quantised linears, offloading, training."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch import Tensor
from torchao.quantization import Int8WeightOnlyConfig, quantize_
from transformers import AutoModelForImageTextToText

from arr_coc.adapters.tiny import Tiny
from arr_coc.attach import attached
from tests.glimpses import Glimpsing, heard_by
from tests.runs import ROWS, Inputs, apart, generated, positions, tiny_model, visual_of
from tests.stubs import Some

CLOSE = 1e-4
NAMES = ["llava", "qwen2_5_vl", "qwen3_vl", "gemma3", "idefics3"]


@pytest.fixture(params=NAMES)
def tiny(request: pytest.FixtureRequest) -> Tiny:
    """A copy, because these tests change the model."""
    return deepcopy(tiny_model(request.param, "sdpa"))


def with_lora(model: Any) -> Any:
    """Adapters in every attention of the decoder, with weights that are felt."""
    config = peft.LoraConfig(r=4, target_modules=r".*(language_model|text_model).*\.(q_proj|v_proj)")
    adapted = peft.get_peft_model(model, config)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=draw))
    return adapted


def hidden(tiny: Tiny, model: Any, inputs: Inputs, keep: Tensor) -> Any:
    """The same model without us, the dropped tokens hidden by its padding mask."""
    return model(**inputs | positions(tiny, inputs) | {"attention_mask": keep.long()})


@torch.no_grad()
def test_adapters_on_the_model_before_it_is_attached(tiny: Tiny) -> None:
    inputs = tiny.inputs(ROWS)
    plain = tiny.model(**inputs).logits
    model = with_lora(tiny.model)

    with attached(model, Some()) as trace:
        pruned = model(**inputs).logits
        run = generated(tiny, inputs)

    keep = trace[0].keep
    assert apart(pruned[keep], hidden(tiny, model, inputs, keep).logits[keep]) < CLOSE
    assert apart(run.logits[0], pruned[:, -1]) < CLOSE
    assert apart(model(**inputs).logits, plain) > 1e-2, "the adapters do nothing"


@torch.no_grad()
def test_adapters_are_heard_in_a_glimpse(tiny: Tiny) -> None:
    inputs = tiny.inputs(ROWS)
    stub, heard = heard_by(Glimpsing())

    with attached(tiny.model, stub):
        tiny.model(**inputs)
    model = with_lora(tiny.model)
    with attached(model, stub) as trace:
        pruned = model(**inputs).logits

    plain, other = (context.attention for context in heard)
    assert plain is not None
    assert other is not None
    assert apart(plain, other) > 1e-3, "the adapters do nothing"
    keep = trace[0].keep
    assert apart(pruned[keep], hidden(tiny, model, inputs, keep).logits[keep]) < CLOSE


@torch.no_grad()
def test_adapters_put_on_and_switched_while_attached(tiny: Tiny) -> None:
    inputs = tiny.inputs(ROWS)

    with attached(tiny.model, Some()) as trace:
        before = tiny.model(**inputs).logits
        model = with_lora(tiny.model)
        pruned = model(**inputs).logits
        with model.disable_adapter():
            without = model(**inputs).logits

    keep = trace[0].keep
    assert apart(pruned[keep], hidden(tiny, model, inputs, keep).logits[keep]) < CLOSE
    assert torch.equal(without, before)


@torch.no_grad()
def test_quantised_linears(tiny: Tiny) -> None:
    inputs = tiny.inputs(ROWS)
    plain = tiny.model(**inputs).logits
    quantize_(
        tiny.model,
        Int8WeightOnlyConfig(),
        lambda m, name: isinstance(m, torch.nn.Linear) and "layers" in name,
    )

    with attached(tiny.model, Some()) as trace:
        pruned = tiny.model(**inputs).logits
        run = generated(tiny, inputs)

    keep = trace[0].keep
    assert apart(pruned[keep], hidden(tiny, tiny.model, inputs, keep).logits[keep]) < CLOSE
    assert apart(run.logits[0], pruned[:, -1]) < CLOSE
    assert apart(tiny.model(**inputs).logits, plain) > 1e-3, "nothing was quantised"


def places(module: Any, away: set[str], name: str = "") -> dict[str, str]:
    """A map of devices without overlaps, as accelerate makes it: these modules on the disk, the rest not."""
    if name in away:
        return {name: "disk"}
    if name and not any(far.startswith(f"{name}.") for far in away):
        return {name: "cpu"}
    inside = [*module.named_children(), *module.named_parameters(recurse=False)]
    return {k: v for n, m in inside for k, v in places(m, away, f"{name}.{n}".strip(".")).items()}


@torch.no_grad()
@pytest.mark.parametrize("side", ["cpu first", "disk first"])
def test_a_model_split_over_memory_and_disk(tiny: Tiny, side: str, tmp_path: Path) -> None:
    inputs = tiny.inputs(ROWS)
    with attached(tiny.model, Some()):
        whole = tiny.model(**inputs).logits
        written = generated(tiny, inputs).sequences
    tiny.model.save_pretrained(tmp_path / "model")
    decoder = next(
        name for name, _ in tiny.model.named_modules() if name.endswith(("language_model", "text_model"))
    )
    first = 0 if side == "disk first" else 1
    away = {f"{decoder}.layers.{first}", f"{decoder}.layers.2"}

    split = AutoModelForImageTextToText.from_pretrained(
        tmp_path / "model", device_map=places(tiny.model, away), offload_folder=tmp_path / "offload"
    )
    split.generation_config = tiny.model.generation_config
    plain = split(**inputs).logits
    with attached(split, Some()) as trace:
        pruned = split(**inputs).logits
        again = generated(Tiny(split, tiny.shown, tiny.types), inputs).sequences

    assert any(parameter.is_meta for parameter in split.parameters()), "nothing lies on the disk"
    assert apart(pruned, whole) == 0
    assert torch.equal(again, written)
    assert (trace[0].seen or 0) < inputs["input_ids"].shape[1]
    assert apart(split(**inputs).logits, plain) == 0


def answers(tiny: Tiny, inputs: Inputs) -> Tensor:
    """Labels of words that follow a word: a token that may be dropped foretells what follows a picture."""
    ids = inputs["input_ids"]
    visual = visual_of(tiny, inputs)
    real = inputs["attention_mask"].bool() & ~visual
    follows = torch.nn.functional.pad(real[:, :-1], (1, 0))
    return ids.masked_fill(~(real & follows), -100)


class Leaf:
    """The decoder's embeddings as a leaf of the graph, so that their gradient can be read."""

    def __init__(self, tiny: Tiny) -> None:
        self.embeds = torch.empty(0)
        decoder = next(
            m for n, m in tiny.model.named_modules() if n.endswith(("language_model", "text_model"))
        )
        decoder.register_forward_pre_hook(self._swap, with_kwargs=True)

    def _swap(self, module: Any, args: Any, kwargs: Any) -> Any:
        self.embeds = kwargs["inputs_embeds"].detach().requires_grad_()
        return args, kwargs | {"inputs_embeds": self.embeds}

    def gradient(self) -> Tensor:
        assert self.embeds.grad is not None
        return self.embeds.grad


@pytest.fixture
def training(tiny: Tiny) -> Tiny:
    tiny.model.train()
    return tiny


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointed"])
def test_a_training_step_is_that_of_the_model_with_the_rest_hidden(
    training: Tiny, checkpointing: bool
) -> None:
    tiny, inputs = training, training.inputs(ROWS)
    labels, leaf = answers(tiny, inputs), Leaf(tiny)
    if checkpointing:
        tiny.model.gradient_checkpointing_enable({"use_reentrant": False})

    with attached(tiny.model, Some()) as trace:
        loss = tiny.model(**inputs, labels=labels).loss
        loss.backward()
        gradient = leaf.gradient()
    weights = {name: p.grad for name, p in tiny.model.named_parameters() if p.grad is not None}
    tiny.model.zero_grad()
    keep = trace[0].keep
    oracle = hidden(tiny, tiny.model, inputs | {"labels": labels}, keep).loss
    oracle.backward()

    assert apart(loss, oracle) < CLOSE
    assert gradient.isfinite().all()
    assert not gradient[~keep].any()
    assert (gradient[keep & visual_of(tiny, inputs)] != 0).any(-1).all()
    assert apart(gradient[keep], leaf.gradient()[keep]) < CLOSE
    assert len(weights) > 10
    for name, parameter in tiny.model.named_parameters():
        if name in weights:
            assert apart(weights[name], parameter.grad) < CLOSE, name


def test_adapters_are_trained_on_what_is_kept_and_learn(training: Tiny) -> None:
    tiny, inputs = training, training.inputs(ROWS)
    model, labels = with_lora(tiny.model), answers(tiny, inputs)
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.02)
    losses = []

    with attached(model, Some()):
        for _ in range(6):
            optimiser.zero_grad()
            loss = model(**inputs, labels=labels).loss
            loss.backward()
            optimiser.step()
            losses.append(float(loss))

    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    assert losses[-1] < losses[0] - 1e-3
