"""What others do on the same worlds: chance, a rule by hand, PPO and DQN of stable-baselines3."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from arr_coc.eval.deep.evaluate import Act, evaluate
from arr_coc.eval.deep.life import solved

STEPS = {"ppo": 100_000, "dqn": 50_000}
"""Steps that RL Zoo trains CartPole-v1 for (https://github.com/DLR-RM/rl-baselines3-zoo, hyperparams/)."""
ABOUT = {
    "random": "uniformly random actions, nothing learned",
    "rule": "push right if theta + 0.5 * theta_dot > 0: by hand, nothing learned",
    "ppo": "PPO of stable-baselines3 with RL Zoo's settings, for reward",
    "dqn": "DQN of stable-baselines3 with RL Zoo's settings, for reward",
}


def anchor(name: str, seed: int, tell: Callable[[dict[str, float]], None]) -> dict[str, Any]:
    """Train if there is anything to train, and evaluate over 100 episodes."""
    began = time.process_time()
    lived: dict[str, list[float]] = {"return": [], "steps": []}
    if name == "random":
        act = _random(seed)
    elif name == "rule":
        act = _by_hand
    else:
        act = _trained(name, seed, lived, tell)
    training = time.process_time() - began
    returns, ended = evaluate("CartPole-v1", act, seed)
    return {
        "agent": name,
        "seed": seed,
        "about": ABOUT[name],
        **solved(lived["return"], lived["steps"]),
        "env_steps": STEPS.get(name, 0),
        "eval_return_mean": float(returns.mean()),
        "eval_return_min": float(returns.min()),
        "eval_ended_share": float(ended.mean()),
        "eval_episodes": len(returns),
        "training_cpu_s": round(training, 1),
        "curves": lived,
    }


def _random(seed: int) -> Act:
    luck = torch.Generator().manual_seed(seed)
    return lambda obs: torch.randint(2, (len(obs),), generator=luck)


def _by_hand(obs: Tensor) -> Tensor:
    return (obs[:, 2] + 0.5 * obs[:, 3] > 0).long()


def _trained(
    name: str, seed: int, lived: dict[str, list[float]], tell: Callable[[dict[str, float]], None]
) -> Act:
    from stable_baselines3 import DQN, PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    class Episodes(BaseCallback):
        def _on_step(self) -> bool:
            for info in self.locals["infos"]:
                if "episode" in info:
                    lived["return"].append(float(info["episode"]["r"]))
                    lived["steps"].append(float(info["episode"]["l"]))
                    tell({"return": lived["return"][-1]})
            return True

    torch.set_num_threads(1)
    steps = STEPS[name]
    if name == "ppo":
        worlds = make_vec_env("CartPole-v1", n_envs=8, seed=seed)

        def falling(start: float) -> Callable[[float], float]:
            return lambda left: start * left

        model: Any = PPO(
            "MlpPolicy", worlds, n_steps=32, batch_size=256, n_epochs=20, gae_lambda=0.8, gamma=0.98,
            ent_coef=0.0, learning_rate=falling(1e-3), clip_range=falling(0.2), seed=seed, device="cpu",
        )  # fmt: skip
    else:
        worlds = make_vec_env("CartPole-v1", n_envs=1, seed=seed)
        model = DQN(
            "MlpPolicy", worlds, learning_rate=2.3e-3, batch_size=64, buffer_size=100_000,
            learning_starts=1000, gamma=0.99, target_update_interval=10, train_freq=256, gradient_steps=128,
            exploration_fraction=0.16, exploration_final_eps=0.04, policy_kwargs={"net_arch": [256, 256]},
            seed=seed, device="cpu",
        )  # fmt: skip
    model.learn(steps, callback=Episodes())
    worlds.close()
    return lambda obs: torch.as_tensor(model.predict(obs.numpy(), deterministic=True)[0]).long()
