"""What a picture's tokens, or their scores, have in common is taken off: it tells nothing of one of them."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def centred(
    x: Float[Tensor, "picture token dim"], real: Bool[Tensor, "picture token"]
) -> Float[Tensor, "picture token dim"]:
    """Take the mean of a picture's real tokens off them; zero elsewhere."""
    kept = torch.where(real[..., None], x, 0.0)
    mean = kept.sum(1, keepdim=True) / real.sum(1).clamp(min=1)[:, None, None]
    return torch.where(real[..., None], kept - mean, 0.0)


def standardised(
    scores: Float[Tensor, "picture visual"], real: Bool[Tensor, "picture visual"]
) -> Float[Tensor, "picture visual"]:
    """Mean 0 and standard deviation 1 over a picture's real tokens; 0 elsewhere, and where all are equal."""
    shifted = centred(scores[..., None], real)[..., 0]
    spread = (shifted.square().sum(1, keepdim=True) / real.sum(1, keepdim=True).clamp(min=1)).sqrt()
    return shifted / spread.clamp(min=1e-6)
