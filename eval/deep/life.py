"""The life of a deep agent: episodes lived one by one, from each of which it learns."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import torch

from arr_coc.agent.deep import DeepAgent, save
from arr_coc.eval.deep.evaluate import evaluate, greedy
from arr_coc.eval.deep.rows import Row, Task

SOLVED = 475.0
"""Mean return of 100 consecutive episodes at which gymnasium counts CartPole-v1 as solved."""
EPISODE_SEEDS = 1000
"""Distance of the seeds of two lives."""


def live(
    task: Task,
    name: str,
    seed: int,
    tell: Callable[[dict[str, float]], None],
    episodes: int | None = None,
    weights: Path | None = None,
) -> dict[str, Any]:
    """Train an agent, keep its `weights`, evaluate it over 100 episodes; `tell` hears of every episode."""
    row, agent = task.rows[name], task.agent(name, seed)
    torch.set_num_threads(1)
    began, acting = time.process_time(), 0.0
    env = gymnasium.make(task.env)
    curves: dict[str, list[float]] = {}
    steps = measured = 0
    for episode in range(episodes or row.episodes):
        told, spent = _episode(agent, env, seed * EPISODE_SEEDS + episode, episode == 0)
        steps, acting = steps + int(told["steps"]), acting + spent
        # A value network learned in units that must not move with every episode.
        if row.settings.rule == "plan" or steps >= 2 * measured:
            agent.standardise()
            measured = steps
        told |= {"F": _learn(agent, row, episode, int(told["steps"]))}
        for key, number in told.items():
            curves.setdefault(key, []).append(round(number, 4))
        tell(told)
        if row.until_solved and sum(curves["return"][-100:]) >= 100 * SOLVED:
            break
    env.close()
    training = time.process_time() - began
    if weights is not None:
        agent.begin()
        save(agent, weights)
    returns, ended = evaluate(task.env, greedy(agent), seed)
    return {
        "agent": name,
        "seed": seed,
        "about": row.about,
        **solved(curves["return"], curves["steps"]),
        "env_steps": steps,
        "eval_return_mean": float(returns.mean()),
        "eval_return_min": float(returns.min()),
        "eval_ended_share": float(ended.mean()),
        "eval_episodes": len(returns),
        "training_cpu_s": round(training, 1),
        "act_cpu_ms_per_step": round(1e3 * acting / steps, 3),
        "curves": curves,
    }


def solved(returns: list[float], steps: list[float]) -> dict[str, Any]:
    """The first episode, counted from 1, that ends 100 with a mean of 475, and the steps lived until then."""
    means = torch.tensor(returns).unfold(0, 100, 1).mean(-1) if len(returns) >= 100 else torch.zeros(0)
    passed = (means >= SOLVED).nonzero()
    first = int(passed[0]) + 100 if len(passed) else None
    perfect = [i for i, value in enumerate(returns, 1) if value >= 500]
    return {
        "episodes": len(returns),
        "episode_of_475": first,
        "steps_of_475": None if first is None else int(sum(steps[:first])),
        "best_mean_of_100": round(float(means.max()), 2) if len(means) else None,
        "first_500": perfect[0] if perfect else None,
    }


def _episode(agent: DeepAgent, env: Any, seed: int, at_random: bool) -> tuple[dict[str, float], float]:
    """One episode; the first of a life is random, because a model of nothing has no opinion."""
    seen, _ = env.reset(seed=seed)
    agent.begin()
    obs, total, steps, done = torch.from_numpy(seen)[None], 0.0, 0, False
    G = entropy = gain = spent = 0.0
    ended = False
    while not done:
        if at_random:
            action = torch.randint(agent.model.shape.n_actions, (1,), generator=agent.generator)
        else:
            began = time.process_time()
            decision = agent.act(obs)
            spent += time.process_time() - began
            action = decision.action
            G, entropy = G + float(decision.G), entropy + float(decision.entropy)
            gain += float(decision.parameter_gain)
        seen, reward, ended, late, _ = env.step(int(action))
        done = ended or late
        after = torch.from_numpy(seen)[None]
        agent.observe(
            obs,
            action,
            after,
            torch.tensor([ended]),
            torch.tensor([steps == 0]),
            torch.tensor([float(reward)]),
        )
        obs, total, steps = after, total + float(reward), steps + 1
    means = {"G": G / steps, "entropy": entropy / steps, "information": gain / steps}
    return {"return": total, "steps": float(steps), "ended": float(ended), **means}, spent


def _learn(agent: DeepAgent, row: Row, episode: int, steps: int) -> float:
    """F of a step, in nats, while it learned."""
    updates = row.early if episode < 10 else row.late
    F = agent.learn(updates, only="model")["model"]
    if "preference" in agent.optimizers:
        agent.learn(updates, only="preference")
    if row.value_updates:
        agent.learn(min(steps, row.value_updates), only="value")
    return F
