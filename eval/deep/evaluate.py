"""Evaluation: many episodes side by side, whoever acts."""

from collections.abc import Callable

import gymnasium
import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.deep import DeepAgent

Act = Callable[[Float[Tensor, "episodes obs"]], Int[Tensor, " episodes"]]
EVALUATION_SEEDS = 1_000_000
"""Added to an agent's seed: no episode of an evaluation was trained on."""


def evaluate(
    env: str, act: Act, seed: int, episodes: int = 100
) -> tuple[Float[Tensor, " episodes"], Float[Tensor, " episodes"]]:
    """Return of every episode, and 1 where the world ended it, not the clock."""
    worlds = gymnasium.make_vec(env, num_envs=episodes, vectorization_mode="sync")
    obs, _ = worlds.reset(seed=EVALUATION_SEEDS + 1000 * seed)
    running = torch.ones(episodes, dtype=torch.bool)
    returns, ended = torch.zeros(episodes), torch.zeros(episodes)
    while running.any():
        action = act(torch.as_tensor(obs, dtype=torch.float32))
        obs, reward, terminated, truncated, _ = worlds.step(action.numpy())
        over = torch.as_tensor(terminated)
        returns += running * torch.as_tensor(reward)
        ended += running * over
        # A world that is over begins anew by itself; what it does then is not counted.
        running &= ~(over | torch.as_tensor(truncated))
    worlds.close()
    return returns, ended


def greedy(agent: DeepAgent) -> Act:
    """The agent's best action, with nothing left of the episode before."""
    agent.begin()
    return lambda obs: agent.act(obs, explore=False).action
