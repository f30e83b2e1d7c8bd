"""gymnasium, both ways: environments with discrete spaces for our agents, our worlds for other agents."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from arr_coc.agent.worlds.world import Actions, Observations, World


@dataclass
class GymWorld:
    """Copies of a gymnasium environment. What its agents believe of it is yours to say.

    Spaces may be Discrete, MultiDiscrete, or a Tuple or Dict of Discrete. A copy that
    has ended shows nothing more.
    """

    make: Callable[[], Any]
    """Makes one environment, for example `lambda: gymnasium.make("FrozenLake-v1")`."""
    rewards: tuple[float, ...] = ()
    """If given, one more modality, the last: which of these the step brought. Nothing before the first."""
    done: Bool[Tensor, " batch"] = field(init=False, repr=False)
    """Which copies have ended."""
    returns: Float[Tensor, " batch"] = field(init=False, repr=False)
    """Sum of rewards since the reset."""
    _copies: list[Any] = field(default_factory=list, init=False, repr=False)

    def reset(self, batch: int = 1, generator: torch.Generator | None = None) -> Observations:
        """Begin anew, each copy with a seed of its own, drawn with `generator`."""
        _gymnasium()
        if len(self._copies) != batch:
            self._copies = [self.make() for _ in range(batch)]
        seeds = torch.randint(2**31 - 1, (batch,), generator=generator).tolist()
        self.done = torch.zeros(batch, dtype=torch.bool)
        self.returns = torch.zeros(batch)
        rows = [
            _outcomes(env.observation_space, env.reset(seed=seed)[0])
            for env, seed in zip(self._copies, seeds, strict=True)
        ]
        return self._observations([row + [-1] * bool(self.rewards) for row in rows])

    def step(self, actions: Actions) -> Observations:
        """Do what is asked in every copy that has not ended."""
        if not self._copies:
            raise RuntimeError("GymWorld has not begun: call reset(batch, generator) first")
        rows = []
        for i, (env, action) in enumerate(zip(self._copies, actions.tolist(), strict=True)):
            if self.done[i]:
                rows.append([-1] * (len(_parts(env.observation_space)) + bool(self.rewards)))
                continue
            seen, reward, terminated, truncated, _ = env.step(_as_action(env.action_space, action))
            self.returns[i] += float(reward)
            self.done[i] = bool(terminated or truncated)
            rows.append(_outcomes(env.observation_space, seen) + self._level(float(reward)))
        return self._observations(rows)

    def _level(self, reward: float) -> list[int]:
        if not self.rewards:
            return []
        if reward not in self.rewards:
            raise ValueError(
                f"the environment gave a reward of {reward}, which is none of rewards={self.rewards}"
            )
        return [self.rewards.index(reward)]

    @staticmethod
    def _observations(rows: list[list[int]]) -> Observations:
        return tuple(torch.tensor(column) for column in zip(*rows, strict=True))


def as_gymnasium(world: World, length: int) -> Any:
    """A `gymnasium.Env` of one copy of a world, truncated after `length` steps.

    The reward is the log-preference of what is seen, sum_m C_m[o_m] of the world's own model: an agent
    without curiosity and a maximiser of reward want the same. Observations are a MultiDiscrete, from -1 in a
    world that shows nothing before the first action.
    """
    gymnasium = _gymnasium()
    model = world.model()
    if any(c.ndim != 1 for c in model.C):
        raise ValueError(
            "a world whose preferences change over time has no reward that depends on the outcome only"
        )

    lowest = 0 if world.shows_start else -1

    class Env(gymnasium.Env):  # type: ignore[misc, name-defined]
        observation_space = gymnasium.spaces.MultiDiscrete(
            [n - lowest for n in model.n_obs], start=[lowest] * model.n_modalities
        )
        action_space = gymnasium.spaces.MultiDiscrete(model.n_actions)

        def reset(
            self, *, seed: int | None = None, options: dict[str, Any] | None = None
        ) -> tuple[Any, dict[str, Any]]:
            super().reset(seed=seed)
            # Seeded from gymnasium's own source, so that a reset without a seed goes on from there.
            source = torch.Generator().manual_seed(int(self.np_random.integers(2**62)))
            self.steps = 0
            return self._numbers(world.reset(1, source)), {}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            seen = world.step(torch.as_tensor(action, dtype=torch.long).reshape(1, -1))
            self.steps += 1
            reward = sum(float(c[o]) for c, o in zip(model.C, seen, strict=True) if int(o) >= 0)
            return self._numbers(seen), reward, False, self.steps >= length, {}

        @staticmethod
        def _numbers(seen: Observations) -> Any:
            return torch.stack(seen, dim=1)[0].numpy()

    return Env()


def _parts(space: Any) -> list[Any]:
    """The single Discrete spaces of a space, or an error."""
    spaces = _gymnasium().spaces
    if isinstance(space, spaces.Discrete):
        return [space]
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return [spaces.Discrete(int(n), start=int(s)) for n, s in zip(space.nvec, space.start, strict=True)]
    parts: list[Any] = []
    if isinstance(space, spaces.Tuple):
        parts = list(space.spaces)
    if isinstance(space, spaces.Dict):
        parts = list(space.spaces.values())
    if parts and all(isinstance(part, spaces.Discrete) for part in parts):
        return parts
    raise ValueError(
        f"an agent over discrete states cannot use {space}: wrap the environment to make it discrete"
    )


def _outcomes(space: Any, value: Any) -> list[int]:
    if isinstance(value, dict):
        value = [value[key] for key in space.spaces]
    parts = list(value) if hasattr(value, "__len__") else [value]
    return [int(v) - int(part.start) for v, part in zip(parts, _parts(space), strict=True)]


def _as_action(space: Any, action: list[int]) -> Any:
    parts = _parts(space)
    if len(parts) != len(action):
        raise ValueError(f"the environment takes {len(parts)} control factors, got {len(action)}: {space}")
    shifted = [a + int(part.start) for a, part in zip(action, parts, strict=True)]
    if isinstance(space, _gymnasium().spaces.Discrete):
        return shifted[0]
    return torch.tensor(shifted).numpy()


def _gymnasium() -> ModuleType:
    try:
        import gymnasium
    except ImportError as missing:
        raise ImportError("gymnasium is not installed: pip install 'arr-coc[gym]'") from missing
    return gymnasium
