"""Floating-point operations and cache of a prefill, by formula from the text config."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DecoderShape:
    """The sizes of a decoder that the formula needs."""

    layers: int
    dim: int
    hidden: int
    """Width of the gated MLP."""
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int

    @staticmethod
    def of(config: Any) -> "DecoderShape":
        """From a model's config, composite or text-only."""
        text = config.get_text_config().to_dict()
        dim, heads = text["hidden_size"], text["num_attention_heads"]
        return DecoderShape(
            layers=text["num_hidden_layers"],
            dim=dim,
            hidden=text["intermediate_size"],
            heads=heads,
            kv_heads=text.get("num_key_value_heads") or heads,
            head_dim=text.get("head_dim") or dim // heads,
            vocabulary=text["vocab_size"],
        )

    def prefill_flops(self, length: int, by_layer: Sequence[int] | None = None) -> int:
        """FLOPs (two a multiply-add) of the language model on `length` tokens, logits of the last one only.

        Per layer 2 n d h (2 H + 2 H_kv) + 4 n^2 h H + 6 n d m: projections, attention (the causal half is not
        subtracted), gated MLP; then 2 d V. It is twice the multiply-adds of FastV
        (https://arxiv.org/abs/2403.06764) with a third MLP matrix; vision tower and selection are left out.
        `by_layer`: the length in each layer, where they differ.
        """
        lengths = [length] * self.layers if by_layer is None else by_layer
        return sum(map(self._layer_flops, lengths)) + 2 * self.dim * self.vocabulary

    def _layer_flops(self, length: int) -> int:
        projections = 2 * length * self.dim * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        attention = 4 * length**2 * self.head_dim * self.heads
        mlp = 6 * length * self.dim * self.hidden
        return projections + attention + mlp
