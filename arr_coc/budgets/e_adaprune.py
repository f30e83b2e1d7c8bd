"""Keep as many tokens as singular values hold a share of the picture's energy (E-AdaPrune)."""

from dataclasses import dataclass

import torch

from arr_coc.budgets import BUDGETS
from arr_coc.types import Pictures, Scores, Spending


@BUDGETS.register("e_adaprune")
@dataclass(frozen=True)
class EAdaPrune:
    """The smallest r with sum_(i <= r) s_i^2 >= energy sum_i s_i^2, for the singular values s of the tokens.

    https://arxiv.org/abs/2603.05950, from its abstract: which share it preserves and at which layer of the
    encoder is not said there. Here they are the tokens that the language model gets, not centred.
    """

    energy: float = 0.99
    """Share of the spectral energy that is preserved, in (0, 1]."""

    def __post_init__(self) -> None:
        if isinstance(self.energy, bool) or not 0.0 < self.energy <= 1.0:
            raise ValueError(f"energy must lie in (0, 1], got {self.energy!r}")

    def __call__(self, pictures: Pictures, scores: Scores) -> Spending:
        """One token at least, and as many as the rank of the tokens at most."""
        energy = torch.linalg.svdvals(pictures.tokens).square()
        if energy.shape[1] == 0:
            return Spending(pictures.count)
        held = energy.cumsum(1)
        lacking = held < self.energy * held[:, -1:]
        return Spending(torch.minimum((lacking.sum(1) + 1).clamp(min=1), pictures.count))
