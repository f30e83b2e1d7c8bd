"""Which tokens the question would like to see: a categorical distribution over the tokens of a picture."""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from arr_coc.registry import Registry
from arr_coc.types import Pictures

SIMILARITIES = ("cosine", "dot")


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


@PREFERENCES.register("words")
@dataclass(frozen=True)
class WordPreference:
    """Wanted is what resembles a word of the question: N pi = (1 - eps) N softmax(gamma z) + eps, in nats.

    z is the best similarity to any word, standardised over the picture. Tokens are centred first: those of
    one picture share a large common part. Free at the input of the language model, where words and pictures
    live in one space. To halve gamma is to take the square root of the preference.
    """

    gamma: float = 1.0
    """Precision of the source; 0 ignores it."""
    eps: float = 0.1
    """Habit of looking everywhere: share of the preference that is uniform."""
    similarity: str = "cosine"
    """`cosine`, or `dot`, where long tokens and long words count for more."""
    centre_words: bool = False
    """Take the mean word of the row off every word. A question of one word then says nothing."""

    def __post_init__(self) -> None:
        _check_habit(self.eps)
        if self.similarity not in SIMILARITIES:
            raise ValueError(f"similarity must be one of {', '.join(SIMILARITIES)}, got {self.similarity!r}")

    def __call__(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """ln(N pi) of every token; 0 at padding and where a row has no words."""
        valid = pictures.valid
        tokens = centred(pictures.tokens, valid)
        words = centred(pictures.query, pictures.asked) if self.centre_words else pictures.query
        if self.similarity == "cosine":
            tokens, words = functional.normalize(tokens, dim=2), functional.normalize(words, dim=2)
        alike = tokens @ words.transpose(1, 2)  # (picture, visual, text)
        best = best_word(alike, pictures.asked)
        return _wanted(best, valid, self.gamma, self.eps)


@PREFERENCES.register("clip")
@dataclass(frozen=True)
class ClipPreference:
    """Wanted is what a CLIP beside the model finds of the question: N pi of `words`, in nats, of another z.

    z is `Taps.clip`, standardised over the picture, which has to be handed over: see `arr_coc.rated`.
    """

    needs: ClassVar[tuple[str, ...]] = ("clip",)
    gamma: float = 1.0
    """Precision of the source; 0 ignores it, below 0 what resembles the question is wanted less."""
    eps: float = 0.1
    """Habit of looking everywhere: share of the preference that is uniform."""

    def __post_init__(self) -> None:
        _check_habit(self.eps)

    def __call__(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """ln(N pi) of every token; 0 at padding."""
        return _wanted(pictures.tap("clip"), pictures.valid, self.gamma, self.eps)


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


def _wanted(
    scores: Float[Tensor, "picture visual"], valid: Bool[Tensor, "picture visual"], gamma: float, eps: float
) -> Float[Tensor, "picture visual"]:
    """ln of N pi = (1 - eps) N softmax(gamma z) + eps, z the scores, standardised; 0 at padding."""
    log_pi = (gamma * standardised(scores, valid)).masked_fill(~valid, -torch.inf).log_softmax(dim=1)
    n = valid.sum(1, keepdim=True)
    return ((1 - eps) * n * log_pi.exp() + eps).log().masked_fill(~valid, 0.0)


def _check_habit(eps: float) -> None:
    if not 0.0 <= eps <= 1.0:
        raise ValueError(f"eps must lie in [0, 1], got {eps}")


def best_word(
    alike: Float[Tensor, "picture visual text"], asked: Bool[Tensor, "picture text"]
) -> Float[Tensor, "picture visual"]:
    """Largest similarity to any word; 0 where there are no words."""
    if alike.shape[2] == 0:
        return torch.zeros_like(alike.sum(2))
    return torch.where(asked.any(1)[:, None], alike.masked_fill(~asked[:, None], -torch.inf).amax(2), 0.0)
