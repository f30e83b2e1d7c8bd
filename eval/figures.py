"""The README's tables, rebuilt from `eval/results/`: `python -m arr_coc.eval.figures` writes them.

A test fails where the README and the files differ, so no figure there is without a file behind it.
"""

import json
import re
from pathlib import Path
from typing import Any

from arr_coc.eval.allocation import CLAIMED, INSIDE, OURS, POOLED, RATED, TOGETHER
from arr_coc.eval.environment import source_folder

LLAVA, QWEN = "allocation/nano-llava.json", "allocation/nano-qwen.json"
NANO, PREFILL = "nano.json", "bench/prefill.json"
MODELS, ADAPTIVE = "families.json", "allocation/adaptive.json"
FILES = (LLAVA, QWEN, NANO, PREFILL, MODELS, ADAPTIVE)
CONTROLS = ("random", "pool")


def tables(results: Path) -> dict[str, str]:
    """Marker in the README -> the lines that belong there."""
    read = {name: json.loads((results / name).read_text()) for name in FILES}
    return {
        "allocation": _allocation(read[LLAVA], read[QWEN], read[ADAPTIVE]),
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


def _allocation(llava: dict[str, Any], qwen: dict[str, Any], adaptive: dict[str, Any]) -> str:
    models = {"nano-llava": llava["tasks"]["scene_vqa"], "nano-qwen": qwen["tasks"][TOGETHER]}
    rows = {
        (model, row["method"], row["budget"]): row for model, found in models.items() for row in found["rows"]
    }
    asked = {(model, method) for model, method, _ in rows}
    published = [
        len({method.split("+")[0] for method in (*RATED, *POOLED, *INSIDE) if (model, method) in asked})
        for model in models
    ]
    counts = " and ".join(map(str, dict.fromkeys(published)))
    shown = " and ".join(
        f"{rows[model, 'full', 1.0]['n']} of {task} (`{model}`: all tokens "
        f"{_percent(rows[model, 'full', 1.0])}, none {_percent(rows[model, 'blind', 0])})"
        for model, task in (("nano-llava", "SceneVQA"), ("nano-qwen", "SceneVQA at six sizes and of reading"))
    )
    gains = ", ".join(
        f"{_points(held['difference'])} [{_interval(held['ci95'])}] at {held['mean']}"
        for held in adaptive["held"]
    )
    cases = [(model, budget) for model in models for budget in CLAIMED]
    lines = [
        f"Accuracy in % on unseen items: {shown}. `+ln_n`: a kept token weighs what it stands for; "
        f"`+merge`: and is the mean of it. In brackets: `{OURS[0]}` minus the *best* of the others there, of "
        f"{counts} published methods and the controls, with its 95 % "
        "interval (`eval/results/allocation/`; all of them, and strata: in the `.md` there). Points "
        f"that `auto:` gains on the same number for every item: {gains} (`eval/results/{ADAPTIVE}`).",
        "",
        "| kept | " + " | ".join(f"`{model}` {100 * budget:g} %" for model, budget in cases) + " |",
        "|---|" + "---|" * len(cases),
    ]
    for method in (*OURS, "seed", *CONTROLS):
        cells = [_percent(rows[model, method, budget]) for model, budget in cases]
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    for among in ("as published", "with our bias"):
        pairs = {
            (model, pair["budget"]): pair
            for model, found in models.items()
            for pair in found["against_best"]
            if pair["among"] == among
        }
        cells = [_best(pairs[case]) if case in pairs else "not run" for case in cases]
        lines.append(f"| best of the others, {among} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _best(pair: dict[str, Any]) -> str:
    theirs, gained = 100 * pair["accuracy"][1], _points(pair["difference"])
    return f"{theirs:.1f} `{pair['best']}` ({gained} [{_interval(pair['ci95'])}])"


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
    cases = ", ".join(
        f"`{row['case'].split()[0]}` {100 * row['ratio']:.1f} % (deciding: {row['select_ms']:.1f} ms)"
        for row in data["rows"]
    )
    first = data["rows"][0]
    return (
        f"Prefill of a random {data['decoder_parameters'] / 1e6:.0f} M decoder with "
        f"{first['case'].split(maxsplit=1)[1]} visual and 40 text tokens, selection included, on "
        f"{data['threads']} CPU threads, against all tokens ({first['peer_ms']:.0f} ms): {cases} "
        f"(`eval/results/{PREFILL}`)."
    )


def _families(data: dict[str, Any]) -> str:
    rows = data["families"]
    passing = sum(row["passes"] for row in rows)
    groups: dict[tuple[bool, str], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (not row["passes"], row["note"] != "", row["model_type"])):
        groups.setdefault((row["passes"], row["note"]), []).append(row)
    lines = [
        f"{passing} of {len(rows)} model types pass every law that holds without arr-coc "
        f"(`eval/results/{MODELS}`, transformers {data['versions']['transformers']}): tiny random models of "
        "the real classes, eager and SDPA. The largest difference of all laws, in logits; up to 1e-4 in "
        "float32 and 0.125 in bfloat16 (Gemma 3n: 0.25, Gemma 4: 0.5) is rounding.",
        "",
        "| model types | float32 | bfloat16 | to know |",
        "|---|---|---|---|",
    ]
    for group in groups.values():
        names = ", ".join(f"`{row['model_type']}`" for row in group)
        passes, note = group[0]["passes"], group[0]["note"]
        lines.append(f"| {names} | {_largest(group, 'laws')} | {_largest(group, 'bfloat16')} | "
                     f"{'' if passes else 'Not supported. '}{note} |")  # fmt: skip
    return "\n".join(lines)


def _largest(rows: list[dict[str, Any]], kind: str) -> str:
    """Of all laws and families; empty where none was run."""
    found = [difference for row in rows for difference in row[kind].values()]
    return f"{max(found):.0e}" if found else ""


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
