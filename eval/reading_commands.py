"""`arr-coc compare`, `leaderboard` and `export`: read evaluations that are done."""

from pathlib import Path
from typing import Annotated

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from typer import Argument, Option

from arr_coc.eval.markdown import p_value, paired_lines, percent

console = Console(markup=False)
MarkdownOption = Annotated[bool, Option("--markdown", help="As a Markdown table.")]


def compare(
    a: Annotated[Path, Argument(help="Folder of an evaluation.")],
    b: Annotated[Path, Argument(help="Folder of another one on the same items.")],
    seed: Annotated[int, Option(help="Of the bootstrap.")] = 0,
    markdown: MarkdownOption = False,
) -> None:
    """Is A better than B? Paired tests on the items that both answered, setting by setting."""
    from arr_coc.eval.compare import compare_runs

    pairs = compare_runs(a, b, seed)
    if markdown:
        console.print("\n".join(paired_lines(pairs)), soft_wrap=True)
        return
    table = Table(title=f"{a} minus {b}, in points", title_justify="left", box=SIMPLE_HEAD)
    for name in ("A", "B", "budget", "A, %", "B, %", "A - B", "95 %", "p", "McNemar", "Holm", "items"):
        table.add_column(name, justify="left" if name in "AB" else "right")
    for pair in pairs:
        low, high = pair["ci95"]
        table.add_row(
            pair["method"], pair["versus"], str(pair["budget"]), percent(pair["accuracy"]),
            percent(pair["versus_accuracy"]), f"{100 * pair['difference']:+.1f}",
            f"{100 * low:+.1f} to {100 * high:+.1f}", p_value(pair["p"]), p_value(pair["mcnemar_p"]),
            p_value(pair["p_holm"]), str(pair["n"]),
        )  # fmt: skip
    console.print(table)
    console.print(
        "p: paired t-test, clustered by picture; McNemar: exact, items taken for independent; Holm: p with "
        f"all {len(pairs)} comparisons of this table taken into account",
        style="dim",
    )
    alone = max(pair["only_in_one"] for pair in pairs)
    if alone:
        console.print(f"up to {alone} items are in one of the two only and were left out", style="bold red")


def leaderboard(
    folder: Annotated[Path, Argument(help="Folder with evaluations in it, however deep.")],
    markdown: MarkdownOption = False,
) -> None:
    """One table of all evaluations in a folder: by task and model, then by tokens kept and accuracy."""
    from arr_coc.eval.compare import leaderboard as board_of

    board, unreadable = board_of(folder)
    names = (
        "task",
        "model",
        "method",
        "budget",
        "kept",
        "accuracy",
        "95 %",
        "of full",
        "above blind",
        "n",
        "run",
    )
    lines = [
        [
            row["task"], row["model"], row["method"], str(row["budget"]), f"{row['kept_tokens']:.0f}",
            percent(row["accuracy"]), "–".join(map(percent, row["ci95"])), percent(row["relative_accuracy"]),
            percent(row["above_blind"]), str(row["n"]), row["run"],
        ]
        for row in board
    ]  # fmt: skip
    if markdown:
        header = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
        body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
        console.print("\n".join(header + body), soft_wrap=True)
    else:
        table = Table(box=SIMPLE_HEAD)
        for name in names:
            table.add_column(name, justify="left" if name in ("task", "model", "method", "run") else "right")
        for line in lines:
            table.add_row(*line)
        console.print(table)
    for reason in unreadable:
        console.print(f"left out: {reason}", style="bold red", soft_wrap=True)


def export(
    folder: Annotated[Path, Argument(help="Folder of an evaluation.")],
    out: Annotated[Path, Argument(help="A .parquet, .jsonl or .csv file, or a folder for load_dataset.")],
) -> None:
    """Every answer as a row of a table, for `datasets`, pandas or a spreadsheet."""
    from arr_coc.eval.export import export as write

    console.print(f"written: {write(folder, out)}", soft_wrap=True)
