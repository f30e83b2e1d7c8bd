"""What a vision tower, or a model beside it, said of the visual tokens, besides what became of them."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

GIVEN = ("clip",)
"""What a scorer may name in its `needs` that no vision tower says: it is handed over, see `arr_coc.rated`."""


@dataclass(frozen=True)
class Taps:
    """What was said of each visual token, in float32, 0 elsewhere; None if no scorer asked."""

    attention: Float[Tensor, "rows tokens"] | None = None
    """Mean over heads of the attention that the class token pays, or that all patches of a picture pay on
    average where there is none: over a picture it sums to 1, or a little less with a class token."""
    keys: Float[Tensor, "rows tokens heads _"] | None = None
    """Keys of the same layer, before rotation."""
    features: Float[Tensor, "rows tokens _"] | None = None
    """What the projector is given."""
    received: Float[Tensor, "rows tokens"] | None = None
    """What all patches of a picture pay on average in that layer, also where there is a class token."""
    middle: Float[Tensor, "rows tokens"] | None = None
    """Attention that all patches together pay in a layer in the middle of the tower; 1 is an even share."""
    clip: Float[Tensor, "rows tokens"] | None = None
    """Cosine of what is seen there with the question, by a CLIP beside the model: see `arr_coc.clip`."""

    def by_picture(
        self,
        row: Int[Tensor, " picture"],
        index: Int[Tensor, "picture visual"],
        valid: Bool[Tensor, "picture visual"],
    ) -> "Taps":
        """The tokens at these columns of these rows, one row a picture; 0 at padding."""

        def each(
            said: Shaped[Tensor, "batch seq *width"] | None,
        ) -> Shaped[Tensor, "picture visual *width"] | None:
            if said is None:
                return None
            return said[row[:, None], index] * valid.view(*valid.shape, *[1] * (said.ndim - 2))

        return Taps(*(each(said) for said in vars(self).values()))
