"""Policies that have a past: each is judged by what it promises and by how well it explains what was seen.

    q_pi = softmax(ln E - gamma G - F),   F(pi) = -ln P(o_1, ..., o_t | pi),   G(pi) of what is left

A policy is a plan for the whole episode, kept or dropped but not extended. Beliefs are filtered for each of
the distinct pasts that policies have, and what remains is planned from there; or messages are passed over the
whole episode for every policy, as in Friston et al. 2017, https://doi.org/10.1162/NECO_a_00912.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.evidence import Soft
from arr_coc.agent.experience import Step, along_time
from arr_coc.agent.following import follow_policies
from arr_coc.agent.inference import Method
from arr_coc.agent.maths import log_exact
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import EFE, Information, Objective
from arr_coc.agent.planner import Judge, Outlook
from arr_coc.agent.planning import Plan, infer_policies
from arr_coc.agent.policies import Policies, PolicyTensor, resolve
from arr_coc.agent.precision import infer_precision
from arr_coc.agent.sequence import filter_states


@dataclass(frozen=True)
class Retrospective:
    """A planner for `Agent`, over policies as long as the episode."""

    policies: Policies
    """Given, or a number of steps over which all are taken, or a function of the model."""
    gamma: float = 16.0
    """Precision, or what it is expected to be before it is inferred."""
    precision: Literal["fixed", "inferred"] = "fixed"
    """inferred: gamma rises when what was seen speaks for policies that were expected, `infer_precision`."""
    beliefs: Literal["filtered", "messages"] = "filtered"
    """messages: those of `follow_policies`, in which the past is seen in the light of the present and gamma
    is carried on; F then approximates -ln P(o | pi), and G counts this step too."""
    objective: Objective = EFE
    information: Information = "joint"
    method: Method = "auto"
    """How states are inferred when filtered, see `infer_posterior`."""
    soft: Soft = "expected_log"
    looks_back: ClassVar[bool] = True

    def __call__(self, model: GenerativeModel, time: int) -> Judge:
        """Find the distinct pasts and futures of the policies at step `time`."""
        policies = resolve(model, self.policies)
        if time >= policies.shape[1]:
            raise ValueError(f"policies of {policies.shape[1]} steps are over at step {time}: reset()")
        if model.E is not None and model.E.shape[-1] != len(policies):
            raise ValueError(f"E is a prior over {model.E.shape[-1]} policies, but there are {len(policies)}")
        if self.beliefs == "messages":
            return self._followed(model, policies, time)
        log_E = None if model.E is None else log_exact(model.E)
        pasts, past_of = _distinct(policies[:, :time])
        futures, future_of = _distinct(policies[:, time:])
        each = model.replace(E=None, pE=None)
        if model.batch is not None:
            each = each.map(lambda t: t.repeat_interleave(len(pasts), dim=0))
        plan = Plan.of(each, futures, self.objective, self.information, time=time)

        def judge(steps: Sequence[Step]) -> Outlook:
            seen = [
                None if o is None else o.repeat_interleave(len(pasts), dim=0)
                for o in along_time([step.obs for step in steps], self.soft)
            ]
            batch = len(steps[-1].qs[0])
            taken = pasts.repeat(batch, 1, 1)
            beliefs = filter_states(each, seen, taken, method=self.method, soft=self.soft)
            G = infer_policies(plan, tuple(q[:, -1] for q in beliefs.qs)).G.view(batch, len(pasts), -1)
            G = G[:, past_of, future_of]
            F = beliefs.F.sum(1).view(batch, -1)[:, past_of]
            scores = self._gamma(G, F, log_E)[:, None] * -G - F
            scores = scores if log_E is None else scores + log_E
            return Outlook(policies[:, time:], torch.softmax(scores, dim=1), G, scores)

        return judge

    def _followed(self, model: GenerativeModel, policies: PolicyTensor, time: int) -> Judge:
        def judge(steps: Sequence[Step]) -> Outlook:
            seen = along_time([step.obs for step in steps], self.soft)
            if all(o is None for o in seen):
                seen[0] = torch.full((len(steps[-1].qs[0]), len(steps)), -1, device=model.device)
            *_, now = follow_policies(
                model, seen, policies, self.gamma, self.precision, self.objective, self.information,
                soft=self.soft,
            )  # fmt: skip
            return Outlook(policies[:, time:], now.q_pi, now.G, now.log_q_pi)

        return judge

    def _gamma(
        self, G: Float[Tensor, "batch policies"], F: Float[Tensor, "batch policies"], log_E: Tensor | None
    ) -> Float[Tensor, " batch"]:
        if self.precision == "fixed":
            return torch.full_like(G[:, 0], self.gamma)
        return infer_precision(G, F, log_E, prior_beta=1 / self.gamma).gamma


def _distinct(
    parts: Int[Tensor, "policies steps controls"],
) -> tuple[Int[Tensor, "distinct steps controls"], Int[Tensor, " policies"]]:
    """The different ones, and which of them each policy has."""
    if not parts.shape[1]:
        return parts[:1], torch.zeros(len(parts), dtype=torch.long, device=parts.device)
    different, index = torch.unique(parts, dim=0, return_inverse=True)
    return different, index
