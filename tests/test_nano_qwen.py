"""nano-qwen: where it starts from, and that the shipped model takes pictures as they come and reads them."""

from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from arr_coc.eval.answer import answer
from arr_coc.eval.models import Loaded, load
from arr_coc.eval.nano import MODELS
from arr_coc.eval.nano.bodies import patches
from arr_coc.eval.nano.design import LLAVA, QWEN
from arr_coc.eval.nano.learner import Nano
from arr_coc.eval.nano.lessons import Lessons
from arr_coc.eval.nano.start import start
from arr_coc.eval.prompt import encoded, prompt
from arr_coc.eval.tasks.task import Item, open_task


@cache
def shipped() -> Loaded:
    return load("nano-qwen")


def asked(task: str, items: list[Item]) -> list[str]:
    inputs = prompt(shipped(), [item.pictures for item in items], [item.question for item in items])
    return answer(shipped(), encoded(shipped(), inputs), None, open_task(task).max_new_tokens).texts


@torch.no_grad()
def test_it_begins_by_seeing_patches_as_nano_llava_does_but_for_a_gain_per_channel() -> None:
    nano = Nano(QWEN)
    start(nano)
    pixels = Lessons(LLAVA, seed=1, stage=0, steps=1, batch=2, questions=0)[0].pixels
    old = load_file(MODELS["nano-llava"] / "model.safetensors")
    patch = next(value for key, value in old.items() if "patch_embedding.weight" in key)

    theirs = torch.nn.functional.conv2d(pixels, patch, stride=8).unflatten(2, (12, 2)).unflatten(4, (12, 2))
    theirs = theirs.permute(0, 2, 4, 3, 5, 1).flatten(0, 4)  # patches that are merged stand together
    theirs = theirs - theirs.mean(1, keepdim=True)
    ours = nano.vlm.model.visual.patch_embed(patches(pixels)) - nano.vlm.model.visual.patch_embed.proj.bias
    gain = (ours * theirs).sum(0) / theirs.square().sum(0)

    assert_close(ours, gain * theirs, atol=1e-4, rtol=1e-4)
    assert gain.abs().min() > 0


@pytest.mark.parametrize("task", ["scene_sizes", "scene_reading"])
def test_pictures_of_several_sizes_are_answered_together_as_alone_and_mostly_right(task: str) -> None:
    every = list(open_task(task).items("validation", 48))[::9]  # six sizes, six kinds

    together = asked(task, every)

    assert len({item.image.size for item in every}) == len(every) == 6
    assert together == [asked(task, [item])[0] for item in every]
    right = [open_task(task).score(text, item.gold) for text, item in zip(together, every, strict=True)]
    assert sum(right) >= 0.6 * len(right)


@torch.no_grad()
def test_its_deepstack_plane_is_not_zero_and_reaches_the_answer() -> None:
    (item,) = open_task("scene_reading").items("validation", 1)
    inputs = prompt(shipped(), [item.pictures], [item.question]).inputs
    model = shipped().model
    before = model(**inputs).logits[0, -1]

    hook = model.model.visual.deepstack_merger_list[0].register_forward_hook(lambda *args: 0 * args[2])
    without = model(**inputs).logits[0, -1]
    hook.remove()

    assert (without - before).abs().max() > 0.01


def test_the_shipped_folders_are_small_and_hold_no_code() -> None:
    for folder in MODELS.values():
        files = [path for path in Path(folder).iterdir() if path.is_file()]
        assert sum(path.stat().st_size for path in files) <= 8e6
        assert {path.suffix for path in files} <= {".json", ".jinja", ".safetensors"}
