"""What a model family declares about itself: data, read by `attach`. One file a family in `adapters/`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from arr_coc.registry import Registry

Grids = list[tuple[int, int, int]]


@dataclass(frozen=True)
class Modality:
    """One way in which pictures enter a model."""

    name: str
    """Its key in `mm_encoder_outputs`, where `generate` hands over what the vision tower said."""
    pixels: str
    """The keyword argument that brings the pixels."""
    token_id: str
    """Name in the config of the placeholder token that pictures take the place of."""


IMAGE = Modality("image", "pixel_values", "image_token_id")
VIDEO = Modality("video", "pixel_values_videos", "video_token_id")


@dataclass(frozen=True)
class Tower:
    """Where a vision tower keeps what scorers may ask for: attribute paths, and how patches become tokens."""

    module: str
    """From the base model to the tower."""
    projector: str
    """From the base model to what takes the tower's features to the language model."""
    layers: str
    """From the tower to the list of its layers."""
    layer: int = -1
    """The layer whose attention and keys are taken: the last that the features come from."""
    middle: float = 0.375
    """How deep the layer lies whose attention is taken besides, as a share of all layers."""
    attention: str = "self_attn"
    """From a layer to its attention."""
    queries: str = "q_proj"
    """From the attention to what makes queries; if that is also `keys`, it makes queries, keys, values."""
    keys: str = "k_proj"
    heads: str = "num_heads"
    """From the attention to the number of its heads."""
    cls: bool = False
    """Whether the first token reads the picture: its attention is the tap; else what a patch gets of all."""
    dropped: int = 0
    """Tokens before the patches that the language model does not see."""
    unit: int = 1
    """Patches that make one visual token: one after another, or, with `side`, those of a square."""
    side: int | None = None
    """Patches along each side of every picture, if squares of them make a token; tokens go row by row."""
    order: Callable[[Any, Mapping[str, Any]], Tensor] | None = None
    """(tower's config, its arguments) -> which visual token each group of patches makes; None: in order."""


@dataclass(frozen=True)
class Family:
    """How to find the parts of a vision-language model of one `model_type`."""

    grids: Callable[[Any, Mapping[str, Any]], Grids | None]
    """(config, inputs of the forward call) -> (time, height, width) in visual tokens of every picture of the
    call, in reading order; None where the inputs do not say. Not used if it does not fit the placeholders."""
    tiny: Callable[[], Any]
    """Builds a tiny random model of the real class with a maker of inputs (`adapters.tiny.Tiny`)."""
    language_model: str = "language_model"
    """Attribute path from the base model to the decoder that is called with `inputs_embeds`."""
    layers: str = "layers"
    """Attribute path from the decoder to the list of its layers: the first one measures what was seen."""
    attention: str = "self_attn"
    """Attribute path from such a layer to its attention, which says what words look at."""
    modalities: tuple[Modality, ...] = (IMAGE, VIDEO)
    """How pictures come in."""
    visual_rows: tuple[tuple[str, str], ...] = ()
    """Pairs (mask, planes): arguments of the decoder with one row per visual token (DeepStack)."""
    recurrent: bool = False
    """Whether some layers of the decoder carry a state from token to token (convolution, linear attention):
    padding between cached tokens would change it, and what is dropped is skipped rather than masked."""
    fractional: bool = True
    """Whether rotary positions may lie between whole numbers; False where they are looked up in a table."""
    taps: Callable[[Any], Tower | None] | None = None
    """config -> where the vision tower's attention, keys and features are; None: nobody looked."""
    needs: tuple[str, ...] = ()
    """Packages that transformers makes the model of, which it does not bring: without them, no `tiny`."""
    note: str = ""
    """Anything a user should know, shown in the table of families."""


FAMILIES: Registry[Family] = Registry("model family", filled_by="arr_coc.adapters")
"""Every supported `config.model_type`."""
REFUSED: Registry[str] = Registry("model that cannot be pruned", filled_by="arr_coc.adapters")
"""`config.model_type` of what cannot be attached to, with the reason."""
