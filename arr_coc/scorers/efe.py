"""Score sets of tokens by expected free energy: what they tell of what the question will ask for."""

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

import arr_coc.experts  # noqa: F401  (adds to PREFERENCES)
from arr_coc.centring import centred
from arr_coc.epistemic import EPISTEMIC
from arr_coc.preference import Preference, needs_of, preference
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores


@SCORERS.register("efe")
@dataclass(frozen=True)
class ExpectedFreeEnergy:
    """Information about the picture, weighted by what the question prefers to see.

    The preference pi weighs *what to be informed about* (omega = N pi), not what to keep: added to each
    token's score it spends the budget on near-duplicates. A linear kernel on centred tokens, divided once a
    picture by its mean energy, because norms carry information. `values` are the gains of the first step, in
    the functional's unit; what the greedy selector records are nats.
    """

    selector: ClassVar[str] = "greedy"
    epistemic: str = "readouts"
    """Value of sets: `readouts`, `trace`, `nearest`, `logdet`, `facility` or `modular` (`EPISTEMIC`)."""
    preference: str | Preference = "question"
    """What the question would like to see: a name in `PREFERENCES`, or one with settings of its own."""
    sigma2: float = 0.05
    """Noise of reading a token, as a share of the mean token energy: the scale of redundancy."""
    rank: int | None = 128
    """Width to which wider tokens are projected at random, keeping inner products to 1 / sqrt(rank); up to
    twice this width they are taken as they are. None: exact at any width, O(N^2)."""
    seed: int = 0
    """Seed of the projection."""

    def __post_init__(self) -> None:
        EPISTEMIC[self.epistemic]  # says what there is
        preference(self.preference)
        if self.sigma2 <= 0:
            raise ValueError(
                f"sigma2 must be above 0, got {self.sigma2}: without noise redundancy is singular"
            )
        if self.rank is not None and self.rank < 1:
            raise ValueError(f"rank must be at least 1, got {self.rank}; rank=None is exact")

    @property
    def needs(self) -> tuple[str, ...]:
        """What the preference reads beside the tokens."""
        return needs_of(self.preference)

    def __call__(self, pictures: Pictures) -> Scores:
        """Parts in nats: ln(N pi), and the information 1/2 ln(1 + K_jj / s2) of reading one token alone."""
        features = self._features(pictures)
        log_preference = preference(self.preference)(pictures)
        weights = log_preference.exp() * pictures.valid
        value = EPISTEMIC[self.epistemic](features, weights, self.sigma2)
        return Scores(
            values=value.gains(),
            pragmatic=log_preference,
            epistemic=0.5 * torch.log1p(features.square().sum(2) / self.sigma2),
            of_sets=value,
        )

    def _features(self, pictures: Pictures) -> Float[Tensor, "picture visual rank"]:
        """Centred tokens of mean energy 1, zero at padding."""
        tokens = centred(pictures.tokens, pictures.valid)
        dim = tokens.shape[2]
        energy = tokens.square().sum((1, 2)) / pictures.count.clamp(min=1)
        if self.rank is not None and dim > 2 * self.rank:
            tokens = tokens @ _projection(dim, self.rank, self.seed).to(tokens)
        return tokens * energy.clamp(min=1e-12).rsqrt()[:, None, None]


@lru_cache(maxsize=8)
def _projection(dim: int, rank: int, seed: int) -> Float[Tensor, "dim rank"]:
    """A fixed Gaussian matrix that keeps inner products on average (Johnson and Lindenstrauss)."""
    return torch.randn(dim, rank, generator=torch.Generator().manual_seed(seed)) / sqrt(rank)
