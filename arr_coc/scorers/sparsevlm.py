"""Let the words that see the picture choose, and recycle what they leave (SparseVLM)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from arr_coc.assignment import spoken_for
from arr_coc.ranking import best
from arr_coc.scorers import SCORERS
from arr_coc.steps import Step, after, attention, boundaries, falling, spans_from
from arr_coc.types import Pictures, Scores, Selection

PLACES = (2 / 32, 6 / 32, 15 / 32)
"""The paper's layers 2, 6 and 15 of 32."""
RECYCLED, CLUSTER = 0.3, 10
"""Share of the dropped tokens that is recycled, and how many of them become one."""
NEIGHBOURS = 5
"""That a density is measured by."""
PRECISION = 1e-4
"""Singular values below this share of the largest one do not count for the rank."""


@SCORERS.register("sparsevlm")
@dataclass(frozen=True)
class SparseVLM:
    """At three layers, keep what raters attend to most, and a few means of what is dropped.

    Raters are the words to which visual tokens turn more than to the average one: m_t = mean over tokens of
    softmax over words of token . word, at the hidden states of the layer (the paper: at the first ones).
    Dropped are lambda (n - rank P), P the attention of raters to tokens; lambda, the same at all three
    layers, spends the budget, the mean over layers; a budget below the rank is spent evenly. Of what is
    dropped the best 30 % are clustered by density peaks, ten to a cluster, and each cluster becomes its mean,
    which counts as a token. https://arxiv.org/abs/2410.04417
    """

    selector: ClassVar[str] = "own"
    words: ClassVar[int | None] = None
    places: tuple[float, ...] = PLACES
    """Where tokens are dropped, as shares of the depth."""
    recycled: float = RECYCLED
    """Share of the dropped tokens that are merged; 0: none."""

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are mean attention weights of the raters."""
        raters = rating(pictures)
        paid = torch.where(raters[..., None], attention(pictures), 0.0).sum(1)
        values = paid / raters.sum(1).clamp(min=1)[:, None]
        return Scores(values=values, chooser=partial(self._choose, pictures, values))

    def step(self, pictures: Pictures, left: Int[Tensor, " picture"], layer: int, layers: int) -> Step:
        """Towards the rank of the raters' attention."""
        stages = boundaries(self.places, layers)
        if layer == 0:
            return Step(pictures.count, stages[0])
        seen = torch.where(rating(pictures)[..., None], attention(pictures), 0.0)
        rank = torch.linalg.matrix_rank(seen, rtol=PRECISION).float()
        spans = spans_from(layer, stages, layers)
        return Step(falling(pictures, left, spans, floor=rank), after(layer, stages))

    def _choose(
        self, pictures: Pictures, values: Float[Tensor, "picture visual"], budget: Int[Tensor, " picture"]
    ) -> Selection:
        lost = pictures.count - budget
        clusters = (self.recycled * lost).long() // CLUSTER + 1
        clusters = torch.minimum(clusters, budget - 1) * (lost > 0) * (self.recycled > 0)
        kept = best(values, pictures.valid, budget - clusters)
        candidates = torch.maximum((self.recycled * lost).long(), clusters)
        again = best(values, pictures.valid & ~kept, candidates)
        centre, of = peaks(pictures.tokens, again, clusters)
        place = torch.arange(kept.shape[1], device=kept.device)
        speaker = torch.where(kept, place, torch.where(again, of, -1))
        assignment = spoken_for(kept | centre, speaker)
        equal = torch.ones_like(values)
        return Selection(
            keep=kept | centre,
            merged=assignment.mean(pictures.tokens, equal),
            mass=assignment.mass(kept.shape[1]),
            speaker=speaker,
        )


def rating(pictures: Pictures) -> Bool[Tensor, "picture text"]:
    """Words to which the tokens turn more than to the average word."""
    words = torch.where(pictures.asked[..., None], pictures.query, 0.0)
    alike = pictures.tokens @ words.transpose(1, 2)
    alike = alike.masked_fill(~pictures.asked[:, None], -torch.inf)
    turned = torch.where(pictures.asked[:, None], alike.softmax(2), 0.0)
    turned = torch.where(pictures.valid[..., None], turned, 0.0).sum(1) / pictures.count[:, None]
    mean = turned.sum(1, keepdim=True) / pictures.asked.sum(1, keepdim=True).clamp(min=1)
    # With one word, or none above the others, all of them rate.
    above = (turned > mean) & pictures.asked
    return torch.where(above.any(1, keepdim=True), above, pictures.asked)


def peaks(
    tokens: Float[Tensor, "picture visual dim"],
    among: Bool[Tensor, "picture visual"],
    clusters: Int[Tensor, " picture"],
) -> tuple[Bool[Tensor, "picture visual"], Int[Tensor, "picture visual"]]:
    """Centres of clusters, dense tokens far from denser ones, and the place of the centre nearest to each.

    Density peaks (https://doi.org/10.1126/science.1242072), a token's density being exp of minus the mean
    squared distance to its nearest neighbours.
    """
    both = among[:, :, None] & among[:, None, :]
    distance = torch.cdist(tokens, tokens).masked_fill(~both, torch.inf)
    own = torch.eye(among.shape[1], dtype=torch.bool, device=among.device)
    near = distance.masked_fill(own, torch.inf).topk(min(NEIGHBOURS, among.shape[1]), largest=False).values
    real = near.isfinite()
    apart = torch.where(real, near.square(), 0.0).sum(2) / real.sum(2).clamp(min=1)
    # In units of the mean: what is far in a wide space would have no density at all.
    unit = torch.where(among, apart, 0.0).sum(1, keepdim=True) / among.sum(1, keepdim=True).clamp(min=1)
    density = (-apart / unit.clamp(min=1e-12)).exp()
    order = torch.arange(among.shape[1], device=among.device)
    denser = (density[:, None, :] > density[:, :, None]) | (
        (density[:, None, :] == density[:, :, None]) & (order < order[:, None])
    )
    far = torch.where(both, distance, 0.0).amax((1, 2))[:, None]
    above = distance.masked_fill(~denser, torch.inf).amin(2)
    above = torch.where(above.isfinite(), above, far)
    centre = best(density * above, among, clusters)
    nearest = distance.masked_fill(~centre[:, None, :], torch.inf).argmin(2)
    return centre, torch.where(centre, order, nearest)
