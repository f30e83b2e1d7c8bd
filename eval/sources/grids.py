"""The mazes of Paul et al.: the way there, of an agent that prefers the goal alone, and how it is learned."""

import random
from collections.abc import Callable
from dataclasses import replace
from statistics import mean
from typing import Any

import torch

from arr_coc.agent.agent import Agent
from arr_coc.agent.counterfactual import Counterfactual, update_mapping
from arr_coc.agent.dynamic import DynamicProgramming
from arr_coc.agent.experience import Learning
from arr_coc.agent.objective import EFE
from arr_coc.agent.rollout import rollout
from arr_coc.agent.worlds import GridWorld
from arr_coc.agent.worlds.grid import MOVES
from arr_coc.eval.sources.mazes import LARGE, LARGE_WAY, SMALL, SMALL_WAY

SOURCE = (
    "Paul, Sajid, Da Costa and Razi (2024), On efficient computation in active inference, "
    "https://arxiv.org/abs/2307.00504; https://github.com/aswinpaul/dpefe_2023, solution10.txt, "
    "solution30.txt"
)
LEARNING = (
    "Paul, Isomura and Razi (2024), On predictive planning and counterfactual learning in active inference, "
    "https://doi.org/10.3390/e26060484; https://github.com/aswinpaul/aimmppcl_2023"
)
COMPASS = {"N": "up", "S": "down", "W": "left", "E": "right"}
LONGEST = 10_000
"""Steps after which an episode is given up, as in the source."""


def ways(seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Walk both mazes with the model known, horizons 30 and 50 as in the source's scripts."""
    found = {}
    for name, plan, printed, horizon in (("10", SMALL, SMALL_WAY, 30), ("30", LARGE, LARGE_WAY, 50)):
        say(f"maze {name}")
        world = GridWorld(plan=plan)
        steps = len(printed.split())
        record = rollout(Agent(world.model(), DynamicProgramming(horizon)), world, steps)
        found[f"grid{name}"] = {
            "free_cells": len(world.cells),
            "steps_to_goal": record.observations[0][0].tolist().index(world.find("G")),
            "printed_way_leads_there": _led(world, printed) == world.find("G"),
        }
    return {
        "figure": "moves from start to goal in the 10 x 10 and 30 x 30 maze, preference for the goal alone",
        "citation": SOURCE,
        "published": {"grid10": len(SMALL_WAY.split()), "grid30": len(LARGE_WAY.split())},
        "ours": found,
        "seeds": [seed],
        "note": "nothing here is drawn; of equally short ways (2 and 4) any is taken; the source's maze of "
        "400 cells could not be read",
    }


def _led(world: GridWorld, way: str) -> int:
    """The state that moves by compass lead to from the start."""
    lead, here, names = world.model().B[0].argmax(0), world.find("S"), list(MOVES)
    for move in way.split():
        here = int(lead[here, names.index(COMPASS[move])])
    return here


def learning(seeds: tuple[int, ...], say: Callable[[str], None], episodes: int = 40) -> dict[str, Any]:
    """Both agents in the small maze, knowing nothing of it at first."""
    planned = [_planner(seed, episodes, say) for seed in seeds]
    learned = [_habit(seed, 10 * episodes, say) for seed in seeds]
    return {
        "figure": "length of episodes in the 10 x 10 maze while it is learned: planning needs fewer steps",
        "citation": LEARNING,
        "published": None,
        "ours": {
            "shortest": len(SMALL_WAY.split()),
            "planning": _curve(planned),
            "counterfactual": _curve(learned),
        },
        "seeds": list(seeds),
        "note": "the source shows curves whose data (.npy) could not be read, of a goal that moves; here it "
        "stays, and one may stay where one is. Counterfactual as in its script: memory of 50 steps, risk "
        "0.55, at the goal 0; planning: horizon 30, precision 1 of later actions and 1024 of this one, B "
        "from counts of 1/50, planned anew at every step",
    }


def _curve(runs: list[list[int]]) -> dict[str, Any]:
    at = [n for n in (1, 2, 5, 10, 20, 40, 100, 200, 400) if n <= len(runs[0])]
    return {
        "episodes": len(runs[0]),
        "mean_length_at_episode": {str(n): mean(run[n - 1] for run in runs) for n in at},
        "mean_length_of_last_10": mean(mean(run[-10:]) for run in runs),
    }


def _planner(seed: int, episodes: int, say: Callable[[str], None]) -> list[int]:
    world = GridWorld(plan=SMALL)
    model, n = world.model(), len(world.cells)
    counts = torch.full_like(model.B[0], 1 / n)
    model = model.replace(B=(counts,), pB=(counts,), C=(25 * model.C[0],))
    plan = DynamicProgramming(29, gamma=1.0, objective=replace(EFE, parameters=0.0))
    draw = torch.Generator().manual_seed(seed)
    agent = Agent(model, plan, alpha=1024.0, learning=Learning(B=1e5), generator=draw)
    lengths, goal = [], world.find("G")
    for _ in range(episodes):
        agent.reset()
        obs, steps = world.reset(1, draw), 0
        while True:
            agent.infer_states(obs)
            agent.learn()
            if obs[0].item() == goal or steps == LONGEST:
                break
            agent.infer_policies()
            obs, steps = world.step(agent.act()), steps + 1
        lengths.append(steps)
        say(f"planning, seed {seed}: episode {len(lengths)}, {steps} steps")
    return lengths


def _habit(seed: int, episodes: int, say: Callable[[str], None], memory: int = 50) -> list[int]:
    world = GridWorld(plan=SMALL)
    model = world.model()
    lead = model.B[0].argmax(0).tolist()  # the maze has no chance: (previous, action) to next
    mapping, states = Counterfactual.of(model).mapping.double(), torch.eye(len(world.cells)).double()
    chance, lengths, goal = random.Random(seed), [], world.find("G")
    for _ in range(episodes):
        odds = mapping.T.tolist()
        here, walk = world.find("S"), list[tuple[int, int]]()
        while here != goal and len(walk) < LONGEST:
            action = chance.choices(range(len(MOVES)), odds[here])[0]
            walk.append((here, action))
            here = lead[here][action]
        past = torch.tensor(walk[-memory:])
        risk = torch.full((len(past),), 0.0 if here == goal else 0.55).double()
        mapping = update_mapping(mapping, states[past[:, 0]], past[:, 1], risk)
        lengths.append(len(walk))
    say(f"counterfactual, seed {seed}: {episodes} episodes, the last of {lengths[-1]} steps")
    return lengths
