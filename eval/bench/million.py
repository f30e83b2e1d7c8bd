"""A million policies in one process of its own: how long, and how much memory at the most. Prints JSON."""

import json
import resource
from pathlib import Path
from time import process_time

import torch

from arr_coc.agent.planning import Plan, infer_policies
from arr_coc.eval.bench.agent_cases import Problem

PROBLEM = Problem("1,000,000 policies: 10 actions, 6 steps", (64,), (100,), (10,), 6)


def main() -> None:
    """Plan once to warm up, once for the time."""
    torch.set_num_threads(1)
    before = peak_mb()
    plan = Plan.of(PROBLEM.model(0), PROBLEM.policies(0))
    qs = PROBLEM.beliefs(1, 0)
    with torch.no_grad():
        infer_policies(plan, qs, 16.0)
        started = process_time()
        posterior = infer_policies(plan, qs, 16.0)
    ms = 1e3 * (process_time() - started)
    found = {"policies": posterior.G.shape[1], "ms": ms, "peak_mb": peak_mb(), "before_mb": before}
    print(json.dumps(found))  # noqa: T201  (read by the process that started this one)


def peak_mb() -> float:
    """Largest resident memory of this program so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # `getrusage` would count the process that started this one, as it was before the program was loaded.
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
