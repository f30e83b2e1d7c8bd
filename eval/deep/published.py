"""What was published of active-inference agents on CartPole-v1: cited, not measured here."""

from typing import Any

_HIMST = "van der Himst & Lanillos 2020, https://arxiv.org/abs/2009.03622"
_PAUL = "Paul et al. 2024, https://github.com/aswinpaul/dpefe_2023"

PUBLISHED: list[dict[str, Any]] = [
    {
        "agent": "deep active inference, full state",
        "episode_of_475": "1323 to 2614, median 1708 of 10 runs",
        "steps_of_475": "152 k to 427 k, median 248 k",
        "result": "mean of the last 1000 of 5000 episodes: 454",
        "source": f"{_HIMST}; recomputed from the authors' per-episode data",
    },
    {
        "agent": "deep active inference, pixels",
        "episode_of_475": "never in 5000",
        "steps_of_475": None,
        "result": "best mean of 100 episodes: 205 to 369",
        "source": f"{_HIMST}; recomputed from the authors' per-episode data",
    },
    {
        "agent": "counterfactual learning, binned state, T=10",
        "episode_of_475": "never in 200",
        "steps_of_475": None,
        "result": "mean of episodes 191 to 200, 100 runs: 130",
        "source": f"{_PAUL}; recomputed from the authors' per-episode data",
    },
    {
        "agent": "dynamic programming in expected free energy, binned state, N=20",
        "episode_of_475": "never in 200",
        "steps_of_475": None,
        "result": "mean of episodes 191 to 200, 100 runs: 106",
        "source": f"{_PAUL}; recomputed from the authors' per-episode data",
    },
]
"""Rows for the table beside ours; none of these numbers is a measurement of this project."""
