"""Soft values: what is worth what to somebody who chooses at random, and better options more often.

With precision gamma (a temperature of 1 / gamma) the value of a choice is its free energy,

    V = max_pi [E_pi Q + H[pi] / gamma] = ln sum_a exp(gamma Q(a)) / gamma,   pi = softmax(gamma Q)

and with G = -Q that pi is the posterior over policies, softmax(-gamma G).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.planning import policy_posterior


class SoftQ(NamedTuple):
    """Q-values as expected free energy, and what follows from them."""

    G: Float[Tensor, "*batch actions"]
    """In nats, lower is better."""
    q_pi: Float[Tensor, "*batch actions"]
    """softmax(-G / temperature)."""
    F: Float[Tensor, "*batch"]
    """Free energy of q_pi: E G - temperature H[q_pi], the least that any choice has."""


def efe_as_soft_q(
    q_values: Float[Tensor, "*batch actions"],
    epistemic_bonus: Float[Tensor, "*batch actions"],
    temperature: float = 1.0,
) -> SoftQ:
    """G = -(Q + bonus), and the policy that this and the temperature call for: gamma is 1 / temperature.

    Raises ValueError for a temperature that is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    G = -(q_values + epistemic_bonus)
    scores = -G / temperature
    return SoftQ(G, torch.softmax(scores, -1), -temperature * torch.logsumexp(scores, -1))


def soft_value_iteration(
    transition: Float[Tensor, "next previous actions"],
    reward: Float[Tensor, " next"],
    gamma: float,
    horizon: int,
    discount: float = 1.0,
) -> Float[Tensor, "states actions"]:
    """Q of so many steps to go, each later choice worth its soft value; `reward` is for arriving in a state.

    With a discount below 1 and a long horizon: the fixed point of soft Q-learning,
    https://arxiv.org/abs/1702.08165.
    """
    q = torch.zeros(transition.shape[1:], dtype=transition.dtype)
    for step in range(horizon):
        value = torch.logsumexp(gamma * q, 1) / gamma if step else q[:, 0]
        q = torch.einsum("nsa,n->sa", transition, reward + discount * value)
    return q


def posterior_fixed_point(
    transition: Float[Tensor, "next previous actions"],
    reward: Float[Tensor, " next"],
    gamma: float,
    discount: float,
    rounds: int = 50,
) -> Float[Tensor, "states actions"]:
    """The policy that is the posterior softmax(-gamma G) under the G of following that policy for ever.

    Each round solves for the free energies F = E_pi[G + ln pi / gamma] of all states under the policy at
    hand, a linear system, and takes the posterior for the next policy.
    """
    n, _, k = transition.shape
    pi = torch.full((n, k), 1 / k, dtype=transition.dtype)
    for _ in range(rounds):
        moves = torch.einsum("nsa,sa->sn", transition, pi)
        cost = -moves @ reward + (pi * pi.log()).sum(1) / gamma
        F = torch.linalg.solve(torch.eye(n, dtype=pi.dtype) - discount * moves, cost)
        G = torch.einsum("nsa,n->sa", transition, discount * F - reward)
        pi = policy_posterior(G, gamma)
    return pi
