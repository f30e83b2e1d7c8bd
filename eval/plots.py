"""Draw accuracy against visual tokens kept, with intervals, between the two references."""

from io import BytesIO
from pathlib import Path
from typing import Any

from arr_coc.eval.atomic import write_bytes
from arr_coc.eval.method import BLIND, FULL

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5B5B", "#8C564B")
"""Okabe and Ito's palette: told apart by colour-blind readers, on white and on paper."""
MARKERS = "osD^vPX*"


def accuracy_vs_tokens(results: dict[str, Any], path: Path) -> None:
    """Write a PNG: one line a method, its 95 % intervals as bars, all tokens and no token as dashes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullLocator

    rows = results["rows"]
    full = next(row for row in rows if row["method"] == FULL.name)
    blind = next(row for row in rows if row["method"] == BLIND.name)
    methods = list(dict.fromkeys(r["method"] for r in rows if r not in (full, blind)))
    figure = Figure(figsize=(7.2, 4.4), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.axhline(
        full["accuracy"], color="#333333", ls="--", lw=1, label=f"all {full['visual_tokens']:.0f} tokens"
    )
    axes.axhline(blind["accuracy"], color="#999999", ls=":", lw=1, label="no visual token")
    for i, method in enumerate(methods):
        line = sorted((r for r in rows if r["method"] == method), key=lambda r: r["kept_tokens"])
        color = COLORS[i % len(COLORS)]
        # Methods stand a little beside each other, or their intervals could not be told apart.
        aside = 1.03 ** (i - (len(methods) - 1) / 2)
        tokens = [row["kept_tokens"] * aside for row in line]
        level = [row["accuracy"] for row in line]
        axes.plot(
            [*tokens, full["kept_tokens"]], [*level, full["accuracy"]],
            color=color, marker=MARKERS[i % len(MARKERS)], ms=4.5, lw=1.4, label=method,
        )  # fmt: skip
        low, high = zip(*(row["ci95"] for row in line), strict=True)
        axes.vlines(tokens, low, high, color=color, lw=1.2, alpha=0.7)
    axes.set_xscale("log")
    ticks = sorted({round(row["kept_tokens"]) for row in rows if row["kept_tokens"] > 0})
    axes.set_xticks(ticks)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes.set_xlabel("visual tokens kept")
    axes.set_ylabel("accuracy")
    config = results["config"]
    axes.set_title(f"{config['model']} on {config['task']}, {full['n']} items, bars: 95 %", fontsize=10)
    plain(axes)
    axes.legend(fontsize=8, frameon=False, loc="best")
    saved(figure, path)


def plain(axes: Any) -> None:
    """A faint grid, and no frame."""
    axes.grid(alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def saved(figure: Any, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    png = BytesIO()
    figure.savefig(png, format="png")
    write_bytes(path, png.getvalue())
