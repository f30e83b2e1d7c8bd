"""Let the question's grip on the picture decide how soon tokens go, layer by layer (AutoPrune)."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.scorers import SCORERS
from arr_coc.steps import HALVINGS, Step, attention, boundaries
from arr_coc.types import Pictures, Scores

LAYERS = 32
"""Depth of the model that the paper's settings are for."""


@SCORERS.register("autoprune")
@dataclass(frozen=True)
class AutoPrune:
    """Before every layer but the first, keep what words attend to most, ever fewer along a logistic curve.

    f(x) = 1 / (1 + exp(k (x - x0))) over the layers x, scaled so that the mean over layers is the budget. Its
    slope k = max(k0 - gamma I, 0) falls with the mutual information I of words and tokens in the first layer:
    an easy picture is left soon. https://arxiv.org/abs/2509.23931, with the settings of its released code for
    32 layers. That sums I over heads and divides it by the words; here it is the I of the mean over heads, in
    nats. It also drops the most by [CLS] attention in the first layer, which the paper's curve does not.
    """

    selector: ClassVar[str] = "top_k"
    words: ClassVar[int | None] = None
    k0: float = 0.4
    """Slope of the curve without any information, per layer of 32."""
    gamma: float = 0.2
    """How much of it a nat of information takes away."""
    x0: float = 14.9
    """Layer of 32 at which half are left, before scaling."""
    slope: Float[Tensor, " picture"] | None = None
    """What the first layer said; filled in on the way."""

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are mean attention weights of the words."""
        paid = attention(pictures)
        return Scores(values=paid.sum(1) / pictures.asked.sum(1).clamp(min=1)[:, None])

    def step(self, pictures: Pictures, left: Int[Tensor, " picture"], layer: int, layers: int) -> Step:
        """One point of the curve."""
        boundaries([0.0], layers)  # says what it cannot do
        if layer == 0:
            return Step(pictures.count, 1)
        slope = self.slope
        if slope is None:
            slope = (self.k0 - self.gamma * mutual_information(pictures)).clamp(min=0.0)
        place = torch.arange(layer, layers, device=slope.device) * (LAYERS / layers)
        curve = torch.sigmoid(-slope[:, None] * (place - self.x0))  # (picture, layers to come)
        n = pictures.count.float()
        low, high = torch.zeros_like(n), n / curve[:, -1].clamp(min=1e-6)
        for _ in range(HALVINGS):
            scale = (low + high) / 2
            over = torch.minimum(scale[:, None] * curve, n[:, None]).clamp(min=1).sum(1) > left
            low, high = torch.where(over, low, scale), torch.where(over, scale, high)
        kept = torch.minimum(low * curve[:, 0], n).floor().long().clamp(min=1)
        until = layer + 1 if layer + 1 < layers else None
        return Step(torch.minimum(kept, pictures.count), until, replace(self, slope=slope))


def mutual_information(pictures: Pictures) -> Float[Tensor, " picture"]:
    """Of word and token, in nats, if they are drawn together as often as the one attends to the other."""
    joint = attention(pictures)
    joint = joint / joint.sum((1, 2), keepdim=True).clamp(min=1e-12)
    apart = joint.sum(2, keepdim=True) * joint.sum(1, keepdim=True)
    ratio = torch.where(joint > 0, joint / apart.clamp(min=1e-30), 1.0)
    return (joint * ratio.log()).sum((1, 2))
