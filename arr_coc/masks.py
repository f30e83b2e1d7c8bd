"""Masks over the columns that exist, in the form in which a decoder expects them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor
from torch.nn.functional import pad

from arr_coc.attention import precision_masks
from arr_coc.cache import Prefix, cache_in
from arr_coc.cut import Cut

TYPES = ("token_type_ids", "mm_token_type_ids")
"""What some models make their masks from: pictures whose tokens see each other in both directions."""


@dataclass(frozen=True)
class Masks:
    """Makes them for one model."""

    config: Any
    build: Callable[..., Any]
    """The model's own factory, `create_masks_for_generate`."""

    @property
    def left_to_the_kernel(self) -> bool:
        """Whether attention makes its own mask, of what is padding: flash attention."""
        return "flash" in self.config.get_text_config()._attn_implementation

    def over(
        self,
        columns: Bool[Tensor, "batch columns"] | None,
        prefix: Prefix,
        arguments: Mapping[str, Any],
        types: Mapping[str, Shaped[Tensor, "batch physical"]] | None = None,
    ) -> Any:
        """For a call of the decoder with these `arguments`, over the `columns` that are no padding.

        A padding mask where the decoder was given one; where the model above it has made the masks already,
        or where attention is weighed, new ones from the model's factory.
        """
        if prefix.bias is None and not ready_made(arguments.get("attention_mask")):
            return None if columns is None else columns.long()
        build = partial(self.build, **(types or {}))
        call = self.config, arguments["inputs_embeds"], columns, cache_in(arguments)
        if prefix.bias is None:
            return build(*call, position_ids=None)
        return precision_masks(build, *call, prefix.bias)


def types_of(
    inputs: Mapping[str, Any], cut: Cut, prefix: Prefix
) -> dict[str, Shaped[Tensor, "batch physical"]]:
    """The types of the tokens that are kept, behind zeros for what is cached: its blocks are complete."""
    cached = prefix.physical - cut.index.shape[1]
    given = {name: inputs[name] for name in TYPES if inputs.get(name) is not None}
    # Guesses after the prompt, in assisted generation, are given no types: they are text.
    whole = {name: pad(of, (0, max(cut.seq - of.shape[1], 0))) for name, of in given.items()}
    return {name: pad(cut.rows(of[:, -cut.seq :]), (cached, 0)) for name, of in whole.items()}


def ready_made(mask: Any) -> bool:
    """Whether a mask is more than a padding mask over tokens."""
    return mask is not None and not (isinstance(mask, Tensor) and mask.ndim == 2)


def padding(attention_mask: Any) -> Bool[Tensor, "batch columns"] | None:
    """The caller's mask over tokens. Raises ValueError if it is more than that."""
    if attention_mask is None:
        return None
    if ready_made(attention_mask):
        raise ValueError(
            "an attached model makes its own masks over the tokens that are kept, from a 2-D padding mask "
            "(batch, seq); got a ready-made mask: give attention_mask as the processor returns it"
        )
    return torch.as_tensor(attention_mask).bool()
