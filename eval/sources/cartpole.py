"""Binned CartPole of Paul et al.: 200 episodes of planning with learned preferences, or of learned habit."""

from collections.abc import Callable, Generator
from statistics import mean
from typing import Any

import torch

from arr_coc.agent.counterfactual import update_mapping
from arr_coc.agent.desirability import update_desirability
from arr_coc.agent.dynamic import Induction
from arr_coc.agent.model import GenerativeModel

SOURCE = (
    "Paul, Isomura and Razi (2024), https://doi.org/10.3390/e26060484; raw data of 100 runs in "
    "https://github.com/aswinpaul/aimmppcl_2023, main/cartpole_trial"
)
EPISODES, LAST = 200, 10
PLANNING = {"5": 40, "10": 89, "20": 106}
HABIT = {"1": 17, "2": 27, "5": 123, "10": 130}
BINS = ((1.0, 5), (3.0, 5), (0.3, 10), (3.0, 10))
"""Of position, velocity, angle and its velocity: the bound, and how many bins up to it, the last open."""


def binned(state: Any) -> tuple[int, ...]:
    """The bin of each variable."""
    return tuple(
        0 if x <= -bound else bins - 1 if x >= bound else int((x + bound) / (2 * bound) * (bins - 1))
        for x, (bound, bins) in zip(state, BINS, strict=True)
    )


def planning(
    seeds: tuple[int, ...], say: Callable[[str], None], horizons: tuple[str, ...] = ("5", "20")
) -> dict[str, Any]:
    """Dynamic programming over 500 states, B and preferences learned, planned anew for each episode."""
    ours = {
        rule: {t: _of([_planned(s, int(t), rule == "as scripted", say) for s in seeds]) for t in horizons}
        for rule in ("as scripted", "as printed")
    }
    return {
        "figure": "CartPole-v1 in bins, mean return of episodes 191 to 200, DPEFE with T steps",
        "citation": SOURCE,
        "published": {t: PLANNING[t] for t in horizons},
        "ours": ours,
        "seeds": list(seeds),
        "note": "as scripted: their script takes the desirability of the state with the number of the cart's "
        "bin for that of the next state; as printed: z(s) <- (1 - rate) z(s) + rate e^r z(s')",
    }


def habit(seeds: tuple[int, ...], say: Callable[[str], None]) -> dict[str, Any]:
    """Counterfactual learning over 2,500 states with a memory of T steps."""
    ours = {
        rule: {t: _of([_habitual(s, int(t), rule == "as scripted", say) for s in seeds]) for t in HABIT}
        for rule in ("as scripted", "as printed")
    }
    return {
        "figure": "CartPole-v1 in bins, mean return of episodes 191 to 200, counterfactual, T remembered",
        "citation": SOURCE,
        "published": HABIT,
        "ours": ours,
        "seeds": list(seeds),
        "note": "as scripted: their script teaches the T steps before the last one, and nothing if there are "
        "no more; as printed: the last T. Risk 0.55 at a fall, 0.2 less at every 100 steps; the likeliest "
        "action is taken. Here bins are seen; their agent infers them by pymdp's fixed-point iteration, "
        "which from a flat prior, as at the start of an episode, stays near it, and learns A and B from "
        "that: the numbers need not be the same",
    }


def _of(runs: list[float]) -> dict[str, Any]:
    return {"mean": mean(runs), "by_seed": runs}


def _planned(seed: int, T: int, scripted: bool, say: Callable[[str], None]) -> float:
    draw = torch.Generator().manual_seed(seed)
    n = 500
    counts = torch.full((n, n, 2), 1 / n)
    z, age, returns = torch.full((n,), 1 / n), 0, []
    eye = torch.eye(n)
    model = GenerativeModel(eye, counts, torch.zeros(n))
    for _ in range(EPISODES):
        C = (z.double() / z.sum()).clamp_min(1e-16).log().float()
        G = Induction.of(model.replace(B=(counts / counts.sum(0),), C=(C,)), T - 1, 1.0).G[0]
        odds = torch.softmax(-G, 1)
        steps = 0
        world = _world(seed)
        state, _ = next(world)
        here = _joint(state)
        while True:
            action = int(torch.multinomial(odds[here], 1, generator=draw))
            state, over = world.send(action)
            there, steps, age = _joint(state), steps + 1, age + 1
            counts[there, here, action] += 1000
            fell = over and steps < 500
            next_z = binned(state)[0] if scripted else there
            if fell:
                z[next_z] = torch.e**-1
            gain = 0.0 if fell else 1.0
            where = torch.tensor([[here], [next_z]])
            rate = 5000 / (5000 + age)
            if fell:
                z[here] = rate * z[next_z]
            else:
                z = update_desirability(z, where[0], where[1], torch.tensor([gain]), rate)
            here = there
            if over:
                break
        age += 1  # their count of steps has one more for each end
        returns.append(steps)
    say(f"planning, T={T}, seed {seed}: {mean(returns[-LAST:]):.0f}")
    return mean(returns[-LAST:])


def _habitual(seed: int, T: int, scripted: bool, say: Callable[[str], None]) -> float:
    draw = torch.Generator().manual_seed(seed)
    mapping = torch.full((2, 2500), 0.5, dtype=torch.double)
    odds, risk, returns = mapping.T.tolist(), 0.55, []

    def taught(walk: list[tuple[int, int]], risk: float) -> None:
        nonlocal mapping
        lesson = walk[-T - 1 : -1] if scripted else walk[-T:]
        if len(lesson) < T:
            return
        at = sorted({s for s, _ in lesson})
        local = torch.tensor([[float(s == t) for t in at] for s, _ in lesson]).double()
        done = torch.tensor([a for _, a in lesson])
        mapping[:, at] = update_mapping(mapping[:, at], local, done, torch.full((T,), risk).double())
        for s, column in zip(at, mapping[:, at].T.tolist(), strict=True):
            odds[s] = column

    for _ in range(EPISODES):
        world = _world(seed)
        state, _ = next(world)
        walk: list[tuple[int, int]] = []
        while True:
            x, v, a, w = binned(state)
            here = ((x * 5 + v) * 10 + a) * 10 + w
            left, right = odds[here]
            tie = abs(left - right) <= 1e-8
            action = int(torch.randint(2, (), generator=draw)) if tie else int(right > left)
            walk.append((here, action))
            state, over = world.send(action)
            fell = over and len(walk) < 500
            if fell:
                risk = 0.55
                taught(walk, risk)
            if len(walk) % 100 == 0:
                risk = max(0.0, risk - 0.2)
                taught(walk, risk)
            if over:
                break
        returns.append(len(walk))
    say(f"counterfactual, T={T}, seed {seed}: {mean(returns[-LAST:]):.0f}")
    return mean(returns[-LAST:])


def _world(seed: int) -> Generator[tuple[Any, bool], int, None]:
    """CartPole-v1 from the beginning that this seed has, the same each time, as in the source's scripts."""
    import gymnasium

    world = gymnasium.make("CartPole-v1").unwrapped
    state, _ = world.reset(seed=seed)
    over, steps = False, 0
    while True:
        action = yield state, over
        state, _, over, _, _ = world.step(action)
        steps += 1
        over = over or steps == 500


def _joint(state: Any) -> int:
    x, _, angle, speed = binned(state)
    return x * 100 + angle * 10 + speed
