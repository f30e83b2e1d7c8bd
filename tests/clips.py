"""A tiny random CLIP of open_clip's real classes, and a folder with it that open_clip can read.

The tests that use it have a step of their own in `.ci/run`.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

open_clip: Any = pytest.importorskip(
    "open_clip", reason="open_clip is not installed: pip install 'arr-coc[clip]'"
)

HIGH, WIDE, WORDS = 32, 48, 12
"""Pixels of what its tower takes, in patches of 16; ids of a question."""
CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": [HIGH, WIDE], "patch_size": 16, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": WORDS, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def tiny_clip(**tower: Any) -> Any:
    """A CLIP with the given changes to its tower; always the same one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = CONFIG | {"vision_cfg": CONFIG["vision_cfg"] | tower}
        return open_clip.CLIP(**config).eval()


def saved(folder: Path, weights: bool = True) -> str:
    """The name under which `load_clip` finds it."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"size": [HIGH, WIDE], "mean": [0.5] * 3, "std": [0.5] * 3}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": plan}))
    if weights:
        save_file(tiny_clip().state_dict(), folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"
