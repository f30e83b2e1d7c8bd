"""The modules of a vision-language model: where its family says they are, or where most models have them."""

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from arr_coc.family import FAMILIES, REFUSED, Family, Modality

DECODERS = ("language_model", "text_model", "language_model.model")
TOKEN_IDS = ("image_token_id", "image_token_index")
ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}


@dataclass(frozen=True)
class Parts:
    """The modules of a vision-language model that are hooked."""

    model: Any
    base: nn.Module
    """Merges pictures into word embeddings and calls the decoder."""
    decoder: nn.Module
    first_layer: nn.Module
    n_layers: int
    family: Family
    declared: bool = True
    """False: nobody vouches for the family, so it is tried on the first prompt (see `trial`)."""


def parts_of(model: Any) -> Parts:
    """Find in a transformers model, in a PEFT model around one or in a pipeline what its family says.

    Raises TypeError for anything else and ValueError for a model without those parts.
    """
    inner = model if isinstance(model, nn.Module) else getattr(model, "model", None)
    if isinstance(inner, nn.Module) and not isinstance(inner, PreTrainedModel):
        inner = getattr(inner, "get_base_model", lambda: None)()  # PEFT
    if not isinstance(inner, PreTrainedModel):
        raise TypeError(
            f"attached() takes a transformers model, a PEFT model or a pipeline, got {type(model).__name__}: "
            "pass the model inside it"
        )
    kind, base = inner.config.model_type, inner.base_model
    if kind in REFUSED:
        raise ValueError(f"{type(inner).__name__} cannot be pruned here: {REFUSED[kind]}")
    declared = kind in FAMILIES
    family = FAMILIES[kind] if declared else _general(inner)
    if family is None:
        raise ValueError(
            f"no model family called {kind!r}, and {type(base).__name__} has no decoder where most models "
            f"have theirs. Known: {', '.join(FAMILIES)}. Declare it with "
            f"FAMILIES.add({kind!r}, Family(...)), as the files in arr_coc.adapters do"
        )
    try:
        decoder = attrgetter(family.language_model)(base)
        layers = attrgetter(family.layers)(decoder)
        first_layer = layers[0]
    except AttributeError as error:
        raise ValueError(
            f"the family {kind!r} looks for {family.language_model!r} in {type(base).__name__} and for "
            f"{family.layers!r} in that, but: {error}; attach the whole model or correct the Family's paths"
        ) from error
    return Parts(inner, base, decoder, first_layer, len(layers), family, declared)


def _general(model: PreTrainedModel) -> Family | None:
    """What most models have in common; None if this one does not."""
    config = model.config
    token_id = next((name for name in TOKEN_IDS if getattr(config, name, None) is not None), None)
    for path in DECODERS:
        try:
            decoder = attrgetter(path)(model.base_model)
        except AttributeError:
            continue
        if token_id is None or not isinstance(getattr(decoder, "layers", None), nn.ModuleList):
            continue
        film = getattr(config, "video_token_id", None) is not None
        ways = [Modality("image", "pixel_values", token_id)]
        ways += [Modality("video", "pixel_values_videos", "video_token_id")] if film else []
        return Family(
            grids=lambda config, inputs: None,
            tiny=lambda: None,
            language_model=path,
            modalities=tuple(ways),
            visual_rows=(("visual_pos_masks", "deepstack_visual_embeds"),),
            recurrent=not set(getattr(decoder.config, "layer_types", None) or ()) <= ATTENTION,
            fractional=False,
        )
    return None
