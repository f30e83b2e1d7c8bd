"""Walk down the tower's attention and skip what is too like what is kept already (AgilePruner)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.diversity import cosines
from arr_coc.ranking import ranks
from arr_coc.relevance import Relevance, relevance
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores


@SCORERS.register("agileprune")
@dataclass(frozen=True)
class AgilePrune:
    """In the order of [CLS] attention, token i is skipped if its largest cosine to a kept one is above tau_i.

    tau_i = 0.01 i erank / erank_average, i counted from 1: the effective rank, exp of the entropy of the
    normalised singular values, says how complex the picture is. Where too few pass, the best skipped ones
    are kept after all. https://arxiv.org/abs/2603.01236 (no code was published when this was written)
    """

    selector: ClassVar[str] = "greedy"
    source: str | Relevance = "cls"
    """What says how much the tower looks at a token: a name in `RELEVANCE`, or a source of its own."""
    slope: float = 0.01
    """Growth of the threshold from one token to the next."""
    erank_average: float | None = None
    """Mean effective rank over a data set; None: every picture is an average one."""

    def __post_init__(self) -> None:
        relevance(self.source)
        if self.slope < 0 or (self.erank_average is not None and self.erank_average <= 0):
            raise ValueError(
                "slope must not be below 0, and erank_average above it, got "
                f"{self.slope} and {self.erank_average}"
            )

    @property
    def needs(self) -> tuple[str, ...]:
        """What is read of the vision tower."""
        return relevance(self.source).needs

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are minus the rank by attention."""
        rank = ranks(relevance(self.source)(pictures), pictures.valid).float()
        complexity = torch.ones_like(rank[:, :1])
        if self.erank_average is not None:
            complexity = effective_rank(pictures)[:, None] / self.erank_average
        value = Walk(cosines(pictures.tokens, pictures.tokens), -rank, self.slope * (rank + 1) * complexity)
        return Scores(values=-rank, of_sets=value)


def effective_rank(pictures: Pictures) -> Float[Tensor, " picture"]:
    """exp H(s / sum s) of the singular values s of a picture's tokens, not centred.

    Roy and Vetterli 2007, https://ieeexplore.ieee.org/document/7098875
    """
    s = torch.linalg.svdvals(pictures.tokens)
    entropy: Tensor = torch.special.entr(s / s.sum(1, keepdim=True).clamp(min=1e-12)).sum(1)
    return entropy.exp()


class Walk:
    """Down a list, skipping: a threshold does not change and likeness to the kept ones only grows, so a token
    that was skipped stays so, and the next one to keep is the first that passes."""

    SKIPPED = 1e6
    """What being skipped costs: more than any rank."""

    def __init__(
        self,
        alike: Float[Tensor, "picture visual visual"],
        priority: Float[Tensor, "picture visual"],
        threshold: Float[Tensor, "picture visual"],
    ) -> None:
        self._alike, self._priority, self._threshold = alike, priority, threshold
        self._closest = torch.full_like(priority, -torch.inf)
        self._picture = torch.arange(len(alike), device=alike.device)

    def gains(self) -> Float[Tensor, "picture visual"]:
        """The priority, far lower where a token is skipped."""
        return self._priority - self.SKIPPED * (self._closest > self._threshold)

    def add(self, picked: Int[Tensor, " picture"]) -> None:
        """Keep one more token a picture."""
        self._closest = torch.maximum(self._closest, self._alike[self._picture, picked])
