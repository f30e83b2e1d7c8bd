"""The results as Markdown, for a README: one line a setting, with intervals, and the paired differences."""

from typing import Any


def markdown(results: dict[str, Any]) -> str:
    """Tables and where they come from. What a model or a task says is not in it, names are code."""
    config, environment, rows = results["config"], results["environment"], results["rows"]
    lines = [
        f"{_code(config['model'])} on {_code(config['task'])}, {rows[0]['n']} items, accuracy in %:",
        "",
        "| method | budget | kept | accuracy | 95 % | of full | above blind | form kept | prefill ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            _code(row["method"]), str(row["budget"]), f"{row['kept_tokens']:.0f}", percent(row["accuracy"]),
            "–".join(map(percent, row["ci95"])), percent(row["relative_accuracy"]),
            percent(row["above_blind"]), percent(row["compliance"]),
            "" if row["prefill_ms"] is None else f"{row['prefill_ms']:.1f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    if results["paired"]:
        lines += ["", *paired_lines(results["paired"])]
        lines += ["", f"p (Holm) takes all {len(results['paired'])} comparisons of the table into account."]
    if len(rows[0]["by_kind"]) > 1:
        lines += ["", *_kinds(rows)]
    failed = results["failures"]
    if failed["reasons"]:
        lines += ["", f"{failed['items']} items could not be asked, {failed['answers']} answers failed."]
    lines += ["", f"{_code(environment['command'])}, commit {environment['commit'] or 'unknown'}, "
              f"seed {config['seed']}, {environment['hardware']}"]  # fmt: skip
    return "\n".join(lines) + "\n"


def paired_lines(pairs: list[dict[str, Any]]) -> list[str]:
    """Differences on the same items, in points."""
    return [
        "| method | versus | budget | difference | 95 % | p | p (McNemar) | p (Holm) |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {_code(p['method'])} | {_code(p['versus'])} | {p['budget']} | {100 * p['difference']:+.1f} | "
            f"{100 * p['ci95'][0]:+.1f} to {100 * p['ci95'][1]:+.1f} | {p_value(p['p'])} | "
            f"{p_value(p['mcnemar_p'])} | {p_value(p['p_holm'])} |"
            for p in pairs
        ),
    ]


def _kinds(rows: list[dict[str, Any]]) -> list[str]:
    """Accuracy in % of each kind of question."""
    kinds = sorted({kind for row in rows for kind in row["by_kind"]})
    header = ["method", "budget", *map(_code, kinds)]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in rows:
        found = row["by_kind"]
        cells = [percent(found[kind]["accuracy"]) if kind in found else "" for kind in kinds]
        lines.append("| " + " | ".join([_code(row["method"]), str(row["budget"]), *cells]) + " |")
    return lines


def percent(share: float | None) -> str:
    """Empty where there is none."""
    return "" if share is None else f"{100 * share:.1f}"


def p_value(p: float | None) -> str:
    """Empty where there is none; no zeros that were not measured."""
    return "" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def _code(text: str) -> str:
    return "`" + " ".join(text.replace("`", "'").replace("|", "\\|").split()) + "`"
