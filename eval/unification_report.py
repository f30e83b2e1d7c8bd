"""What became of the guide's equivalences, as a table and as a picture."""

from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from arr_coc.eval.plots import COLORS, MARKERS, plain, saved

STYLE = {"holds": "green", "holds only if": "yellow", "false": "red", "not shown": "bold red"}


def show(results: dict[str, Any], console: Console) -> None:
    """One row a claim, the regrets, and what a search earns by its budget."""
    table = Table(title=f"the guide's claims on {results['problems']} random problems each", box=SIMPLE_HEAD)
    table.add_column("the guide says", ratio=3)
    table.add_column("verdict", no_wrap=True)
    table.add_column("what is true", ratio=4)
    table.add_column("largest\ndeviation", justify="right", no_wrap=True)
    table.add_column("counter-\nexample", justify="right", no_wrap=True)
    for row in results["claims"]:
        truth = f"{row['condition']}: {row['truth']}" if row["condition"] else row["truth"]
        found = row["counterexample"]
        table.add_row(
            Text(row["guide"]),  # brackets are not markup
            Text(row["verdict"], STYLE[row["verdict"]]),
            Text(truth),
            f"{row['largest_deviation']:.0e}",
            "" if found is None else f"{found['largest']:.3g}",
        )
    console.print(table)
    console.print(_regrets(results["regret"]))
    for name, found in results["value_by_budget"].items():
        console.print(_incomes(name, found))


def draw(results: dict[str, Any], path: Path) -> None:
    """Write a PNG: regret by pulls, and income by simulations in each world."""
    from matplotlib.figure import Figure

    worlds = results["value_by_budget"]
    figure = Figure(figsize=(4.2 * (1 + len(worlds)), 3.8), dpi=150, layout="constrained")
    first, *others = figure.subplots(1, 1 + len(worlds))
    draw_regret(first, results["regret"])
    for axes, (name, found) in zip(others, worlds.items(), strict=True):
        draw_incomes(axes, name, found)
    saved(figure, path)


def draw_regret(axes: Any, found: dict[str, Any]) -> None:
    """Regret curves with two standard errors, on logarithmic pulls."""
    for color, (name, curve) in zip(COLORS, found["curves"].items(), strict=False):
        _line(axes, found["pulls"], curve, color, "", name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("pulls")
    axes.set_ylabel("regret, wins lost")
    axes.set_title(f"Bernoulli bandit, {found['arms']} arms, {found['runs']} runs", fontsize=10)
    _finish(axes)


def draw_incomes(axes: Any, name: str, found: dict[str, Any]) -> None:
    """What each searcher earns by simulations, the whole tree as the last mark."""
    budgets = [n for n in found["simulations"] if n is not None]
    whole = None in found["simulations"]
    places = budgets + [2 * budgets[-1]] * whole
    for i, (searcher, curve) in enumerate(found["curves"].items()):
        # Lines that lie on each other are to be seen as several.
        aside = [n * 1.05 ** (i - 1) for n in places]
        _line(axes, aside, curve, COLORS[i], MARKERS[i], searcher)
    axes.set_xscale("log")
    axes.set_xticks(places, [*map(str, budgets), "tree"][: len(places)], fontsize=8)
    axes.minorticks_off()
    axes.set_xlabel("simulations for each decision")
    axes.set_ylabel("income, nats")
    axes.set_title(f"{name}: {found['world']}, {found['horizon']} steps ahead", fontsize=10)
    _finish(axes)


def _line(axes: Any, x: list[Any], curve: dict[str, Any], color: str, marker: str, label: str) -> None:
    low, high = zip(
        *((m - 2 * s, m + 2 * s) for m, s in zip(curve["mean"], curve["standard_error"], strict=True)),
        strict=True,
    )
    axes.plot(x, curve["mean"], color=color, marker=marker or None, ms=4.5, lw=1.4, label=label)
    axes.fill_between(x, low, high, color=color, alpha=0.18, lw=0)


def _finish(axes: Any) -> None:
    plain(axes)
    axes.legend(fontsize=8, frameon=False, loc="best")


def _regrets(found: dict[str, Any]) -> Table:
    table = Table(title=f"regret after {found['pulls'][-1]} pulls, {found['runs']} bandits", box=SIMPLE_HEAD)
    for name in ("rule", "wins lost", "± s.e.", "lost a pull,\nlast third", "never the\nbest then"):
        table.add_column(name, justify="left" if name == "rule" else "right")
    for name, curve in found["curves"].items():
        table.add_row(
            name,
            f"{curve['mean'][-1]:.1f}",
            f"{curve['standard_error'][-1]:.1f}",
            f"{curve['regret_per_pull_in_the_last_third']:.4f}",
            f"{100 * curve['runs_that_never_pull_the_best_arm_in_the_last_third']:.0f} %",
        )
    return table


def _incomes(name: str, found: dict[str, Any]) -> Table:
    table = Table(
        title=f"{name}: income in {found['world']}, nats, {found['episodes']} lives", box=SIMPLE_HEAD
    )
    table.add_column("search")
    for n in found["simulations"]:
        table.add_column("tree" if n is None else str(n), justify="right")
    for searcher, curve in found["curves"].items():
        cells = [f"{m:.1f} ± {s:.1f}" for m, s in zip(curve["mean"], curve["standard_error"], strict=True)]
        table.add_row(searcher, *cells)
    more = found["by_information_gain"]
    cells = [f"{m:+.1f} ± {s:.1f}" for m, s in zip(more["mean"], more["standard_error"], strict=True)]
    table.add_row("by information gain", *cells, style="bold")
    return table
