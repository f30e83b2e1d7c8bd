"""What the command line shows: a progress bar while it runs, tables when it is done."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from arr_coc.eval.ask import Told
from arr_coc.eval.config import RunConfig
from arr_coc.eval.folder import clear
from arr_coc.eval.markdown import p_value
from arr_coc.eval.method import BLIND, FULL
from arr_coc.eval.ranks import Rank
from arr_coc.eval.run import DONE_BEFORE, evaluate, total


def quiet() -> None:
    """Keep the bars and hints of transformers out of ours."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def evaluate_with_progress(
    config: RunConfig, fresh: bool, console: Console, retry: bool = False, watch: bool = False
) -> dict[str, Any] | None:
    """Run an evaluation under a bar with the time that is left; of several processes the first shows it.

    None if another process will write the results.
    """
    quiet()
    rank = Rank.here()
    if fresh and rank.of > 1:
        raise ValueError("--fresh in one process would take away what another just wrote: remove the folder")
    if fresh:
        clear(config.folder)
    bar = Progress(
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=rank.index > 0,
    )
    with bar:
        running = bar.add_task("loading", total=total(config, rank))

        def step(n: int, what: str) -> None:
            if what == DONE_BEFORE and n:  # took no time: the time that is left is told by what takes some
                bar.reset(running, completed=int(bar.tasks[0].completed) + n, description=what)
            else:
                bar.update(running, advance=n, description=what)

        return evaluate(config, step, retry, watch)


def show(results: dict[str, Any], console: Console) -> None:
    """Accuracy of every method and budget, and how `efe` compares on the same items."""
    config, n = results["config"], results["rows"][0]["n"]
    table = Table(title=f"{config['model']} on {config['task']}, {n} items, in %", box=SIMPLE_HEAD)
    table.add_column("method", no_wrap=True)
    for name in ("budget", "kept", "accu-\nracy", "95 %", "of\nfull", "form", "prefill\nms", "select\nms"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in results["rows"]:
        relative = row["relative_accuracy"]
        table.add_row(
            row["method"],
            str(row["budget"]),
            f"{row['kept_tokens']:.0f}",
            _percent(row["accuracy"]),
            "–".join(map(_percent, row["ci95"])),
            "" if relative is None else _percent(relative),
            _percent(row["compliance"]),
            _ms(row["prefill_ms"]),
            _ms(row["select_ms"]),
            style="dim" if row["method"] in (FULL.name, BLIND.name) else None,
        )
    console.print(table)
    if results["paired"]:
        console.print(_paired(results["paired"]))
    failed = results["failures"]
    if failed["items"] or failed["answers"]:
        console.print(
            f"{failed['items']} items could not be asked and are left out; "
            f"{failed['answers']} answers failed and count as wrong; --retry asks them again",
            style="bold red",
        )
        for reason, times in failed["reasons"].items():
            console.print(f"  {times} x {reason}", soft_wrap=True)


def show_answers(told: list[Told], console: Console) -> None:
    """One line for each way of answering. What a model says is printed as text, never as markup."""
    table = Table()
    for name in ("method", "budget", "tokens", "prefill ms", "answer"):
        table.add_column(name)
    for one in told:
        keep = one.answers.keep[0]
        table.add_row(
            one.method,
            str(one.budget),
            f"{int(keep.sum())} of {len(keep)}",
            f"{one.answers.prefill_ms:.1f}",
            Text(one.answers.texts[0]),
        )
    console.print(table)


def show_bench(results: dict[str, Any], console: Console) -> None:
    """Times side by side."""
    table = Table(title=f"prefill, medians of {results['repeats']} rounds", box=SIMPLE_HEAD)
    for name in ("case", "ms", "full\nms", "ratio", "ratio of\nFLOPs", "select\nms", "whole\nmodel ms"):
        table.add_column(name, justify="left" if name == "case" else "right")
    for row in results["rows"]:
        table.add_row(
            row["case"],
            f"{row['ours_ms']:.0f}",
            f"{row['peer_ms']:.0f}",
            f"{row['ours_ms'] / row['peer_ms']:.3f}",
            f"{row['limit_ms'] / row['peer_ms']:.3f}",
            f"{row['select_ms']:.1f}",
            f"{row['model_ms']:.0f} of {row['peer_model_ms']:.0f}",
        )
    console.print(table)
    for row in results["merging"]:
        console.print(
            f"{row['case']}: {row['ours_ms']:+.1f} ms, {100 * row['share']:.2f} % of the full prefill (limit "
            f"{row['limit_ms']:.1f} ms), {100 * row['share_of_pruned']:.2f} % of its own",
            soft_wrap=True,
        )


def show_agent_bench(results: dict[str, Any], console: Console) -> None:
    """The agent core beside pymdp."""
    table = Table(title=f"agent, CPU time, medians of {results['rounds']} rounds", box=SIMPLE_HEAD)
    for name in ("case", "ms", "mode", "pymdp\nms", "times\nfaster", "share of\nlimit", "peak\nMB"):
        table.add_column(name, justify="left" if name in ("case", "mode") else "right")
    for row in results["rows"]:
        peer, share = row["peer_ms"], row.get("share")
        table.add_row(
            row["case"],
            f"{row['ours_ms']:.3g}",
            row["mode"],
            "" if peer is None else f"{peer:.4g}",
            "" if peer is None else f"{row['speedup_vs_pymdp']:.3g}",
            "" if share is None else _percent(share),
            f"{row['peak_mb']:.0f}" if "peak_mb" in row else "",
        )
    console.print(table)


def _paired(pairs: list[dict[str, Any]]) -> Table:
    table = Table(title="paired differences on the same items, in points", box=SIMPLE_HEAD)
    for name in ("method", "versus", "budget", "difference", "95 %", "p", "Holm"):
        table.add_column(name, justify="left" if name in ("method", "versus", "budget") else "right")
    for pair in pairs:
        low, high = pair["ci95"]
        table.add_row(
            pair["method"],
            pair["versus"],
            str(pair["budget"]),
            f"{100 * pair['difference']:+.1f}",
            f"{100 * low:+.1f} to {100 * high:+.1f}",
            p_value(pair["p"]),
            p_value(pair["p_holm"]),
            style=None if pair["p_holm"] > 0.05 else "bold" if low > 0 else "red" if high < 0 else None,
        )
    return table


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
