"""Answer from few tokens and look again while unsure: when to stop, with a bound on answering otherwise.

A look is an answer from a share of the visual tokens; the last one sees all of them. After each look the
answer is taken if its surprise, -ln P(answer), is below the limit of that look. Where the limits are is said
by rehearsed prompts: how surprising the answer of each look was, and whether it was the full model's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from json import dumps, loads
from math import exp, floor, inf, log
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

KIND = "arr-coc cascade"
"""What a file says that it holds."""
FLOOR = 1e-12
"""Nats: answers less surprising than this are equally so."""
NEWTON = 50
"""Steps of Newton's method, at most."""
MOST_LOOKS = 3
"""Looks before the full one, at most."""
Chances = Float[Tensor, "prompt looks"]


@dataclass(frozen=True)
class Looks:
    """When to look at how much, and when to stop."""

    ratios: tuple[float, ...]
    """Share of the visual tokens of every look before the full one."""
    limits: tuple[float, ...]
    """The answer of a look is taken if its surprise, in nats, is below this; -inf: never, inf: always."""


@dataclass(frozen=True, eq=False)
class Cascade:
    """What was rehearsed: looks at every prompt, and how each of them ended.

    A half of the prompts, drawn, says which looks are worth taking, and how likely an answer of such a
    surprise is to differ from the full model's; the other, which had no part in that, how far to trust it.
    Conformal risk control, https://arxiv.org/abs/2208.02814, of the loss "the answer differs", made monotone.
    """

    ratios: tuple[float, ...]
    """Shares of the tokens that were tried, rising."""
    surprise: Float[Tensor, "prompt looks"]
    """-ln P(answer) of every look, in nats."""
    differs: Bool[Tensor, "prompt looks"]
    """Whether the answer was another one than the full model's."""
    method: str = ""
    """What chose the tokens: the limits of one method are not those of another."""

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip((0.0, *self.ratios), (*self.ratios, 1.0), strict=False))
        shape = (len(self.differs), len(self.ratios))
        if not rising or not self.ratios or not self.surprise.shape == self.differs.shape == shape:
            raise ValueError(
                "the ratios of looks must rise within (0, 1), one a column of surprise and differs; got "
                f"{list(self.ratios)}, {tuple(self.surprise.shape)} and {tuple(self.differs.shape)}"
            )
        if shape[0] < 4:
            raise ValueError(f"a cascade is learned from 4 prompts or more, got {shape[0]}")

    def looks(self, alpha: float) -> Looks:
        """The looks that take fewest tokens while P(answer differs from the full model's) <= alpha.

        The bound is over new prompts that are exchangeable with the rehearsed ones, and over these: among
        many rehearsals, of all prompts that follow a share of at most alpha is answered otherwise. Where too
        few were rehearsed for so small an alpha nothing but the full look is left.
        """
        if not 0.0 < alpha < 1.0:
            raise ValueError(
                f"alpha is a probability of differing from the full model, in (0, 1), got {alpha}"
            )
        # Drawn, as tasks may let kinds of questions take turns.
        order = torch.randperm(len(self.differs), generator=torch.Generator().manual_seed(0))
        one, other = order[::2], order[1::2]
        curves = [_fitted(self.surprise[one, k], self.differs[one, k]) for k in range(len(self.ratios))]
        chance = torch.stack([_chance(self.surprise[:, k], *curve) for k, curve in enumerate(curves)], dim=1)
        at = list(min(self._chains(), key=lambda looks: self._cost(looks, chance[one], alpha)))
        level = risk_level(chance[other][:, at], self.differs[other][:, at], alpha) if at else -inf
        if level == -inf:
            return Looks((), ())
        ratios = tuple(self.ratios[k] for k in at)
        return Looks(ratios, tuple(_limit(level, *curves[k]) for k in at))

    def _chains(self) -> list[tuple[int, ...]]:
        """Every way to look, that of looking at all at once first."""
        known = range(len(self.ratios))
        return [chain for n in range(MOST_LOOKS + 1) for chain in combinations(known, n)]

    def _cost(self, chain: Iterable[int], chance: Chances, alpha: float) -> float:
        """Mean share of the tokens that all looks at a prompt take together, where so many are expected to
        differ as alpha allows. What the curves expect varies less than what happened to differ."""
        at, n = list(chain), len(chance)
        if not at:
            return 1.0
        spent = torch.tensor([0.0, *(self.ratios[k] for k in at), 1.0], dtype=torch.double).cumsum(0)
        risk = torch.nn.functional.pad(chance[:, at], (0, 1))  # the full look's is 0
        levels = torch.cat([chance[:, at].flatten(), torch.tensor([inf])]).sort().values
        low, high = -1, len(levels) - 1  # nothing stops early, or everything does
        while low < high:
            middle = (low + high + 1) // 2
            taken = looks_taken(chance[:, at], float(levels[middle]))
            fits = float(risk.gather(1, taken[:, None] - 1).sum()) + 1 <= alpha * (n + 1)
            low, high = (middle, high) if fits else (low, middle - 1)
        return float(spent[looks_taken(chance[:, at], float(levels[low]) if low >= 0 else -inf)].mean())

    def save(self, path: str | Path) -> None:
        """Write one safetensors file."""
        about = {"kind": KIND, "ratios": dumps(self.ratios), "method": self.method}
        tensors = {"surprise": self.surprise.contiguous(), "differs": self.differs.contiguous()}
        save_file(tensors, path, about)


