"""Agents in their worlds for a while, and how probable recorded behaviour is under an agent."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.action import action_log_prob
from arr_coc.agent.agent import Agent
from arr_coc.agent.worlds.world import Environment


@dataclass(frozen=True)
class Record:
    """What happened and what was believed. There is one observation more than actions."""

    observations: tuple[Int[Tensor, "batch observations"], ...]
    """For each modality, what was seen."""
    actions: Int[Tensor, "batch steps controls"]
    """What was done after each observation but the last."""
    qs: tuple[Float[Tensor, "batch observations _"], ...]
    """For each factor, what was believed after each observation."""
    F: Float[Tensor, "batch observations"]
    """Free energy of each observation given those before, in nats."""
    q_pi: Float[Tensor, "batch steps policies"]
    """The posterior over policies at each step."""
    G: Float[Tensor, "batch steps policies"]
    """Their expected free energies, in nats."""


@torch.no_grad()
def rollout(agent: Agent, world: Environment, steps: int, generator: torch.Generator | None = None) -> Record:
    """Let a batch of agents act for `steps` steps, each in its own copy of the world, from a reset of both.

    `generator` is the world's chance; the agent has its own. What an agent learns stays with it.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    agent.reset()
    obs = world.reset(agent.batch, generator)
    seen, done, beliefs, surprise, outlooks = [obs], [], [], [], []
    for step in range(steps + 1):
        beliefs.append(agent.infer_states(obs))
        surprise.append(agent.F)
        agent.learn()
        if step == steps:
            break
        outlooks.append(agent.infer_policies())
        done.append(agent.act())
        obs = world.step(done[-1])
        seen.append(obs)
    agent.finish()
    return Record(
        observations=tuple(torch.stack(o, dim=1) for o in zip(*seen, strict=True)),
        actions=torch.stack(done, dim=1),
        qs=tuple(torch.stack(q, dim=1) for q in zip(*beliefs, strict=True)),
        F=torch.stack(surprise, dim=1),
        q_pi=torch.stack([outlook.q_pi for outlook in outlooks], dim=1),
        G=torch.stack([outlook.G for outlook in outlooks], dim=1),
    )


def behaviour_log_likelihood(
    agent: Agent,
    observations: Sequence[Int[Tensor, "batch observations"]],
    actions: Int[Tensor, "batch steps controls"],
) -> Float[Tensor, "batch steps"]:
    """Log-probability of each recorded action, given what was seen and done before it, in nats.

    Differentiable in whatever the agent was made of: its model, gamma, alpha. The agent is reset first, and
    learns on the way if it learns. One observation before each action is enough; more are not looked at.
    """
    agent.reset()
    out = []
    for step, action in enumerate(actions.unbind(1)):
        agent.infer_states([o[:, step] for o in observations])
        agent.learn()
        outlook = agent.infer_policies()
        out.append(
            action_log_prob(
                action,
                outlook.log_q_pi,
                outlook.policies,
                agent.model.n_actions,
                alpha=agent.alpha,
                sampling=agent.sampling,
            )
        )
        agent.did(action)
    return torch.stack(out, dim=1)
