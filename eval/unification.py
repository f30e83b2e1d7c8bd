"""The guide's equivalences, judged: `python -m arr_coc.eval.unification` writes results/unification.json.

Every claim on many random problems, other ones than the tests'; the regret of three ways to explore; and what
a search earns by its budget, in a world with nothing to find out and in one where information comes first.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from arr_coc.agent.unify import (
    CLAIMS,
    SEARCHERS,
    Judged,
    expected_softmax,
    greedy,
    least_free_energy_arm,
    probability_of_best,
    regret,
    softmax_of_means,
    thompson,
    ucb1,
    value_of,
)
from arr_coc.agent.unify.claims.claim import Measure
from arr_coc.agent.worlds import EpistemicChain, GridWorld
from arr_coc.agent.worlds.world import World
from arr_coc.eval.atomic import write_json
from arr_coc.eval.environment import environment, source_folder
from arr_coc.eval.extras import need

Say = Callable[[str], None]

RULES = {
    "Thompson": thompson,
    "UCB1": ucb1,
    "EFE, win 0.25": least_free_energy_arm(0.25),
    "EFE, win 2": least_free_energy_arm(2.0),
    "greedy": greedy,
}
"""Ways to pull arms. `win` is the log-preference for winning over losing: 2 nats is `Bandit`'s own."""

WORLDS: dict[str, tuple[World, int, int, int]] = {
    "nothing hidden": (GridWorld(plan=("S..", ".#.", "..G")), 4, 8, 8),
    "information first": (EpistemicChain(), 4, 10, 1),
}
"""A world, how far one looks ahead in it, how many steps one lives, and of how many lives one is enough.

In the grid nothing is left to chance but what the search tries.
"""

BUDGETS: tuple[int | None, ...] = (5, 16, 32, 64, 128, None)
"""Simulations for each decision; None is the whole tree."""


def measure(
    problems: int, runs: int, pulls: int, episodes: int, seed: int = 0, say: Say = lambda what: None
) -> dict[str, Any]:
    """Everything, as it is stored. Seeds of problems begin at 1000 (seed + 1): tests use those below."""
    torch.set_num_threads(1)
    first = 1000 * (seed + 1)
    claims = []
    for claim in CLAIMS:
        say(claim.name)
        claims.append(row_of(claim.measured(range(first, first + problems))))
    say("regret")
    explored = regret_curves(runs, pulls, seed)
    earned = {}
    for name, (world, horizon, steps, enough) in WORLDS.items():
        say(f"budgets: {name}")
        lives = max(2, episodes // enough)
        earned[name] = value_by_budget(world, horizon, steps, BUDGETS, lives, seed)
    return {
        **environment(),
        "seed": seed,
        "problems": problems,
        "claims": claims,
        "thompson_by_gamma": thompson_by_gamma(),
        "regret": explored,
        "value_by_budget": earned,
    }


def row_of(judged: Judged) -> dict[str, Any]:
    """A claim and what was found."""
    claim = judged.claim
    row = {
        "claim": claim.name,
        "guide": claim.guide,
        "verdict": judged.verdict,
        "condition": claim.condition,
        "truth": claim.truth,
        "measured": _first_line(claim.law),
        "largest_deviation": judged.deviation,
        "tolerance": claim.tolerance,
        "counterexample": None,
    }
    if claim.gap is not None:
        row["counterexample"] = {
            "measured": _first_line(claim.gap),
            "largest": judged.counterexample,
            "median": median(judged.gaps),
        }
    return row


def _first_line(measure: Measure) -> str:
    return (measure.__doc__ or "").strip().split("\n")[0]


def thompson_by_gamma() -> list[dict[str, float]]:
    """One pair of arms with (losses, wins) of (3, 2) and (2, 3), by precision: two softmaxes and P(best)."""
    one, other = (3, 2), (2, 3)
    return [
        {
            "gamma": gamma,
            "expected_softmax": expected_softmax(one, other, gamma),
            "softmax_of_means": softmax_of_means(one, other, gamma),
            "thompson": probability_of_best(one, other),
        }
        for gamma in (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
    ]


def regret_curves(runs: int, pulls: int, seed: int) -> dict[str, Any]:
    """Five arms, chances uniform in (0, 1), the same for every rule."""
    chances = torch.rand(runs, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    shown = torch.logspace(0, torch.tensor(float(pulls)).log10().item(), 40).round().long().unique()
    curves = {}
    for name, rule in RULES.items():
        lost = regret(rule, chances, pulls, torch.Generator().manual_seed(seed + 1))
        last = lost[:, -(pulls // 3) :].diff()
        curves[name] = {
            **_spread(lost[:, shown - 1]),
            "regret_per_pull_in_the_last_third": float(last.mean()),
            "runs_that_never_pull_the_best_arm_in_the_last_third": float((last > 0).all(1).double().mean()),
        }
    return {"runs": runs, "arms": 5, "pulls": shown.tolist(), "curves": curves}


def value_by_budget(
    world: World, horizon: int, steps: int, budgets: Sequence[int | None], episodes: int, seed: int
) -> dict[str, Any]:
    """What every searcher earns in so many lives, by simulations for each decision.

    `by_information_gain`: how much more with UCB and information gain than with UCB alone, life by life.
    """
    incomes = {
        name: torch.stack([value_of(searcher, world, horizon, n, steps, episodes, seed) for n in budgets], 1)
        for name, searcher in SEARCHERS.items()
    }
    return {
        "world": type(world).__name__, "horizon": horizon, "steps": steps, "episodes": episodes,
        "simulations": list(budgets), "curves": {name: _spread(x) for name, x in incomes.items()},
        "by_information_gain": _spread(incomes["EFE, UCB"] - incomes["reward, UCB"]),
    }  # fmt: skip


def _spread(x: Tensor) -> dict[str, list[float]]:
    """Mean over the first axis and its standard error."""
    return {"mean": x.mean(0).tolist(), "standard_error": (x.std(0) / len(x) ** 0.5).tolist()}


def main() -> None:
    """Command line: measure, show, write, draw."""
    need("rich", "matplotlib")
    from rich.console import Console

    from arr_coc.eval.unification_report import draw, show

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", type=int, default=128, help="random problems for each claim")
    parser.add_argument("--runs", type=int, default=400, help="bandits for each rule")
    parser.add_argument("--pulls", type=int, default=3000, help="pulls in each bandit")
    parser.add_argument("--episodes", type=int, default=40, help="lives for each budget of a search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="default: eval/results/unification.json of a checkout")
    args = parser.parse_args()
    committed = source_folder()
    if args.out is None and committed is None:
        parser.error("say where the figures go: --out unification.json (only a checkout has a place)")
    out: Path = args.out or Path(str(committed)) / "unification.json"
    console = Console()
    with console.status("...") as status:

        def say(what: str) -> None:
            """On a terminal in one place, in a log line by line."""
            status.update(what) if console.is_terminal else console.print(what)

        results = measure(args.problems, args.runs, args.pulls, args.episodes, args.seed, say)
    show(results, console)
    write_json(out, results)
    draw(results, out.with_suffix(".png"))
    console.print(f"written: {out} and {out.with_suffix('.png')}")


if __name__ == "__main__":
    main()
