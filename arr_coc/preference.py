"""Which tokens the question would like to see: a categorical distribution over the tokens of a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from arr_coc.centring import standardised
from arr_coc.registry import Registry
from arr_coc.relevance import RELEVANCE
from arr_coc.types import Pictures


@runtime_checkable
class Preference(Protocol):
    """The log-preference of every visual token. One that reads more than them has `needs`, as a scorer."""

    def __call__(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """ln(N pi) in nats: 0 for a token wanted no more than chance; 0 at padding."""
        ...


PREFERENCES: Registry[type[Preference]] = Registry("preference")
"""What a scorer's `preference` may name."""


def preference(which: str | Preference) -> Preference:
    """By name, or one with settings of its own. Raises KeyError for an unknown name."""
    return PREFERENCES[which]() if isinstance(which, str) else which


def needs_of(which: str | Preference) -> tuple[str, ...]:
    """What a preference reads of the vision tower."""
    return getattr(preference(which), "needs", ())


@PREFERENCES.register("indifferent")
@dataclass(frozen=True)
class Indifferent:
    """No token is wanted more than another. Nats, all 0."""

    def __call__(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """Zeros."""
        return torch.zeros_like(pictures.tokens[..., 0])


@dataclass(frozen=True)
class SourcePreference:
    """Wanted is what sources of relevance rate highly: `log_preference` of the mean of their standardised
    scores, in nats. To halve gamma is to take the square root of the preference.
    """

    sources: ClassVar[tuple[str, ...]]
    """Names in `RELEVANCE`."""
    gamma: float = 1.0
    """Precision of that mean; 0 ignores it, below 0 what is rated highly is wanted less."""
    eps: float = 0.1
    """Habit of looking everywhere: share of the preference that is uniform."""

    def __post_init__(self) -> None:
        check_habit(self.eps)

    @property
    def needs(self) -> tuple[str, ...]:
        """What the sources read of the vision tower."""
        return needed_by(self.sources)

    def __call__(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """ln(N pi) of every token; 0 at padding and where a row has no words."""
        z = witnessed(self.sources, pictures)
        gammas = z.new_full((len(self.sources),), self.gamma / len(self.sources))
        return log_preference(z, pictures.valid, gammas, z.new_tensor(self.eps))


@PREFERENCES.register("text")
@dataclass(frozen=True)
class TextPreference(SourcePreference):
    """By the mean of the question's words, at the input of the language model: of the whole question."""

    sources: ClassVar[tuple[str, ...]] = ("text",)


@PREFERENCES.register("words")
@dataclass(frozen=True)
class WordPreference(SourcePreference):
    """By the one word that is most like a token: what any single word asks for is wanted."""

    sources: ClassVar[tuple[str, ...]] = ("words",)


@PREFERENCES.register("question")
@dataclass(frozen=True)
class QuestionPreference(SourcePreference):
    """By the question as a whole and by its single words. Where one says nothing of a token, the other may.

    Free, as both live where words and pictures meet: at the input of the language model.
    """

    sources: ClassVar[tuple[str, ...]] = ("text", "words")
    gamma: float = 1.4
    eps: float = 0.13


@PREFERENCES.register("clip")
@dataclass(frozen=True)
class ClipPreference(SourcePreference):
    """By what a CLIP beside the model finds of the question; it is handed over: see `arr_coc.rated`."""

    sources: ClassVar[tuple[str, ...]] = ("clip",)


def needed_by(sources: Sequence[str]) -> tuple[str, ...]:
    """What these sources read of the vision tower, without repetition."""
    return tuple(sorted({tap for name in sources for tap in RELEVANCE[name].needs}))


def witnessed(sources: Sequence[str], pictures: Pictures) -> Float[Tensor, "picture visual source"]:
    """The standardised score of every source; 0 at padding."""
    return torch.stack([standardised(RELEVANCE[s]()(pictures), pictures.valid) for s in sources], dim=2)


def log_preference(
    z: Float[Tensor, "picture visual source"],
    valid: Bool[Tensor, "picture visual"],
    gammas: Float[Tensor, " source"],
    eps: Float[Tensor, ""],
) -> Float[Tensor, "picture visual"]:
    """ln(N pi), N pi = (1 - eps) N softmax(sum_s gamma_s z_s) + eps: a product of experts with a floor.

    0 at padding, where no gradient is NaN.
    """
    log_n = valid.sum(1, keepdim=True).to(z).log()
    log_pi = (z @ gammas).masked_fill(~valid, -torch.inf).log_softmax(1).masked_fill(~valid, 0.0)
    mixed = torch.logaddexp(log_n + torch.log1p(-eps) + log_pi, eps.log())
    return mixed.masked_fill(~valid, 0.0)


def check_habit(eps: float) -> None:
    """Raises ValueError for what is no share."""
    if not 0.0 <= eps <= 1.0:
        raise ValueError(f"eps must lie in [0, 1], got {eps}")
