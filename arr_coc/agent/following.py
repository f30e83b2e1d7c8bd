"""Policies with a past and a rest: messages are passed over the whole episode for each, as observations come.

    q_pi = softmax(ln E - gamma G - F)

F is what a policy explains of the past; G, expected free energy of what is believed under it from now until
its end, is what it promises of the rest. As SPM's spm_MDP_VB_X does it; Friston et al. 2017,
https://doi.org/10.1162/NECO_a_00912.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from arr_coc.agent.evidence import Observation, Soft
from arr_coc.agent.inference import start
from arr_coc.agent.marginal import first_guess, marginal_messages, softened
from arr_coc.agent.maths import log_exact
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import EFE, Information, Objective
from arr_coc.agent.policies import Policies, resolve
from arr_coc.agent.precision import infer_precision
from arr_coc.agent.sequence import Trajectory
from arr_coc.agent.worth import Arithmetic, Worth


@dataclass(frozen=True)
class Followed:
    """What is believed under every policy, and of the policies, after one more observation."""

    qs: tuple[Float[Tensor, "batch policies time _"], ...]
    """The marginal of each factor and step of the episode, those to come too."""
    F: Float[Tensor, "batch policies"]
    """Free energy of the whole window, in nats."""
    G: Float[Tensor, "batch policies"]
    """Expected free energy of what remains, this step included, in nats."""
    log_q_pi: Float[Tensor, "batch policies"]
    """ln of the posterior over policies, up to a constant."""
    gamma: Float[Tensor, " batch"]
    """Expected precision over policies."""
    path: Float[Tensor, "batch iterations"]
    """gamma after each iteration; no entries if it is fixed."""

    @property
    def q_pi(self) -> Float[Tensor, "batch policies"]:
        """Posterior over policies."""
        return self.log_q_pi.softmax(1)

    @property
    def average(self) -> Trajectory:
        """Beliefs whatever the policy: the Bayesian model average, (batch, time, states)."""
        return model_average(self.qs, self.q_pi)


def model_average(
    qs: Sequence[Float[Tensor, "batch policies time _"]], q_pi: Float[Tensor, "batch policies"]
) -> Trajectory:
    """Beliefs under each policy, averaged with the probability of the policies: (batch, time, states)."""
    return tuple(torch.einsum("bp,bpts->bts", q_pi, q) for q in qs)


def follow_policies(
    model: GenerativeModel,
    obs: Sequence[Observation],
    policies: Policies,
    gamma: float = 1.0,
    precision: Literal["fixed", "inferred"] = "fixed",
    objective: Objective = EFE,
    information: Information = "joint",
    arithmetic: Arithmetic = "exact",
    iterations: int = 16,
    tau: float = 4.0,
    soft: Soft = "expected_log",
) -> tuple[Followed, ...]:
    """What is made of observations one after the other, one entry for each.

    `obs`: for each modality (batch, seen) indices, (batch, seen, outcomes) weights, or None; not more than
    the steps of the policies and one. `gamma`: the precision, or what is expected of it before it is
    inferred; it is then carried from step to step. `iterations` and `tau` are those of `marginal_messages`,
    `objective` and `information` those of `Plan.of`.
    Raises ValueError where a factor depends on other factors' past, or where nothing says how many
    observations there were.
    """
    given = resolve(model, policies)
    some = next((o for o in obs if o is not None), None)
    if some is None:
        raise ValueError("obs must have a modality that is not None: give -1 for what was not observed")
    batch, seen, time, n = *some.shape[:2], given.shape[1] + 1, len(given)
    if seen > time:
        raise ValueError(f"policies of {time - 1} steps have {time} observations at most, got {seen}")
    if model.E is not None and model.E.shape[-1] != n:
        raise ValueError(f"E is a prior over {model.E.shape[-1]} policies, but there are {n}")
    log_E = None if model.E is None else log_exact(model.E)
    each = model if model.batch is None else model.map(lambda t: t.repeat_interleave(n, dim=0))
    whole = [None if o is None else _later(o, time).repeat_interleave(n, dim=0) for o in obs]
    worth = Worth.of(each, time, objective, information, arithmetic)
    qs, beta, out = first_guess(start(each, batch * n), time), None, []
    for now in range(seen):
        until = [None if o is None else _later(o[:, : now + 1], time) for o in whole]
        window = marginal_messages(
            each, until, given.repeat(batch, 1, 1), None, softened(qs), iterations, tau, soft
        )
        qs, F = window.qs, window.F.view(batch, n)
        G = worth(qs, now).view(batch, n)
        used, path = torch.full_like(G[:, 0], gamma), G[:, :0]
        settled = used
        if precision == "inferred":
            found = infer_precision(G, F, log_E, 1 / gamma, beta, iterations)
            # The posterior is that of the last but one gamma, as in SPM.
            used = found.path[:, -2] if iterations > 1 else used if beta is None else 1 / beta
            beta, settled, path = found.beta, found.gamma, found.path
        scores = -used[:, None] * G - F
        scores = scores if log_E is None else scores + log_E
        by_policy = tuple(q.reshape(batch, n, *q.shape[1:]) for q in qs)
        out.append(Followed(by_policy, F, G, scores, settled, path))
    return tuple(out)


def _later(o: Tensor, time: int) -> Tensor:
    """An observation of each time, those after the last not made."""
    missing = time - o.shape[1]
    return pad(o, (0, 0, 0, missing)) if o.is_floating_point() else pad(o, (0, missing), value=-1)
