"""Score by the guide's formula, to the letter: relevance of a token as its negative expected free energy."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores

EPISTEMIC_WEIGHT = 0.1
"""The guide's constant."""


@SCORERS.register("seed")
@dataclass(frozen=True)
class Seed:
    """-KL(softmax(q) || softmax(v)) + 0.1 H[softmax(v)] over the channels of each token v; nats.

    `RelevanceAsEFE` of the project's founding guide (section 8), with its `batchmean`: the divergence at one
    place is the mean over the pictures of the batch, so that a picture sees its neighbours. A general model
    has no `encode_text`; the query q is the mean of its row's word embeddings.
    """

    selector: ClassVar[str] = "top_k"
    mixes_batch: ClassVar[bool] = True

    def __call__(self, pictures: Pictures) -> Scores:
        """The guide's relevance; pictures too short to have a place are left out of its mean."""
        divergence, entropy = _divergence_and_entropy(pictures)
        present = pictures.valid.float()
        mixed = (divergence * present).sum(0) / present.sum(0).clamp(min=1)
        return _relevance(-mixed.expand_as(divergence), entropy)


@SCORERS.register("seed_per_sample")
@dataclass(frozen=True)
class SeedPerSample:
    """The guide's evident intent: the formula of `seed` for each picture by itself. Nats."""

    selector: ClassVar[str] = "top_k"

    def __call__(self, pictures: Pictures) -> Scores:
        """The guide's relevance without its mean over the batch."""
        divergence, entropy = _divergence_and_entropy(pictures)
        return _relevance(-divergence, entropy)


def _relevance(
    pragmatic: Float[Tensor, "picture visual"], entropy: Float[Tensor, "picture visual"]
) -> Scores:
    epistemic = EPISTEMIC_WEIGHT * entropy
    return Scores(values=pragmatic + epistemic, pragmatic=pragmatic, epistemic=epistemic)


def _divergence_and_entropy(
    pictures: Pictures,
) -> tuple[Float[Tensor, "picture visual"], Float[Tensor, "picture visual"]]:
    """KL(softmax(q) || softmax(v)) and H[softmax(v)] of every token; 0 at padding."""
    words = torch.where(pictures.asked[..., None], pictures.query, 0.0)
    query = words.sum(1) / pictures.asked.sum(1).clamp(min=1)[:, None]
    log_preference = query.log_softmax(dim=-1)
    preference = log_preference.exp()
    log_token = pictures.tokens.log_softmax(dim=-1)
    gap = (preference * log_preference).sum(-1)[:, None] - (log_token @ preference[..., None])[..., 0]
    entropy = -(log_token.exp() * log_token).sum(-1)
    return gap * pictures.valid, entropy * pictures.valid
