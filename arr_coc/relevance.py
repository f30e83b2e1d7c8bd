"""Sources of relevance: what says how much a visual token has to do with the question, or matters anyway."""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from arr_coc.centring import centred
from arr_coc.diversity import cosines
from arr_coc.registry import Registry
from arr_coc.types import Pictures


@runtime_checkable
class Relevance(Protocol):
    """Rates visual tokens. `needs` is what it reads beside them, as a scorer's."""

    needs: ClassVar[tuple[str, ...]]

    def __call__(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """Higher is more relevant; undefined at padding. A picture does not see its neighbours."""
        ...


RELEVANCE: Registry[type[Relevance]] = Registry("source of relevance")
"""What a scorer's `source` may name."""


def relevance(source: str | Relevance) -> Relevance:
    """By name, or one with settings of its own. Raises KeyError for an unknown name."""
    return RELEVANCE[source]() if isinstance(source, str) else source


def words_and_tokens(pictures: Pictures) -> Float[Tensor, "picture text visual"]:
    """Cosine of every word of the row with every visual token, where words and pictures meet: at the input of
    the language model. 0 where there is no word or no token.

    Tokens are centred: those of one picture share a large part, which tells nothing of one of them.
    """
    words = torch.where(pictures.asked[..., None], pictures.query, 0.0)
    return cosines(words, centred(pictures.tokens, pictures.valid))


def best_word(
    alike: Float[Tensor, "picture visual text"], asked: Bool[Tensor, "picture text"]
) -> Float[Tensor, "picture visual"]:
    """Largest similarity to any word; 0 where there are no words."""
    if alike.shape[2] == 0:
        return torch.zeros_like(alike.sum(2))
    return torch.where(asked.any(1)[:, None], alike.masked_fill(~asked[:, None], -torch.inf).amax(2), 0.0)


@RELEVANCE.register("text")
@dataclass(frozen=True)
class Text:
    """Cosine of a visual token with the mean of the words, in the language model's embedding space.

    Stands in for CLIP's text tower where a model has none. Tokens are centred, as in `words_and_tokens`.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """In [-1, 1]; 0 where a row has no words."""
        words = torch.where(pictures.asked[..., None], pictures.query, 0.0)
        mean = words.sum(1, keepdim=True) / pictures.asked.sum(1).clamp(min=1)[:, None, None]
        return cosines(mean, centred(pictures.tokens, pictures.valid))[:, 0]


@RELEVANCE.register("words")
@dataclass(frozen=True)
class Words:
    """Cosine of a visual token with the word most like it, where `text` takes the mean of the words."""

    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """In [-1, 1]; 0 where a row has no words."""
        return best_word(words_and_tokens(pictures).transpose(1, 2), pictures.asked)


@RELEVANCE.register("norm")
@dataclass(frozen=True)
class Norm:
    """How far a token is from the mean of its picture: what is loud, whatever is asked."""

    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """In the unit of the embeddings."""
        loud: Tensor = torch.linalg.vector_norm(centred(pictures.tokens, pictures.valid), dim=2)
        return loud


@RELEVANCE.register("cls")
@dataclass(frozen=True)
class Cls:
    """Attention that the vision tower pays, whatever is asked: see `Taps.attention`."""

    needs: ClassVar[tuple[str, ...]] = ("attention",)

    def __call__(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """Sums to 1 over a picture, or a little less."""
        return pictures.tap("attention")


@RELEVANCE.register("received")
@dataclass(frozen=True)
class Received:
    """Attention that a patch gets from all patches, on average: what `cls` is where there is no class token.

    For a tower whose class token nobody trained, as one that was trained inside a language model.
    """

    needs: ClassVar[tuple[str, ...]] = ("received",)

    def __call__(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """Sums to 1 over a picture, or a little less."""
        return pictures.tap("received")


@RELEVANCE.register("clip")
@dataclass(frozen=True)
class Clip:
    """What a CLIP beside the model finds of the question at a token: see `Taps.clip`, `arr_coc.rated`.

    What CDPruner's released code reads is the negative of it: give ratings of the other sign.
    """

    needs: ClassVar[tuple[str, ...]] = ("clip",)

    def __call__(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """In [-1, 1], if it was a cosine; 0 at padding."""
        return pictures.tap("clip")
