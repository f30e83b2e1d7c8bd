"""Finished jobs, each in a file of its own, and the table that they make together."""

import json
from pathlib import Path
from typing import Any

from arr_coc.eval.atomic import write_json


def part(folder: Path, agent: str, seed: int) -> Path:
    """Where a job leaves what it found."""
    return folder / f"{agent}-{seed}.json"


def keep(folder: Path, found: dict[str, Any], made: dict[str, Any]) -> None:
    """A job is done: what was found, and with what, where and how, as it was when the command began."""
    write_json(part(folder, found["agent"], found["seed"]), found | {"made": made})


def gather(folder: Path, agents: list[str]) -> list[dict[str, Any]]:
    """All finished jobs, in the order of the agents and then of seeds."""
    found = [json.loads(path.read_text()) for path in folder.glob("*-*.json")]
    known = [one for one in found if one["agent"] in agents]
    return sorted(known, key=lambda one: (agents.index(one["agent"]), one["seed"]))


def summary(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row an agent: every seed's numbers in a list, none left out."""
    rows = []
    for agent in dict.fromkeys(job["agent"] for job in jobs):
        own = [job for job in jobs if job["agent"] == agent]
        keys = (
            "episode_of_475",
            "steps_of_475",
            "first_500",
            "best_mean_of_100",
            "eval_return_mean",
            "env_steps",
        )
        rows.append(
            {"agent": agent, "about": own[0]["about"], "seeds": [job["seed"] for job in own]}
            | {key: [job.get(key) for job in own] for key in keys}
        )
    return rows
