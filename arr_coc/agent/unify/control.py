"""Control as inference: the losses of soft actor-critic, and the same as free energies of policies.

The guide's loss, -(Q(s, a) + temperature * entropy) of given actions a, does not train the policy by the
return: Q(s, a) does not depend on it. Both of these have the expectation over the policy's own actions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Network = Callable[[Float[Tensor, "batch features"]], Float[Tensor, "batch actions"]]


@dataclass(frozen=True)
class Transitions:
    """What happened, as it comes from a replay buffer."""

    states: Float[Tensor, "batch features"]
    actions: Int[Tensor, " batch"]
    rewards: Float[Tensor, " batch"]
    next_states: Float[Tensor, "batch features"]
    ended: Bool[Tensor, " batch"]
    """Whether the next state is terminal, so that nothing comes after it."""


@dataclass(frozen=True)
class Networks:
    """What is trained, and the slow copy of the critic."""

    actor: Network
    """Logits of the policy."""
    critic: Network
    """Q of every action."""
    target: Network
    """Q of every action, not trained here."""
    log_temperature: Float[Tensor, ""]


class Losses(NamedTuple):
    """Each has a gradient in its own parameters only."""

    policy: Float[Tensor, ""]
    critic: Float[Tensor, ""]
    temperature: Float[Tensor, ""]


def soft_actor_critic_losses(
    batch: Transitions, nets: Networks, discount: float, target_entropy: float
) -> Losses:
    """Of soft actor-critic, with sums over actions in place of samples.

    J_pi = E_pi[alpha ln pi - Q], J_Q = (Q - r - discount E_pi'[Q' - alpha ln pi'])^2 / 2 and
    J_alpha = -alpha (E_pi ln pi + target entropy): https://arxiv.org/abs/1812.05905, equations 5, 7 and 18;
    for discrete actions https://arxiv.org/abs/1910.07207.
    """
    alpha = nets.log_temperature.exp()
    fixed = alpha.detach()
    log_pi = torch.log_softmax(nets.actor(batch.states), 1)
    pi = log_pi.exp()
    q = nets.critic(batch.states)
    policy = (pi * (fixed * log_pi - q.detach())).sum(1).mean()
    with torch.no_grad():
        next_log_pi = torch.log_softmax(nets.actor(batch.next_states), 1)
        after = (next_log_pi.exp() * (nets.target(batch.next_states) - fixed * next_log_pi)).sum(1)
        goal = batch.rewards + discount * torch.where(batch.ended, 0.0, after)
    error = q.gather(1, batch.actions[:, None])[:, 0] - goal
    temperature = (-alpha * ((pi * log_pi).sum(1).detach() + target_entropy)).mean()
    return Losses(policy, error.square().mean() / 2, temperature)


def control_as_inference_losses(
    batch: Transitions, nets: Networks, discount: float, target_entropy: float
) -> Losses:
    """The same in terms of expected free energy: G = -Q, gamma = 1 / temperature, a uniform habit.

    The policy is drawn to the posterior softmax(-gamma G) by KL divergence; G of a step is its cost and the
    free energy of the policy in the state it leads to; the precision rises where the policy departs from the
    habit by less than is asked for.
    """
    gamma = (-nets.log_temperature).exp()
    fixed = gamma.detach()
    log_pi = torch.log_softmax(nets.actor(batch.states), 1)
    G = -nets.critic(batch.states)
    choices = G.shape[1]
    away, _ = _free_energy(log_pi, G.detach(), fixed)
    with torch.no_grad():
        next_log_pi = torch.log_softmax(nets.actor(batch.next_states), 1)
        _, F = _free_energy(next_log_pi, -nets.target(batch.next_states), fixed)
        goal = -batch.rewards + discount * torch.where(batch.ended, 0.0, F)
    error = G.gather(1, batch.actions[:, None])[:, 0] - goal
    habit = (log_pi.exp() * (log_pi + log(choices))).sum(1).detach()  # KL[pi || uniform]
    temperature = ((log(choices) - habit - target_entropy) / gamma).mean()
    return Losses(away.mean(), error.square().mean() / 2, temperature)


def _free_energy(log_pi: Tensor, G: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
    """KL[pi || posterior] / gamma, and E_pi[G + ln pi / gamma], which is that and the least there is."""
    log_posterior = torch.log_softmax(-gamma * G, 1)
    away = (log_pi.exp() * (log_pi - log_posterior)).sum(1) / gamma
    return away, away - torch.logsumexp(-gamma * G, 1) / gamma


def guide_loss(batch: Transitions, nets: Networks) -> Float[Tensor, ""]:
    """The guide's `control_as_inference_loss`, to be held against: nothing to train with."""
    log_probs = torch.log_softmax(nets.actor(batch.states), 1).gather(1, batch.actions[:, None])
    values = nets.critic(batch.states).gather(1, batch.actions[:, None])
    return -(values.mean() - nets.log_temperature.exp() * log_probs.mean())
