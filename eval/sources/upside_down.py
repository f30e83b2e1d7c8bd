"""The upside-down agent on CartPole of 200 steps: the mean return of the trained behaviour function."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import torch

from arr_coc.agent.upside_down import Behaviour, Command, Episode, act, aspiration, fit, keep_best

PUBLISHED = {"mean": 199.93, "std": 0.255}
SOURCE = (
    "Cardenas-Cartagena, Falzari, Zullich and Sabatelli (2025), https://arxiv.org/abs/2411.11457, results: "
    "CartPole, neural network. The method: Srivastava et al. (2019), https://arxiv.org/abs/1912.02877; with "
    "free energy: https://github.com/TrentBrick/Upside-Down-Free-Energy, which has no figure for CartPole"
)
LONGEST = 200


@dataclass(frozen=True)
class Training:
    """Settings, found on seed 100."""

    episodes: int = 1200
    """In all, those of the random beginning counted."""
    random: int = 50
    each: int = 20
    """Episodes lived between fits, side by side."""
    kept: int = 50
    best: int = 10
    """How many of the best episodes the next command is taken from."""
    updates: int = 100
    rate: float = 1e-3


def row(
    seeds: tuple[int, ...], say: Callable[[str], None], training: Training | None = None
) -> dict[str, Any]:
    """Train once for each seed, then 100 episodes of unseen beginnings, the likeliest action each time."""
    training = training or Training()
    scores = [_trained(seed, training, say) for seed in seeds]
    means = [mean(score) for score in scores]
    return {
        "figure": "CartPole-v0 (200 steps), mean return of the trained agent over 100 episodes",
        "citation": SOURCE,
        "published": PUBLISHED,
        "ours": {
            "mean": mean(means),
            "std": stdev(means) if len(means) > 1 else 0.0,
            "by_seed": {str(seed): m for seed, m in zip(seeds, means, strict=True)},
            "worst_episode": min(map(min, scores)),
        },
        "seeds": list(seeds),
        "note": f"ours: {training.episodes} training episodes, settings found on seed 100; how many the "
        "source took was not found",
    }


def _trained(seed: int, training: Training, say: Callable[[str], None]) -> list[float]:
    draw = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the layers' initial weights have no generator of their own
        behaviour = Behaviour(4, 2)
    optimiser = torch.optim.Adam(behaviour.parameters(), training.rate)
    past = live(training.random, None, None, seed, draw)
    lived = training.random
    while lived < training.episodes:
        past = keep_best(past, training.kept)
        fit(behaviour, optimiser, past, training.updates, generator=draw)
        wanted = aspiration(past[-training.best :], training.each, draw)
        new = live(training.each, behaviour, wanted, seed + lived, draw)
        lived, past = lived + training.each, [*past, *new]
        say(f"upside down, seed {seed}: {lived} episodes, mean return {mean(e.total for e in new):.0f}")
    wanted = aspiration(keep_best(past, training.best), 100, draw)
    return [e.total for e in live(100, behaviour, wanted, 10**6 + seed, draw, greedy=True)]


def live(
    count: int,
    behaviour: Behaviour | None,
    command: Command | None,
    seed: int,
    draw: torch.Generator,
    greedy: bool = False,
) -> list[Episode]:
    """Episodes side by side, each from a beginning of its own; without a behaviour function at random."""
    import gymnasium

    worlds = [gymnasium.make("CartPole-v1", max_episode_steps=LONGEST) for _ in range(count)]
    first = [world.reset(seed=1000 * seed + i)[0] for i, world in enumerate(worlds)]
    states = torch.stack([torch.as_tensor(s) for s in first])
    steps: list[list[tuple[torch.Tensor, int]]] = [[] for _ in range(count)]
    alive = list(range(count))
    while alive:
        if behaviour is None or command is None:
            chosen = torch.randint(2, (len(alive),), generator=draw)
        else:
            mine = Command(command.desired_return[alive], command.horizon[alive])
            chosen = act(behaviour, states[alive], mine, greedy, draw)
            command = command.after(torch.ones(count))
        still = []
        for i, action in zip(alive, chosen.tolist(), strict=True):
            steps[i].append((states[i].clone(), action))
            seen, _, fallen, over, _ = worlds[i].step(action)
            states[i] = torch.as_tensor(seen)
            if not (fallen or over):
                still.append(i)
        alive = still
    return [
        Episode(torch.stack([s for s, _ in one]), torch.tensor([a for _, a in one]), torch.ones(len(one)))
        for one in steps
    ]
