"""Tiny models, prompts for them, and what happens when they run: shared by laws and tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

import arr_coc.adapters  # noqa: F401  (registers the families)
from arr_coc.adapters.tiny import CLIP, PAD, PICTURE, WORDS, Prompt, Row, Tiny, decoder, randomised
from arr_coc.family import FAMILIES
from arr_coc.parts import parts_of

STEPS = 3
WINDOW = 12
"""Tokens that `sliding` looks back."""
FELT = {torch.float32: 1e-2, torch.bfloat16: 0.5}
"""What pruning must change at least, in logits, for a law to say something."""
ROWS = [Row(1, (4, "image", 9)), Row(2, (2, "image", 1, "image", 5)), Row(3, (7,)), Row(4, (3, "image", 12))]
Inputs = dict[str, Tensor]


@cache
def absent(family: str) -> str:
    """Why a declared family cannot be built here; empty if it can."""
    if family not in CONFIG_MAPPING_NAMES:
        return f"the installed transformers has no {family!r}"
    for package in FAMILIES[family].needs:
        try:
            import_module(package)
        # RuntimeError: a torchvision that was built for another torch, which timm imports.
        except (ImportError, OSError, RuntimeError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            return f"{family!r} needs {package}, which cannot be imported: {said}"
    return ""


@cache
def tiny_model(family: str, attention: str, dtype: torch.dtype = torch.float32) -> Tiny:
    """The model of a family; laws leave it as they found it, so it is built once."""
    if absent(family):
        pytest.skip(absent(family))
    tiny: Tiny = FAMILIES[family].tiny()
    tiny.model.set_attn_implementation(attention)
    tiny.model.to(dtype)
    return tiny


def even(tiny: Tiny, seed: int = 5) -> list[Row]:
    """A row with a picture and one with words in its place: no padding, until tokens are dropped."""
    return [Row(seed, (4, "image", 9)), Row(seed + 1, (13 + len(tiny.shown["image"].ids),))]


def apart(a: Tensor, b: Tensor) -> float:
    """Largest difference; infinite if the shapes differ."""
    return float((a.float() - b.float()).abs().max()) if a.shape == b.shape else float("inf")


def positions(tiny: Tiny, inputs: Inputs) -> Inputs:
    """Original positions where the model would derive others from a mask with holes."""
    if not hasattr(tiny.model.base_model, "get_rope_index"):
        return {}
    named = {name: value for name, value in inputs.items() if "pixel" not in name}
    return {"position_ids": tiny.model.base_model.get_rope_index(**named)[0]}


def longer(tiny: Tiny, inputs: Inputs, words: Tensor) -> Inputs:
    """The same prompts with words after them."""
    more = {"input_ids": words, "attention_mask": torch.ones_like(words)}
    more[tiny.types] = torch.full_like(words, tiny.type_of["answer"])
    return {k: torch.cat([v, more[k].to(v.dtype)], 1) if k in more else v for k, v in inputs.items()}


@contextmanager
def watched(module: Any) -> Iterator[list[dict[str, Any]]]:
    """The arguments that a module is really called with; one without a name is the hidden states."""
    calls: list[dict[str, Any]] = []

    def look(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append(dict(zip(("hidden_states",), args, strict=False)) | kwargs)

    hook = module.register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield calls
    finally:
        hook.remove()


def generated(tiny: Tiny, inputs: Inputs, **options: Any) -> Any:
    """Greedy, with the logits of every step. Only words: a written placeholder would ask for a picture."""
    settings = {
        "max_new_tokens": STEPS,
        "do_sample": False,
        "output_logits": True,
        "return_dict_in_generate": True,
    }
    return tiny.model.generate(**inputs, **settings | options, suppress_tokens=list(range(WORDS.start)))


def visual_of(tiny: Tiny, inputs: Inputs) -> Tensor:
    """Columns of pictures and films, read from the prompt."""
    return torch.isin(inputs["input_ids"], torch.tensor([PICTURE, CLIP]))


def batches(tiny: Tiny) -> Iterator[Inputs]:
    """Rows with 0, 1 and 2 pictures, padded on either side; one row alone; films where there are."""
    yield tiny.inputs(ROWS)
    yield tiny.inputs(ROWS, side="right")
    yield tiny.inputs(ROWS[:1])
    if "video" in tiny.shown:
        yield tiny.inputs([Row(5, (4, "video", 6)), Row(6, (2, "image", 3, "video", 5))])


def joined(tiny: Tiny, *turns: list[Row]) -> Inputs:
    """Turns as one prompt: every turn padded on the left, pictures in reading order, row by row."""
    padded = []
    for turn in turns:
        prompts = [tiny.prompt(row) for row in turn]
        longest = max(len(prompt.ids) for prompt in prompts)
        padded.append([(longest - len(prompt.ids), prompt) for prompt in prompts])
    rows = []
    for row in zip(*padded, strict=True):
        ids = [token for gap, turn in row for token in [PAD] * gap + turn.ids]
        real = [one for gap, turn in row for one in [0] * gap + turn.real]
        rows.append(Prompt(ids, real, [picture for _, turn in row for picture in turn.shown]))
    return tiny.batch(rows)


def decoder_of(tiny: Tiny) -> Any:
    """The module that is given embeddings in place of words."""
    return parts_of(tiny.model).decoder


def sliding(how: str) -> Tiny:
    """LLaVA over a decoder that looks back a few tokens only."""
    plain = tiny_model("llava", how)
    text = decoder("mistral", sliding_window=WINDOW, head_dim=16)
    config = transformers.LlavaConfig(
        vision_config=plain.model.config.vision_config, text_config=text, image_token_index=PICTURE
    )
    model = randomised(transformers.LlavaForConditionalGeneration, config)
    model.set_attn_implementation(how)
    return replace(plain, model=model)


def worst(run: Any, oracle: list[Tensor]) -> float:
    """Largest difference of the logits of any step of `generate`."""
    return max(apart(a, b) for a, b in zip(run.logits, oracle, strict=True))
