"""Load a model and its processor: shipped with the package, from a folder, or from the Hugging Face hub."""

import difflib
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

import arr_coc.adapters  # noqa: F401  (fills FAMILIES)
from arr_coc.cascade import Cascade, load_cascade
from arr_coc.clip import OpenClip
from arr_coc.eval.nano import MODELS
from arr_coc.eval.nano.design import DESIGNS
from arr_coc.experts import Experts, load_experts
from arr_coc.family import FAMILIES, REFUSED
from arr_coc.need import Need, load_need
from arr_coc.parts import parts_of

NEED = "need.safetensors"
"""File in a model's folder that `arr-coc calibrate` makes."""
CASCADE = "cascade.safetensors"
PREFERENCE = "preference.json"
"""The same, beside it."""
_HOLDS = "the folder must hold config.json, processor files and safetensors weights"
_GIVES = "it is not in the cache, and the hub has none such, asks for a login, or cannot be reached"


@dataclass(frozen=True)
class Loaded:
    """A model ready to answer."""

    model: Any
    processor: Any
    need: Need | None = None
    """What budgets it needed for which questions, if it was calibrated: see `arr-coc calibrate`."""
    cascade: Cascade | None = None
    """When to look again, if it was calibrated."""
    experts: Experts | None = None
    """What says where it would like to look, and how far to trust it, if it was calibrated."""
    clip: OpenClip | None = None
    """Stands beside it, for methods that ask what a CLIP says: see `arr_coc.eval.ratings`."""

    @property
    def weights(self) -> str:
        """A short name for these weights: it changes when the first 64 values of any parameter do."""
        digest = hashlib.blake2s(digest_size=8)
        for name, parameter in self.model.named_parameters():
            digest.update(f"{name}{tuple(parameter.shape)}".encode())
            digest.update(parameter.detach().flatten()[:64].float().cpu().numpy().tobytes())
        return digest.hexdigest()


def source_of(name: str) -> str:
    """Folder or hub name that `name` stands for. Raises KeyError if it is none of the three."""
    if name in MODELS:
        return str(MODELS[name])
    if Path(name).is_dir():
        return name
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return name
    near = difflib.get_close_matches(name, MODELS, n=1)
    guess = f" (did you mean {near[0]!r}?)" if near else ""
    raise KeyError(
        f"no model called {name!r}{guess}: give a shipped one ({', '.join(MODELS)}), a folder, "
        "or a Hugging Face name like llava-hf/llava-1.5-7b-hf"
    )


def load(name: str, device: str = "cpu", dtype: str = "float32") -> Loaded:
    """Model and processor, in evaluation mode. No code from the model's folder is ever run.

    The device `auto` spreads the layers over all accelerators, and what they do not hold over the memory.

    Raises KeyError for an unknown name, FileNotFoundError where nothing can be loaded from it, and ValueError
    for a model that cannot be pruned. A model type that nobody declared is loaded if it has the usual parts.
    """
    source = source_of(name)
    place = None if device == "auto" else _device(device)
    spread = {"device_map": "auto"} if place is None else {}
    local = Path(source).is_dir()
    if local and not (Path(source) / "config.json").is_file():
        raise FileNotFoundError(f"cannot load {name!r}: {_HOLDS}")
    safe = {"trust_remote_code": False, "local_files_only": local}
    try:
        config = AutoConfig.from_pretrained(source, **safe)
        _check_parts(config)  # before any weights are fetched
        processor = _processor(name, source, safe)
        model = AutoModelForImageTextToText.from_pretrained(
            source, dtype=getattr(torch, dtype), use_safetensors=True, **spread, **safe
        )
    except OSError as error:
        raise FileNotFoundError(
            f"cannot load {name!r}: {_HOLDS if local else _GIVES} ({_first_line(error)})"
        ) from error
    except ImportError as error:
        # Processors that also take films ask for torchvision, whatever is shown to them.
        raise ValueError(
            f"cannot load {name!r}: it needs a package that is not installed: try pip install torchvision "
            f"({_first_line(error)})"
        ) from error
    tokenizer = processor.tokenizer
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if model.generation_config.pad_token_id is None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    loaded = Loaded(model.eval() if place is None else model.eval().to(place), processor)
    learned = [Path(source) / name for name in (NEED, PREFERENCE)]
    return next((calibrated(loaded, path) for path in learned if path.is_file()), loaded)


def calibrated(loaded: Loaded, path: str | Path) -> Loaded:
    """With what `arr-coc calibrate` wrote into this file and beside it. ValueError for other files.

    The preference, which is written first, may be given alone.
    """
    if Path(path).name == PREFERENCE:
        return replace(loaded, experts=load_experts(path))
    cascade, preference = (Path(path).with_name(name) for name in (CASCADE, PREFERENCE))
    return replace(
        loaded,
        need=load_need(path),
        cascade=load_cascade(cascade) if cascade.is_file() else None,
        experts=load_experts(preference) if preference.is_file() else None,
    )


def _check_parts(config: Any) -> None:
    """Raises ValueError for a model that has not the parts which `attached` hooks."""
    kind = config.model_type
    if kind in FAMILIES:
        return
    if kind in REFUSED:
        raise ValueError(f"a model of type {kind!r} cannot be pruned here: {REFUSED[kind]}")
    try:
        with torch.device("meta"):  # modules without weights
            bare = AutoModelForImageTextToText.from_config(config)
    except ValueError as error:
        raise ValueError(
            f"a model of type {kind!r} takes no pictures with its questions, says transformers: "
            f"choose another one. Known: {', '.join(FAMILIES)}"
        ) from error
    parts_of(bare)


def _processor(name: str, source: str, safe: dict[str, bool]) -> Any:
    try:
        return AutoProcessor.from_pretrained(source, **safe)
    except ImportError:
        # Before transformers 5.23 some ask for torchvision when they are read, but not when they are made.
        if name not in DESIGNS:
            raise
        return DESIGNS[name].processor()


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {name!r} cannot be used here ({_first_line(error)}): try cpu") from error
    return device


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
