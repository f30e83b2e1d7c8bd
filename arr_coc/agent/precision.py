"""Precision over policies, inferred: gamma rises when the evidence is for the policies that were expected."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

SMALLEST_RATE = 1e-3
"""Where beta is stopped: gamma stays below a thousand however well the evidence agrees with G."""


@dataclass(frozen=True)
class Precision:
    """What the policies and their precision settled at."""

    q_pi: Float[Tensor, "batch policies"]
    """softmax(log_E - gamma G - F) at the last but one gamma, as in SPM."""
    gamma: Float[Tensor, " batch"]
    """Expected precision, 1 / beta."""
    beta: Float[Tensor, " batch"]
    """Posterior rate of the Gamma distribution of the precision."""
    path: Float[Tensor, "batch iterations"]
    """gamma after each iteration: SPM plots it as dopamine."""


def infer_precision(
    G: Float[Tensor, "batch policies"],
    F: Float[Tensor, "batch policies"] | None = None,
    log_E: Float[Tensor, "*batch policies"] | None = None,
    prior_beta: float = 1.0,
    beta: Float[Tensor, " batch"] | None = None,
    iterations: int = 16,
    step: float = 0.5,
) -> Precision:
    """Descend the free energy of gamma ~ Gamma(1, beta) along with that of the policies.

    The minimum is at beta = prior_beta + (q_pi - p_pi) . G with p_pi = softmax(log_E - gamma G): what the
    evidence F adds to the expectation of G. `beta`: where to start, the last step's posterior; default the
    prior. Without evidence (F None) gamma stays 1 / prior_beta. Friston et al. 2017,
    https://doi.org/10.1162/NECO_a_00912.
    """
    evidence = torch.zeros_like(G) if F is None else F
    habit = torch.zeros_like(G) if log_E is None else log_E
    beta = torch.full_like(G[:, 0], prior_beta) if beta is None else beta
    q_pi = torch.softmax(habit - G / beta[:, None] - evidence, dim=-1)
    path = []
    for _ in range(iterations):
        wanted = habit - G / beta[:, None]
        q_pi = torch.softmax(wanted - evidence, dim=-1)
        p_pi = torch.softmax(wanted, dim=-1)
        target = prior_beta + ((q_pi - p_pi) * G).sum(1)
        beta = (beta + step * (target - beta)).clamp_min(SMALLEST_RATE)
        path.append(1 / beta)
    return Precision(q_pi, 1 / beta, beta, torch.stack(path, dim=1) if path else G[:, :0])
