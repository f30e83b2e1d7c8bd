"""The README's tables, rebuilt from `eval/results/`: `python -m arr_coc.eval.figures` writes them.

A test fails where the README and the files differ, so no figure there is without a file behind it.
"""

import json
import re
from pathlib import Path
from typing import Any

from arr_coc.eval.environment import source_folder

ALLOCATION, NANO, PREFILL = "allocation/first_light.json", "nano.json", "bench/prefill.json"
MODELS = "families.json"


def tables(results: Path) -> dict[str, str]:
    """Marker in the README -> the lines that belong there."""
    read = {name: json.loads((results / name).read_text()) for name in (ALLOCATION, NANO, PREFILL, MODELS)}
    return {
        "allocation": _allocation(read[ALLOCATION]),
        "nano": _nano(read[NANO]),
        "prefill": _prefill(read[PREFILL]),
        "families": _families(read[MODELS]),
    }


def rebuilt(readme: str, results: Path) -> str:
    """The README with its tables made anew. Raises ValueError where a marker is missing."""
    for name, lines in tables(results).items():
        found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", readme, re.DOTALL)
        if found is None:
            raise ValueError(f"README.md has no <!-- {name} --> ... <!-- /{name} -->: put the markers back")
        readme = f"{readme[: found.start(1)]}{lines}\n{readme[found.end(1) :]}"
    return readme


def _allocation(data: dict[str, Any]) -> str:
    rows = {(row["method"], row["budget"]): row for row in data["rows"]}
    budgets = list(dict.fromkeys(budget for method, budget in rows if method not in ("full", "blind")))
    methods = list(dict.fromkeys(method for method, _ in rows if method not in ("full", "blind")))
    versus = {(pair["versus"], pair["budget"]): pair for pair in data["paired"]}
    full, blind = rows["full", 1.0], rows["blind", 0]
    lines = [
        f"Accuracy in % on {full['n']} unseen items of SceneVQA, `nano-llava`; all 576 tokens: "
        f"{_percent(full)}, none: {_percent(blind)}. In brackets: `efe` minus the method on the same items, "
        f"with its 95 % interval, in points (`eval/results/{ALLOCATION}`).",
        "",
        "| kept of 576 | " + " | ".join(map(str, budgets)) + " |",
        "|---|" + "---|" * len(budgets),
    ]
    for method in methods:
        cells = []
        for budget in budgets:
            pair = versus.get((method, budget))
            gap = "" if pair is None else f" ({_points(pair['difference'])} [{_interval(pair['ci95'])}])"
            cells.append(f"{100 * rows[method, budget]['accuracy']:.1f}{gap}")
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _nano(data: dict[str, Any]) -> str:
    lines = [
        f"`nano-llava` on {data['n']} unseen items (`eval/results/{NANO}`), accuracy in %:",
        "",
        "| | overall | " + " | ".join(data["by_kind"]) + " |",
        "|---|---|" + "---|" * len(data["by_kind"]),
    ]
    for method, name in (("full", "all 576 tokens"), ("blind", "no token")):
        kinds = [f"{100 * kind[method]['accuracy']:.0f}" for kind in data["by_kind"].values()]
        lines.append(f"| {name} | {100 * data['overall'][method]['accuracy']:.1f} | {' | '.join(kinds)} |")
    chances = [f"{100 * kind['chance']:.0f}" for kind in data["by_kind"].values()]
    lines.append(f"| chance | | {' | '.join(chances)} |")
    return "\n".join(lines)


def _prefill(data: dict[str, Any]) -> str:
    millions = data["decoder_parameters"] / 1e6
    lines = [
        f"Prefill of a random {millions:.0f} M decoder, 576 visual and 40 text tokens, selection included, "
        f"on {data['threads']} CPU threads (`eval/results/{PREFILL}`):",
        "",
        "| case | ms | full, ms | time kept | of that deciding, ms |",
        "|---|---|---|---|---|",
    ]
    for row in data["rows"]:
        lines.append(
            f"| {row['case']} | {row['ours_ms']:.0f} | {row['peer_ms']:.0f} | "
            f"{100 * row['ratio']:.1f} % | {row['select_ms']:.1f} |"
        )
    return "\n".join(lines)


def _families(data: dict[str, Any]) -> str:
    rows = sorted(data["families"], key=lambda row: (not row["passes"], row["model_type"]))
    passing = sum(row["passes"] for row in rows)
    notes = list(dict.fromkeys(row["note"] for row in rows if row["note"]))
    version = data["versions"]["transformers"]
    lines = [
        f"{passing} of {len(rows)} model types pass every law that holds without arr-coc "
        f"(`eval/results/{MODELS}`, transformers {version}): tiny random models of the real classes, eager "
        "and SDPA. The largest difference of all laws, in logits; up to 1e-4 in float32 and 0.125 in "
        "bfloat16 (Gemma 4: 0.5) is rounding.",
        "",
        "| model type | float32 | bfloat16 | to know |",
        "|---|---|---|---|",
    ]
    for row in rows:
        laws = [f"{max(row[kind].values()):.0e}" if row[kind] else "" for kind in ("laws", "bfloat16")]
        name = f"`{row['model_type']}`" if row["passes"] else f"`{row['model_type']}`: no"
        note = str(notes.index(row["note"]) + 1) if row["note"] else ""
        lines.append(f"| {name} | {' | '.join(laws)} | {note} |")
    return "\n".join([*lines, "", *(f"{n}. {note}" for n, note in enumerate(notes, 1))])


def _percent(row: dict[str, Any]) -> str:
    return f"{100 * row['accuracy']:.1f}"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}"


def _interval(ci95: list[float]) -> str:
    return ", ".join(map(_points, ci95))


def main() -> None:
    """Write the README of this source checkout."""
    results = source_folder()
    if results is None:
        raise SystemExit("the README is in a source checkout only")
    readme = results.parent.parent / "README.md"
    readme.write_text(rebuilt(readme.read_text(), results))


if __name__ == "__main__":
    main()
