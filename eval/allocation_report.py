"""The evidence as Markdown and as a picture."""

from pathlib import Path
from typing import Any

from arr_coc.eval.markdown import percent
from arr_coc.eval.method import BLIND, FULL
from arr_coc.eval.plots import COLORS, MARKERS, plain, saved

SHOWN = 7
"""Lines of a picture, controls included."""


def written(results: dict[str, Any]) -> str:
    """One table a task, a line a method, a column a budget; then ours against the best of the others."""
    lines = [
        f"`{results['model']}`, {results['limit']} items of each task ({results['split']}), accuracy in %. "
        "Budgets are the fraction of visual tokens kept, for methods inside the language model on average "
        "over its layers; in brackets what was kept where that differs. `+ln_n`: with our log-precision; "
        "`+merge`: with our merging too. Where 22 % and more are kept, a fifth of the items.",
        "",
    ]
    more = {
        f"{task}, {found['rows'][0]['n']} items: ours and the best of the others above": found
        for task, found in results["leaders"].items()
    }
    for title, found in (results["tasks"] | more).items():
        lines += [
            f"## {title}",
            "",
            *_accuracies(found["rows"]),
            "",
            *_differences(found["against_best"]),
            "",
        ]
        lines += [*_switches(found["switched"]), ""]
        where = f"`{found['command']}`, commit {found['commit'] or 'unknown'}, {found['hardware']}"
        lines += [where, ""]
    return "\n".join(lines)


def _accuracies(rows: list[dict[str, Any]]) -> list[str]:
    apart = {row["method"]: row for row in rows if row["method"] in (FULL.name, BLIND.name)}
    budgets = sorted({row["budget"] for row in rows if row["method"] not in apart}, reverse=True)
    lines = [
        f"All tokens {percent(apart[FULL.name]['accuracy'])}, none {percent(apart[BLIND.name]['accuracy'])}.",
        "",
        "| method | " + " | ".join(map(str, budgets)) + " |",
        "|---" * (len(budgets) + 1) + "|",
    ]
    methods: dict[str, dict[Any, dict[str, Any]]] = {}
    for row in rows:
        if row["method"] not in apart:
            methods.setdefault(row["method"], {})[row["budget"]] = row
    full = apart[FULL.name]
    for method, there in methods.items():
        cells = [_cell(there[budget], full) if budget in there else "" for budget in budgets]
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    return lines


def _cell(row: dict[str, Any], full: dict[str, Any]) -> str:
    said = percent(row["accuracy"])
    if not row["token_layers"] or not full["token_layers"]:
        return said
    spent = row["token_layers"] / full["token_layers"]
    return said if abs(spent - row["budget"]) < 0.15 * row["budget"] else f"{said} ({spent:.3f})"


def _differences(pairs: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| budget | ours | best of the others | theirs | difference | 95 % | strata behind by > 1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for pair in pairs:
        behind = [
            f"{name} {100 * part['difference']:+.1f}"
            for name, part in pair["strata"].items()
            if part["difference"] < -0.01
        ]
        low, high = (100 * end for end in pair["ci95"])
        mine, theirs = map(percent, pair["accuracy"])
        lines.append(
            f"| {pair['budget']} | `{pair['ours']}` {mine} | `{pair['best']}` ({pair['among']}) | {theirs} "
            f"| {100 * pair['difference']:+.1f} | {low:+.1f} to {high:+.1f} | "
            f"{', '.join(behind) or 'none'} |"
        )
    return lines


def _switches(pairs: list[dict[str, Any]]) -> list[str]:
    lines = ["| budget | | less | difference | 95 % |", "|---|---|---|---|---|"]
    for pair in pairs:
        low, high = (100 * end for end in pair["ci95"])
        lines.append(
            f"| {pair['budget']} | `{pair['method']}` | `{pair['versus']}` | {100 * pair['difference']:+.1f} "
            f"| {low:+.1f} to {high:+.1f} |"
        )
    return lines


def drawn(results: dict[str, Any], path: Path) -> None:
    """Accuracy against tokens kept, one panel a task: ours, the best of the others, and the controls."""
    from matplotlib.figure import Figure

    tasks = results["tasks"] or results["leaders"]
    figure = Figure(figsize=(6.4 * len(tasks), 4.4), dpi=150, layout="constrained")
    for axes, (task, found) in zip(
        figure.subplots(1, len(tasks), squeeze=False)[0], tasks.items(), strict=True
    ):
        pairs = found["against_best"]
        budgets = sorted({pair["budget"] for pair in pairs})
        chosen = dict.fromkeys(
            [pair["ours"] for pair in pairs] + [pair["best"] for pair in pairs] + ["random", "pool", "seed"]
        )
        for name, style in ((FULL.name, "--"), (BLIND.name, ":")):
            level = next(row["accuracy"] for row in found["rows"] if row["method"] == name)
            axes.axhline(level, color="#777777", ls=style, lw=1, label=name)
        for i, method in enumerate(list(chosen)[:SHOWN]):
            line = sorted(
                (row for row in found["rows"] if row["method"] == method), key=lambda row: row["budget"]
            )
            axes.plot(
                [row["budget"] for row in line], [row["accuracy"] for row in line],
                color=COLORS[i], marker=MARKERS[i], ms=4.5, lw=1.4, label=method,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xticks(budgets, [f"{budget:.1%}" for budget in budgets])
        axes.minorticks_off()
        axes.set_xlabel("visual tokens kept")
        axes.set_ylabel("accuracy")
        axes.set_title(f"{results['model']} on {task}, {results['limit']} items", fontsize=10)
        plain(axes)
        axes.legend(fontsize=8, frameon=False, loc="best")
    saved(figure, path)
