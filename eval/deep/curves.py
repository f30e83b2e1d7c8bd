"""Draw how return grows with the steps lived: one line a seed, one colour an agent."""

from pathlib import Path
from typing import Any

from arr_coc.eval.plots import COLORS, plain, saved

WINDOW = 5
"""Episodes that are averaged, or nobody would see the lines."""


def learning_curves(jobs: list[dict[str, Any]], path: Path, solved: float) -> None:
    """Write a PNG: returns against steps, on a logarithmic axis, and the F of the model beside it."""
    from matplotlib.figure import Figure

    learners = [job for job in jobs if job["curves"]["return"]]
    names = list(dict.fromkeys(job["agent"] for job in learners))
    figure = Figure(figsize=(10.0, 4.2), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for job in learners:
        color = COLORS[names.index(job["agent"]) % len(COLORS)]
        label = job["agent"] if job is next(j for j in learners if j["agent"] == job["agent"]) else None
        returns, steps = job["curves"]["return"], job["curves"]["steps"]
        lived = [sum(steps[: i + 1]) for i in range(len(steps))]
        smooth = [
            sum(returns[max(0, i - WINDOW + 1) : i + 1]) / min(WINDOW, i + 1) for i in range(len(returns))
        ]
        left.plot(lived, smooth, color=color, lw=1.1, alpha=0.75, label=label)
        if "F" in job["curves"]:
            right.plot(range(1, len(returns) + 1), job["curves"]["F"], color=color, lw=1.0, alpha=0.75)
    left.axhline(solved, color="#333333", ls="--", lw=1)
    left.set_xscale("log")
    left.set_xlabel("environment steps")
    left.set_ylabel(f"return, mean of {WINDOW} episodes")
    left.legend(fontsize=8, frameon=False, loc="upper left")
    right.set_xlabel("episode")
    right.set_ylabel("free energy F of a step, nats")
    for axes in (left, right):
        plain(axes)
    saved(figure, path)
