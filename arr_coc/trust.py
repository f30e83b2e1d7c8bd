"""Learn how far sources of relevance are to be trusted: as far as they say where the answer of a model looks.

Nothing is labelled: the teacher is the attention of the full model, picture after picture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from arr_coc.experts import Experts
from arr_coc.preference import log_preference

START = 0.1
"""Where the search for eps begins."""
STEPS = 200
"""Of that search, at most."""
SAME = 1e-6
"""Nats to which its end is exact."""


@dataclass(frozen=True)
class Rehearsal:
    """What sources said of some pictures, and where the answer looked."""

    z: Float[Tensor, "picture visual source"]
    """Standardised scores."""
    p: Float[Tensor, "picture visual"]
    """Attention of the answer, that sums to 1 over a picture; 0 at padding."""
    valid: Bool[Tensor, "picture visual"]
    """False at padding."""

    def of(self, which: Bool[Tensor, " picture"]) -> "Rehearsal":
        """Some of the pictures."""
        return Rehearsal(self.z[which], self.p[which], self.valid[which])

    def by(self, sources: list[int]) -> "Rehearsal":
        """Some of the sources."""
        return Rehearsal(self.z[..., sources], self.p, self.valid)

    def explained(self, gammas: Float[Tensor, " source"], eps: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """E_p[ln N pi] in nats, the mean over pictures, however large they are."""
        return (self.p * log_preference(self.z, self.valid, gammas, eps)).sum(1).mean()

    @property
    def most(self) -> Float[Tensor, ""]:
        """E_p[ln N p]: what a preference that knew where the answer looks would explain."""
        n = self.valid.sum(1, keepdim=True)
        nats: Tensor = torch.special.xlogy(self.p, self.p * n).sum(1).mean()
        return nats


def learn_experts(sources: Sequence[str], rehearsal: Rehearsal, apart: Bool[Tensor, " picture"]) -> Experts:
    """Maximum likelihood of where the answer looks. No prior and no label.

    `apart`: pictures from which nothing is learned, so that they can say what every source explains. A source
    without which these are explained as well drops out. Raises ValueError where either half is empty.
    """
    if apart.all() or not apart.any():
        raise ValueError(
            f"experts are learned from some pictures and tried on others, and {len(apart)} were rehearsed, "
            f"{int(apart.sum())} of them to try: rehearse more pictures"
        )
    whole = Rehearsal(rehearsal.z.double(), rehearsal.p.double(), rehearsal.valid)
    ours, theirs = whole.of(~apart), whole.of(apart)

    def told(which: list[int]) -> float:
        return float(theirs.by(which).explained(*_fitted(ours.by(which))))

    kept = list(range(len(sources)))
    alone = [told([s]) for s in kept]
    together = told(kept)
    while len(kept) > 1:
        without = {s: told([k for k in kept if k != s]) for s in kept}
        least = max(without, key=lambda s: without[s])
        if without[least] < together - SAME:
            break
        kept, together = [k for k in kept if k != least], without[least]
    gammas, eps = _fitted(whole.by(kept))
    names = tuple(sources[s] for s in kept)
    said = tuple(zip(sources, alone, strict=True))
    return Experts(names, tuple(gammas.tolist()), float(eps), said, together, float(theirs.most))


def _fitted(rehearsal: Rehearsal) -> tuple[Float[Tensor, " source"], Float[Tensor, ""]]:
    """gamma and eps that explain most. Where eps is 0 that is convex in gamma, and there it begins."""
    gammas = rehearsal.z.new_zeros(rehearsal.z.shape[2], requires_grad=True)
    nothing = gammas.new_zeros(())
    _climb(lambda: rehearsal.explained(gammas, nothing), [gammas])
    logit = gammas.new_tensor(START).logit().requires_grad_()
    _climb(lambda: rehearsal.explained(gammas, logit.sigmoid()), [gammas, logit])
    return gammas.detach(), logit.detach().sigmoid()


@torch.enable_grad()
def _climb(value: Callable[[], Float[Tensor, ""]], parameters: list[Tensor]) -> None:
    """To the top, in place."""
    steps: Any = torch.optim.LBFGS(
        parameters, max_iter=STEPS, tolerance_grad=1e-8, tolerance_change=1e-10, line_search_fn="strong_wolfe"
    )

    def lower() -> Any:
        steps.zero_grad()
        loss: Any = -value()
        loss.backward()
        return loss

    steps.step(lower)
