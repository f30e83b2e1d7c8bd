"""Decide one prefill: score the tokens, ask the budget, select, and say what was done."""

from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.allocation import Allocation, Glimpse, Stage
from arr_coc.assignment import spoken_for
from arr_coc.budgets import BUDGETS
from arr_coc.budgets.count import Count
from arr_coc.budgets.ratio import Ratio
from arr_coc.merge import assign, carried
from arr_coc.placing import columns, replaced, to_pictures, to_tokens
from arr_coc.positions import POSITIONS
from arr_coc.scorers import SCORERS
from arr_coc.select import SELECTORS
from arr_coc.steps import Deep
from arr_coc.types import Budget, Context, Pictures, Scorer, Scores, Selection, Spending


@dataclass(frozen=True)
class Allocator:
    """Which visual tokens the language model sees: a scorer, a budget and a selector. Knows no model."""

    scorer: str | Scorer = "efe"
    """A name in `SCORERS`, or a scorer with settings of its own."""
    budget: int | float | str | Budget = 64
    """Tokens kept of each picture: a whole number is a count, a fraction in (0, 1] a ratio; or a name in
    `BUDGETS`, with its number if it takes one (`auto:32`), or a budget with settings of its own."""
    selector: str | None = None
    """A name in `SELECTORS`; None: the one that the scorer is meant for."""
    merge: bool = False
    """Dropped tokens join the kept one most like them, which becomes their mean, weighted by preference."""
    precision: bool = False
    """Add ln n to the attention logits of a kept token that stands for n."""
    gate: float = -1.0
    """Least cosine at which a dropped token joins a kept one, for `merge` and `precision`; -1: all join."""
    positions: str = "original"
    """Where kept tokens stand, a name in `POSITIONS`: `original`, `compact`, or, once merged, `centroid`."""
    price: float = 0.0
    """lambda, in nats per full prefill: what it costs in `G` to keep tokens."""

    def __post_init__(self) -> None:
        # A wrong name or number is the caller's: say so here.
        if self.price < 0.0:
            raise ValueError(f"price is what keeping costs, in nats, and cannot be below 0, got {self.price}")
        _ = self._spender
        SELECTORS[self._selector_name()]
        POSITIONS[self.positions]

    @property
    def needs(self) -> tuple[str, ...]:
        """What the scorer reads of the vision tower."""
        return getattr(self._scorer(), "needs", ())

    @torch.no_grad()
    def __call__(self, context: Context) -> Allocation:
        """Decide for every picture. Where all is kept nothing else is done: not scored, merged or biased."""
        pictures = context.pictures()
        budget, selector = self._spender, SELECTORS[self._selector_name()]()
        fixed = getattr(budget, "fixed", False)
        scores = (
            Scores(torch.full_like(pictures.tokens[..., 0], torch.nan)) if fixed else self._scorer()(pictures)
        )
        spending = budget(pictures, scores)
        asked = spending.tokens
        # A host sync: whether there is anything to decide.
        all_kept = torch.equal(asked, pictures.count) and not getattr(selector, "empty", False)
        if all_kept or len(asked) == 0:
            return _spent(_kept_all(context, pictures), context, pictures, spending)
        scorer = self._scorer()
        if isinstance(scorer, Deep):
            return self._step(context, pictures, scorer, asked * context.layers, spending)
        scores = scorer(pictures) if fixed else scores
        if spending.of_sets is not None:
            scores = replace(scores, of_sets=spending.of_sets)
        return _spent(self._chosen(context, pictures, scores, asked), context, pictures, spending)

    def _step(
        self,
        context: Context,
        pictures: Pictures,
        scorer: Deep,
        left: Int[Tensor, " picture"],
        spending: Spending,
    ) -> Allocation:
        """What the next layers see, by a scorer that decides between layers, `left` token-layers to go."""
        step = scorer.step(pictures, left, context.layer, context.layers)
        # A host sync, and only for a glimpse: of no token, it would say nothing.
        if step.since is not None and not step.keep.any():
            blind = replace(
                pictures, attention=pictures.tokens.new_zeros(*pictures.asked.shape, pictures.tokens.shape[1])
            )
            return self._step(context, blind, step.by or scorer, left, spending)
        # A host sync: whether there is anything to decide.
        if torch.equal(step.keep, pictures.count):
            allocation = _kept_all(context, pictures)
        else:
            allocation = self._chosen(context, pictures, scorer(pictures), step.keep)
        if context.layer == 0:
            allocation = _spent(allocation, context, pictures, spending)
        if step.until is None:
            return allocation
        left = left - step.keep * (step.until - context.layer)
        glimpsed = None if step.since is None else allocation
        decide = partial(self._again, step.by or scorer, left, spending, glimpsed)
        if step.since is None:
            return replace(allocation, then=Stage(step.until, decide, scorer.words))
        return replace(allocation, glimpse=Glimpse(step.until, decide, step.since, scorer.words))

    @torch.no_grad()
    def _again(
        self,
        scorer: Deep,
        left: Int[Tensor, " picture"],
        spending: Spending,
        glimpse: Allocation | None,
        context: Context,
    ) -> Allocation:
        """Between layers, or after a glimpse."""
        pictures = context.pictures()
        if glimpse is not None:
            pictures = replace(pictures, attention=carried(pictures, glimpse.keep, glimpse.bias))
        return self._step(context, pictures, scorer, left, spending)

    def _chosen(
        self, context: Context, pictures: Pictures, scores: Scores, asked: Int[Tensor, " picture"]
    ) -> Allocation:
        """So many of each picture."""
        selection = SELECTORS[self._selector_name()]()(pictures, scores, asked)
        merged, mass, speaker = self._represented(pictures, scores, selection)
        keep = (context.valid & ~context.visual) | to_tokens(context, pictures, selection.keep, False)
        # Between layers tokens stand where they stood before the first one.
        policy = self.positions if context.layer == 0 else "original"
        placed = POSITIONS[policy](context, keep, columns(context, pictures, speaker))
        return Allocation(
            keep=keep,
            budget=to_pictures(context, pictures, selection.keep.sum(1)),
            visual=to_pictures(context, pictures, pictures.count),
            scores=to_tokens(context, pictures, scores.values, torch.nan),
            gains=selection.gains,
            G=self._expected_free_energy(context, pictures, scores, selection),
            bias=None if mass is None else to_tokens(context, pictures, mass.clamp(min=1).log(), 0.0),
            embeds=None if merged is None else replaced(context, pictures, selection, merged),
            positions=placed.positions,
            shift=placed.shift,
        )

    def _represented(
        self, pictures: Pictures, scores: Scores, selection: Selection
    ) -> tuple[
        Float[Tensor, "picture visual dim"] | None,
        Float[Tensor, "picture visual"] | None,
        Int[Tensor, "picture visual"] | None,
    ]:
        """New embeddings of the kept tokens, how many each stands for, and which went into which; None where
        not asked for."""
        merged, mass, speaker = selection.merged, selection.mass, selection.speaker
        if pictures.mass is not None and mass is not None and speaker is not None:
            mass = spoken_for(selection.keep, speaker).mass(mass.shape[1], pictures.mass)
        if (self.merge and merged is None) or (self.precision and mass is None):
            assignment = assign(pictures, selection.keep, self.gate, scores.pragmatic)
            if mass is None:
                mass = assignment.mass(selection.keep.shape[1], pictures.mass)
            if self.merge and merged is None:
                equal = torch.ones_like(scores.values)
                weights = equal if scores.pragmatic is None else scores.pragmatic.exp()
                merged, speaker = assignment.mean(pictures.tokens, weights), assignment.speaker()
        return merged, mass if self.precision else None, speaker

    def _expected_free_energy(
        self, context: Context, pictures: Pictures, scores: Scores, selection: Selection
    ) -> Float[Tensor, "batch pictures"] | None:
        """G = - epistemic - pragmatic + price * cost of the kept set, in nats; None without both parts.

        Epistemic: what the greedy steps added, or the sum over kept tokens taken as independent. Pragmatic:
        the sum of kept log-preferences. Cost: share of the row's tokens that the kept ones are.
        """
        if scores.pragmatic is None or scores.epistemic is None:
            return None
        keep = selection.keep
        alone = torch.where(keep, scores.epistemic, 0.0).sum(1)
        epistemic = alone if selection.gains is None else selection.gains.nansum(1)
        pragmatic = torch.where(keep, scores.pragmatic, 0.0).sum(1)
        cost = keep.sum(1) / context.valid.sum(1)[pictures.row]
        G: Float[Tensor, "batch pictures"] = to_pictures(
            context, pictures, self.price * cost - epistemic - pragmatic
        )
        return G

    def _scorer(self) -> Scorer:
        return SCORERS[self.scorer]() if isinstance(self.scorer, str) else self.scorer

    @cached_property
    def _spender(self) -> Budget:
        """Made once: a budget may remember what it has spent."""
        if isinstance(self.budget, str):
            name, _, number = self.budget.partition(":")
            part: Any = BUDGETS[name]
            if number:
                return part(_number(self.budget, number))  # type: ignore[no-any-return]
            if any(field.default is MISSING and field.default_factory is MISSING for field in fields(part)):
                raise ValueError(f"the budget {self.budget!r} needs a number: write budget=64 or budget=0.11")
            return part()  # type: ignore[no-any-return]
        if isinstance(self.budget, int):  # a bool is one: Count refuses it
            return Count(self.budget)
        return Ratio(self.budget) if isinstance(self.budget, float) else self.budget

    def _selector_name(self) -> str:
        return self._scorer().selector if self.selector is None else self.selector


def _number(budget: str, number: str) -> int | float:
    try:
        return float(number) if "." in number else int(number)
    except ValueError:
        raise ValueError(
            f"cannot read the budget {budget!r}: after the colon comes a fraction kept with a point "
            "(auto:0.11) or a count of visual tokens (auto:64)"
        ) from None


def _kept_all(context: Context, pictures: Pictures) -> Allocation:
    """The untouched prefill."""
    count = to_pictures(context, pictures, pictures.count)
    return Allocation(
        keep=context.valid,
        budget=count,
        visual=count,
        scores=torch.full_like(context.valid, torch.nan, dtype=torch.float),
    )


def _spent(allocation: Allocation, context: Context, pictures: Pictures, spending: Spending) -> Allocation:
    """With what the budget said of itself."""
    return replace(
        allocation,
        q_pi=to_pictures(context, pictures, spending.q_pi),
        candidates=to_pictures(context, pictures, spending.candidates),
    )
