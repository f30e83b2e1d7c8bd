"""What beliefs are worth as they stand: expected free energy of what is believed of a time, not predicted.

Message passing has beliefs of the times to come already; planning from the present would predict them anew.
"""

from dataclasses import dataclass, replace
from math import exp
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.maths import contract
from arr_coc.agent.merge import joint_likelihood, merged, merged_beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.novelty import dirichlet_information, expanded_information
from arr_coc.agent.objective import Information, Objective
from arr_coc.agent.planning import Plan, infer_policies
from arr_coc.agent.sequence import Trajectory

Arithmetic = Literal["exact", "spm"]
"""spm: with the approximations of SPM, to compare with it digit by digit. States no likelier than exp(-16)
are left out and exp(-16) is added within logarithms; what is learned of A and D is counted to first order,
as if outcomes and states were independent."""

SMALL = exp(-16)


@dataclass(frozen=True)
class Worth:
    """Expected free energy of beliefs as they are, made for a model by `Worth.of`."""

    model: GenerativeModel
    objective: Objective
    arithmetic: Arithmetic
    plans: tuple[Plan, ...]
    """Of standing still, one for each time or one for all."""
    likelihood: Float[Tensor, "outcomes states"] | None
    """P(o | s) of joint outcomes and states, for `spm`."""

    @classmethod
    def of(
        cls,
        model: GenerativeModel,
        time: int,
        objective: Objective,
        information: Information = "joint",
        arithmetic: Arithmetic = "exact",
    ) -> "Worth":
        """For beliefs of `time` steps. Raises ValueError for `spm` with a model for each agent."""
        own = tuple((f,) for f in range(model.n_factors))
        eyes = (torch.eye(n, dtype=model.dtype, device=model.device)[..., None] for n in model.n_states)
        B = tuple(b if model.batch is None else b.expand(model.batch, *b.shape) for b in eyes)
        without = dict.fromkeys(("E", "pA", "pB", "pC", "pD", "pE"))
        still = model.replace(B=B, B_factors=own, B_controls=own, **without)
        likelihood, weighed = None, replace(objective, parameters=0.0)
        if arithmetic == "spm":
            if information != "joint":
                raise ValueError(f"SPM's information is that of joint outcomes, got {information!r}")
            likelihood = joint_likelihood(merged(still))
            weighed = replace(weighed, entropy=0.0, ambiguity=0.0)
        over_time = any(c.ndim - (model.batch is not None) == 2 for c in model.C)
        plans = tuple(
            Plan.of(still, 1, weighed, information, time=t) for t in range(time if over_time else 1)
        )
        return cls(model, objective, arithmetic, plans, likelihood)

    def __call__(self, qs: Trajectory, now: int = 0) -> Float[Tensor, " batch"]:
        """G in nats of the steps from `now` on, and of what the first step tells of D."""
        G = torch.zeros_like(qs[0][:, 0, 0])
        for t in range(now, qs[0].shape[1]):
            then = tuple(q[:, t] for q in qs)
            G = G + infer_policies(self.plans[min(t, len(self.plans) - 1)], then).G[:, 0]
            if self.likelihood is not None:
                G = G + self._of_outcomes(self.likelihood, merged_beliefs(then))
            if self.objective.parameters:
                G = G - self.objective.parameters * self._about_likelihood(then)
        if self.objective.parameters:
            G = G - self.objective.parameters * self._about_start(tuple(q[:, 0] for q in qs))
        return G

    def _of_outcomes(self, likelihood: Tensor, joint: Float[Tensor, "batch states"]) -> Tensor:
        """Weighted ambiguity less the weighted entropy of outcomes, as SPM's spm_MDP_G."""
        likely = joint.where(joint > SMALL, 0.0)
        seen = likely @ likelihood.T
        ambiguity = -(likely @ (likelihood * (likelihood + SMALL).log()).sum(0))
        negentropy = (seen * (seen + SMALL).log()).sum(1)
        return self.objective.ambiguity * ambiguity + self.objective.entropy * negentropy

    def _about_likelihood(self, qs: tuple[Tensor, ...]) -> Float[Tensor, " batch"]:
        batched, total = self.model.batch is not None, torch.zeros_like(qs[0][:, 0])
        axis = 1 if batched else 0
        for a, counts, factors in zip(self.model.A, self.model.pA or (), self.model.A_factors, strict=False):
            if self.arithmetic == "exact":
                gain = dirichlet_information(counts.movedim(axis, 0), a.movedim(axis, 0))
                total = total + contract(gain, factors, qs, batched=batched)
            else:
                told = contract(expanded_information(counts, axis), factors, qs, batched=batched)
                total = total + (contract(a, factors, qs, batched=batched) * told).sum(-1)
        return total

    def _about_start(self, qs: tuple[Tensor, ...]) -> Float[Tensor, " batch"]:
        total = torch.zeros_like(qs[0][:, 0])
        for q, counts in zip(qs, self.model.pD or (), strict=False):
            if self.arithmetic == "exact":
                total = total + dirichlet_information(counts.expand_as(q).mT, q.mT)
            else:
                total = total + (q * expanded_information(counts, -1)).sum(1)
        return total
