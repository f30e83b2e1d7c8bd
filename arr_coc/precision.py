"""A layer of attention as precision weighting: a temperature per head, a log-precision per key."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class PrecisionWeightedAttention(nn.Module):
    """softmax(gamma_h q . k / sqrt(d) + b_k) v: softmax attention with two kinds of precision.

    A query's attention is the posterior over the keys that may have made it, if key k has the prior weight
    exp(b_k) and its features are read with precision gamma_h. gamma_h sharpens what a head looks at; b_k, in
    nats, says for how many a key counts: with b = ln n it stands for n copies of itself, exactly.

    With `gamma` 1 and no `key_log_precision`, as it is made, it is standard attention, to the last bit. What
    was corrected in the sketch that it comes from:

    - `math` and `F` were used and not imported;
    - one precision for the whole layer: now one per head, in its log as before, and held between exp(-4) and
      exp(4), so that a large step of an optimiser neither overflows nor ends in an argmax;
    - no precision per key, which is what dropping, merging and doubting tokens needs: now in nats, given with
      the call or learned (`learned`), a function of the key that begins at 0 nats;
    - one head of the width of the layer: now `heads`, and fewer of keys and values (`kv_heads`) if wanted;
    - no mask at all: now causal, and over keys that are not there; a query that sees no key gives 0, not NaN;
    - no dropout, and none of it in evaluation; (batch, seq, dim), which was assumed, is now checked;
    - logits in full, in the precision of the model: now one fused kernel, which sums in float32.

    As in the sketch, the heads side by side are the result: there is no projection behind them.
    """

    def __init__(
        self,
        dim: int,
        heads: int = 1,
        kv_heads: int | None = None,
        dropout: float = 0.0,
        learned: bool = False,
    ) -> None:
        """`dropout` is of attention weights, in training; `learned`: precision of every key from the key.

        Raises ValueError where the heads do not divide the width, or those of keys do not divide the heads.
        """
        super().__init__()
        kv_heads = heads if kv_heads is None else kv_heads
        if heads < 1 or dim % heads:
            raise ValueError(f"heads must divide dim, got {heads} heads for a dim of {dim}")
        if kv_heads < 1 or heads % kv_heads:
            raise ValueError(f"kv_heads must divide heads, got {kv_heads} for {heads} heads")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout is a share of weights in [0, 1), got {dropout}")
        self.heads, self.kv_heads, self.head_dim, self.dropout = heads, kv_heads, dim // heads, dropout
        self.query_proj = nn.Linear(dim, dim)
        self.key_proj = nn.Linear(dim, kv_heads * self.head_dim)
        self.value_proj = nn.Linear(dim, kv_heads * self.head_dim)
        self.log_precision = nn.Parameter(torch.zeros(heads))
        """ln gamma of every head."""
        self.key_precision = nn.Linear(dim, heads) if learned else None
        if self.key_precision is not None:
            nn.init.zeros_(self.key_precision.weight)
            nn.init.zeros_(self.key_precision.bias)

    @property
    def gamma(self) -> Float[Tensor, " heads"]:
        """Inverse temperature of every head."""
        return self.log_precision.clamp(-LARGEST, LARGEST).exp()

    def forward(
        self,
        query: Float[Tensor, "batch queries dim"],
        key: Float[Tensor, "batch keys dim"],
        value: Float[Tensor, "batch keys dim"],
        key_log_precision: Float[Tensor, "batch keys"] | Float[Tensor, "batch heads keys"] | None = None,
        real: Bool[Tensor, "batch keys"] | None = None,
        causal: bool = False,
    ) -> Float[Tensor, "batch queries dim"]:
        """What every query reads. `key_log_precision` in nats, 0: as it is; `real` is False at padding.

        `causal`: no query sees a later key; the last query stands beside the last key.
        """
        batch, queries, dim = query.shape
        keys = key.shape[1]
        q = self._split(self.query_proj(query), self.heads) * self.gamma[:, None, None].to(query.dtype)
        k = self._split(self.key_proj(key), self.kv_heads)
        v = self._split(self.value_proj(value), self.kv_heads)
        seen = self._seen(queries, keys, real, causal, query.device)
        bias = self._bias(key, key_log_precision)
        mask: Tensor | None = seen
        if bias is not None:
            mask = bias.expand(-1, -1, queries, -1).to(q.dtype)
            mask = mask if seen is None else mask.masked_fill(~seen, -math.inf)
        read = scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            enable_gqa=self.kv_heads != self.heads,
        )
        if seen is not None:
            read = read.masked_fill(~seen.any(-1, keepdim=True), 0.0)
        return read.transpose(1, 2).reshape(batch, queries, dim)

    def _split(self, x: Tensor, heads: int) -> Float[Tensor, "batch heads tokens head_dim"]:
        return x.view(*x.shape[:2], heads, self.head_dim).transpose(1, 2)

    def _seen(
        self, queries: int, keys: int, real: Tensor | None, causal: bool, device: torch.device
    ) -> Bool[Tensor, "_ 1 queries keys"] | None:
        """Which key a query may see; None: all of them."""
        seen = None if real is None else real[:, None, None].expand(-1, -1, queries, -1)
        if causal:
            last = torch.arange(queries, device=device)[:, None] + keys - queries
            before = (torch.arange(keys, device=device) <= last)[None, None]
            seen = before if seen is None else seen & before
        return seen

    def _bias(self, key: Tensor, given: Tensor | None) -> Float[Tensor, "batch _ 1 keys"] | None:
        """In nats; one head of it stands for all."""
        bias = None if given is None else given[:, None] if given.ndim == 2 else given
        if self.key_precision is not None:
            learned = self.key_precision(key).transpose(1, 2)
            bias = learned if bias is None else learned + bias
        return None if bias is None else bias[:, :, None]


LARGEST = 4.0
"""Of |ln gamma|: some fifty times sharper or softer than standard attention."""
