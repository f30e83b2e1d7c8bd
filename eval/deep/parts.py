"""Finished jobs, each in a file of its own, and the table that they make together."""

import json
import math
from pathlib import Path
from typing import Any

from arr_coc.eval.atomic import write_json

KEYS = (
    "episode_of_475", "steps_of_475", "first_500", "best_mean_of_100", "eval_return_mean", "eval_ended_share",
    "env_steps",
)  # fmt: skip
"""What a row of the table says of every seed."""


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
        rows.append(
            {"agent": agent, "about": own[0]["about"], "seeds": [job["seed"] for job in own]}
            | {key: [job[key] for job in own] for key in KEYS}
        )
    return rows


def bars(jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """What was asked for beforehand, and for which seeds it came true."""
    of = {
        name: [job for job in jobs if job["agent"] == name]
        for name in ("efe", "efe_value", "car_efe", "car_no_epistemic")
    }
    return {
        "efe: 475 over 100 episodes by episode 115, and in evaluation": {
            job["seed"]: (job["episode_of_475"] or math.inf) <= 115 and job["eval_return_mean"] >= 475
            for job in of["efe"]
        },
        "efe_value: 475 over 100 episodes, and in evaluation": {
            job["seed"]: job["episode_of_475"] is not None and job["eval_return_mean"] >= 475
            for job in of["efe_value"]
        },
        "share of evaluation episodes that reach the flag, at least 0.8": _share(of["car_efe"]),
        "the same without the epistemic term, at most 0.2": _share(of["car_no_epistemic"]),
    }


def _share(jobs: list[dict[str, Any]]) -> float | None:
    shares = [job["eval_ended_share"] for job in jobs]
    return round(sum(shares) / len(shares), 4) if shares else None
