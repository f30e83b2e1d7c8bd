"""The budget as a policy: candidates are compared by expected free energy, at a price that holds a mean."""

from dataclasses import dataclass, field
from functools import cached_property
from math import exp

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent import policy_posterior
from arr_coc.budgets import BUDGETS
from arr_coc.climb import Walked, walked
from arr_coc.need import STAKE, Need, look
from arr_coc.types import Pictures, Scores, Spending

RATIOS = (1 / 288, 1 / 144, 1 / 72, 1 / 48, 1 / 36, 1 / 24, 1 / 18, 1 / 12, 1 / 9, 1 / 6, 1 / 3)
"""Candidate budgets where no need was learned: shares of a picture's tokens."""


@dataclass
class Ledger:
    """What a stream of prompts has spent. The one thing here that changes."""

    prompts: int = 0
    spent: float = 0.0
    """Tokens kept, in targets: equal to `prompts` where the mean is met."""

    def note(self, tokens: int, target: float) -> None:
        """One more prompt, which kept so many tokens where `target` were meant."""
        self.prompts += 1
        self.spent += tokens / target


@BUDGETS.register("auto")
@dataclass(frozen=True)
class Auto:
    """Keep few tokens where few are enough, and `target` on average over a stream of prompts.

    G(k) = -E ln P~(agreement) + price k / target, in nats. The price rises while more than the target was
    spent and falls while less was: dual ascent on the constraint. Prompts of a batch are taken one after
    another, so that the batch size changes nothing. Without a `need` the first term is the share of nats that
    k tokens leave untold, which is a poor guide to what an answer takes: run `arr-coc calibrate`.
    """

    target: int | float = 0.11
    """Mean over the stream: a whole number of tokens a picture, or a fraction in (0, 1] of its tokens."""
    need: Need | None = None
    """What budgets this model needed for which questions."""
    patience: float = 12.0
    """Targets by which spending may run ahead before the price has risen by a factor of e."""
    gamma: float = 1.0
    """Precision over budgets: it makes `q_pi` sharper, and does not change which budget is best."""
    ledger: Ledger = field(default_factory=Ledger, compare=False)
    """Give the same one to two allocators that share a stream."""

    def __post_init__(self) -> None:
        whole = isinstance(self.target, int)
        if isinstance(self.target, bool) or not (self.target >= 1 if whole else 0.0 < self.target <= 1.0):
            raise ValueError(
                f"target must be a number of tokens from 1 up or a fraction in (0, 1], got {self.target!r}"
            )

    def __call__(self, pictures: Pictures, scores: Scores) -> Spending:
        """The budget of least G for every picture; several pictures of a prompt pay the same price.

        Raises ValueError without a `need` and without a value of sets to go by.
        """
        if len(pictures.count) == 0:
            return Spending(pictures.count)
        count = pictures.count[:, None]
        ratios = torch.tensor(RATIOS if self.need is None else self.need.ratios, device=count.device)
        candidates = (ratios * count).round().clamp(min=1).long()
        path = None
        if self.need is None:
            loss, path = _untold(pictures, scores, candidates)
        else:
            loss = self.need.surprise(look(pictures, scores))
        largest = float(ratios[-1])
        if self.target > (largest if isinstance(self.target, float) else largest * int(count.max())):
            raise ValueError(
                f"target={self.target} is more than the largest candidate, {largest:.2g} of the tokens: "
                "a mean so high needs no policy, write it as a fixed budget"
            )
        target = (
            count.double() * self.target if isinstance(self.target, float) else count.clamp(max=self.target)
        )
        worth = (candidates / target).to(loss)
        G = loss.clone()
        # Host syncs: the price that a prompt pays is what those before it left.
        for row in sorted(set(pictures.row.tolist())):
            here = (pictures.row == row).nonzero()[:, 0]
            G[here] += self.price * worth[here]
            best = candidates[here].gather(1, G[here].argmin(1, keepdim=True))
            self.ledger.note(int(best.sum()), float(target[here].sum()))
        q_pi = policy_posterior(G, self.gamma)
        return Spending(candidates.gather(1, G.argmin(1, keepdim=True))[:, 0], candidates, q_pi, path)

    @property
    def price(self) -> float:
        """Nats that a target's worth of tokens costs now."""
        ahead = (self.ledger.spent - self.ledger.prompts) / self.patience
        return self._base * exp(max(-30.0, min(30.0, ahead)))

    @cached_property
    def _base(self) -> float:
        """The price that would have met the target in the rehearsal."""
        if self.need is None:
            return 1.0
        share = self.target if isinstance(self.target, float) else self.target / self.need.count
        worth = torch.tensor(self.need.ratios) / share
        return fair_price(self.need.rehearsed, worth.expand_as(self.need.rehearsed))


def _untold(
    pictures: Pictures, scores: Scores, candidates: Int[Tensor, "picture budgets"]
) -> tuple[Float[Tensor, "picture budgets"], Walked]:
    """Share of what the largest greedy set tells that smaller ones do not tell, at the stake of agreement."""
    if scores.of_sets is None:
        raise ValueError(
            "budget='auto' needs a scorer with a value of sets, such as 'efe', or a need that was "
            "learned on this model (arr-coc calibrate)"
        )
    path = walked(scores.of_sets, pictures.valid, candidates[:, -1])
    told = path.path.gains.nan_to_num().cumsum(1)
    return STAKE * (1 - told.gather(1, candidates - 1) / told[:, -1:].clamp(min=1e-12)), path


def fair_price(
    loss: Float[Tensor, "prompt budgets"], worth: Float[Tensor, "prompt budgets"], rounds: int = 60
) -> float:
    """The price at which the budgets of least loss + price * worth are worth 1 on average, by bisection."""
    low, high = -14.0, 14.0  # ln of nats
    for _ in range(rounds):
        price = exp((low + high) / 2)
        spent = worth.gather(1, (loss + price * worth).argmin(1, keepdim=True)).mean()
        low, high = ((low + high) / 2, high) if spent > 1 else (low, (low + high) / 2)
    return exp((low + high) / 2)