def load_cascade(path: str | Path) -> Cascade:
    """Read what `Cascade.save` wrote. Raises ValueError for a file that holds something else."""
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            if about.get("kind") != KIND:
                raise ValueError(f"{path} holds no cascade: make one with arr-coc calibrate")
            said, differs = file.get_tensor("surprise"), file.get_tensor("differs")
            return Cascade(tuple(loads(about["ratios"])), said, differs, about["method"])
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path} is damaged or holds no cascade ({error}): run arr-coc calibrate") from error


def risk_level(chance: Chances, differs: Bool[Tensor, "prompt looks"], alpha: float) -> float:
    """The level below which a chance of differing is trusted: a look is the last if its chance is below it.

    Conformal risk control: the highest level at which (differing + 1) <= alpha (n + 1). Raising the level
    makes a prompt stop earlier, which may also mend an answer; it counts as differing all the same, so that
    the risk never falls with the level. Then a prompt has one level from which it counts, and the answer is
    the floor(alpha (n + 1))-th smallest of them; -inf, never stop, where that is less than the first.
    """
    allowed = floor(alpha * (len(chance) + 1))
    if allowed < 1:
        return -inf
    fails = failing_level(chance, differs)
    return float(fails.sort().values[allowed - 1]) if allowed <= len(fails) else inf


def failing_level(chance: Chances, differs: Bool[Tensor, "prompt looks"]) -> Float[Tensor, " prompt"]:
    """The level above which a prompt is, or was at a lower level, answered otherwise; inf if at none."""
    first = torch.full_like(chance[:, :1], inf)
    before = torch.cat([first, chance], dim=1).cummin(1).values[:, :-1]
    reached = chance < before  # at no level does a prompt stop at a look that is no surer than one before
    return torch.where(reached & differs, chance, inf).amin(1)


def looks_taken(chance: Chances, level: float) -> Int[Tensor, " prompt"]:
    """How many looks each prompt takes: up to the first chance below the level, or all and the full one."""
    return (chance >= level).long().cumprod(1).sum(1) + 1


def _fitted(surprise: Float[Tensor, " prompt"], differs: Bool[Tensor, " prompt"]) -> tuple[float, float]:
    """Intercept and slope of a logistic curve from ln surprise to the chance of differing.

    One prompt that differs and one that does not are added at the mean, and the slope has a weak prior at 1,
    so that there is a curve where all or none differ. A slope of 0 or less would trust what is unsure.
    """
    x, y = _log(surprise), differs.double()
    middle = x.mean()
    x = torch.cat([x - middle, x.new_zeros(2)])
    y = torch.cat([y, y.new_tensor([0.0, 1.0])])
    design = torch.stack([torch.ones_like(x), x], dim=1)
    centre, prior = x.new_tensor([0.0, 1.0]), torch.diag(x.new_tensor([1e-6, 1.0]))

    def misfit(weights: Float[Tensor, " two"]) -> float:
        z, off = design @ weights, weights - centre
        return float((torch.nn.functional.softplus(z) - y * z).sum() + 0.5 * off @ prior @ off)

    weights = centre
    for _ in range(NEWTON):
        p = torch.sigmoid(design @ weights)
        curvature = (design * (p * (1 - p))[:, None]).T @ design + prior
        step = torch.linalg.solve(curvature, design.T @ (y - p) - prior @ (weights - centre))
        # A whole step may leap over the least misfit, to where the curve is flat.
        while float(step.abs().max()) > 1e-9 and misfit(weights + step) > misfit(weights):
            step = step / 2
        weights = weights + step
        if float(step.abs().max()) <= 1e-9:
            break
    slope = max(float(weights[1]), 1e-3)
    return float(weights[0]) - slope * float(middle), slope


def _chance(surprise: Float[Tensor, " prompt"], intercept: float, slope: float) -> Float[Tensor, " prompt"]:
    """Chance of differing, rising with the surprise; in float64, where near certainty is told apart."""
    return torch.sigmoid(intercept + slope * _log(surprise))


def _limit(level: float, intercept: float, slope: float) -> float:
    """The surprise whose chance of differing is `level`; a rounding error below, so that equals go on."""
    if level >= 1.0:
        return inf
    limit = exp(min(700.0, (log(level / (1 - level)) - intercept) / slope)) * (1 - 1e-9)
    return limit if limit > FLOOR else 0.0


def _log(surprise: Float[Tensor, " prompt"]) -> Float[Tensor, " prompt"]:
    return surprise.double().clamp(min=FLOOR).log()
