"""Look at pictures once, ask about them often: every question selects anew, the vision tower runs once."""

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from arr_coc.family import Modality
from arr_coc.parts import parts_of
from arr_coc.taps import tapped


@dataclass(frozen=True)
class Encoded:
    """Pictures as the vision tower and the projector see them, in reading order."""

    outputs: Mapping[str, Any]
    """What they said of each modality, by its name."""
    pixels: frozenset[str]
    """The arguments that it stands in for."""

    def question(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of one call of `generate`, or of the model, about these pictures.

        `inputs` is what the processor gave for the question, its placeholders included. The pixels may be
        among them or not. Every call needs arguments of its own: beam search changes those it is given.
        """
        words = {name: value for name, value in inputs.items() if name not in self.pixels}
        return words | {"mm_encoder_outputs": {name: copy.copy(said) for name, said in self.outputs.items()}}


@torch.no_grad()
def encoded(model: Any, inputs: Mapping[str, Any], taps: tuple[str, ...] = ()) -> Encoded:
    """Run the vision tower over the pictures in `inputs`, as `generate` does first thing.

    `model` as in `attached`; `taps` are the `needs` of an allocator that will read the tower, if it is not
    attached already. Raises ValueError where no picture is shown or a model cannot take them encoded.
    """
    parts = parts_of(model)
    if "mm_encoder_outputs" not in inspect.signature(parts.model.forward).parameters:
        raise ValueError(
            f"{type(parts.model).__name__} takes no encoded pictures (no mm_encoder_outputs in forward): "
            "give it the pixels with every question"
        )
    shown = [way for way in parts.family.modalities if inputs.get(way.pixels) is not None]
    if not shown:
        wanted = " or ".join(way.pixels for way in parts.family.modalities)
        raise ValueError(f"no picture to encode: expected {wanted}, got {', '.join(inputs) or 'nothing'}")
    with tapped(parts.base, parts.family, parts.model.config, taps):
        outputs = {way.name: _features(parts.base, way, inputs) for way in shown}
    return Encoded(outputs, frozenset(name for name in inputs if "pixel" in name))


def _features(base: Any, way: Modality, inputs: Mapping[str, Any]) -> Any:
    encode = getattr(base, f"get_{way.name}_features")
    taken = {name: inputs[name] for name in inspect.signature(encode).parameters if name in inputs}
    features = encode(**taken, return_dict=True)
    # Every layer's states would be held as long as the pictures are.
    kept = {name: said for name, said in features.items() if name not in ("hidden_states", "attentions")}
    slim = type(features)(**kept)
    slim.taps = vars(features).get("taps")
    return slim
