"""How surprising an answer was to the model that gave it."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import LogitsProcessor


class Surprise(LogitsProcessor):
    """Remembers -ln P of the likeliest next token, step by step, and changes nothing: for greedy answers."""

    def __init__(self) -> None:
        self.steps: list[Float[Tensor, " batch"]] = []

    def __call__(
        self, input_ids: Int[Tensor, "batch seq"], scores: Float[Tensor, "batch words"]
    ) -> Float[Tensor, "batch words"]:
        """The scores as they are."""
        # ln(1 + sum over the others): taken off the whole sum, what is nearly certain would round to nothing.
        best, which = scores.float().max(1, keepdim=True)
        others = (scores.float() - best).exp().scatter(1, which, 0.0)
        self.steps.append(others.sum(1).log1p())
        return scores

    def of(self, new: Int[Tensor, "batch steps"], ends: int | Sequence[int] | None) -> list[float]:
        """Nats of each answer, up to and including the first token that ends it."""
        ended = torch.isin(new, torch.tensor([] if ends is None else ends, dtype=new.dtype))
        inside = ended.long().cumsum(1) - ended.long() == 0
        said = torch.stack(self.steps, dim=1).cpu()
        total: list[float] = (said * inside).sum(1).tolist()
        return total
