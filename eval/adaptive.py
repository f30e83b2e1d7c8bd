"""Is an adaptive budget worth it? `python -m arr_coc.eval.adaptive` says it in `allocation/adaptive.json`.

Needs are learned without labels on validation items; then unseen items are asked at a mean that a stream
holds (`auto:`), at the same number for each of them, and, looking again while unsure, with a bound on how
often the answer is not the full model's (`cascade:`). Goes on where it was stopped.
"""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from arr_coc.eval.atomic import write_json
from arr_coc.eval.calibrate import calibrate
from arr_coc.eval.config import RunConfig
from arr_coc.eval.environment import environment, source_folder
from arr_coc.eval.method import AUTO
from arr_coc.eval.samples import read
from arr_coc.eval.table import compared, grouped
from arr_coc.eval.terminal import evaluate_with_progress

METHOD = "efe+merge+ln_n"
MEANS = (8, 12, 16)
"""Visual tokens. More than that, and a fixed budget loses too little for anything to be gained."""
ALPHAS = (0.02, 0.05)
"""Of answers, at most, that are not the full model's: on average over calibrations."""


def adaptive(results: dict[str, Any], config: RunConfig) -> dict[str, Any]:
    """Means held and what they gain, and how often looking again differs from the full model."""
    samples = read(config.folder / "samples.jsonl")
    groups = grouped(samples, [(method.name, budget) for method, budget in config.settings()])
    rows = {row["budget"]: row for row in results["rows"] if row["method"] == METHOD}
    held = [
        {
            "mean": mean,
            "kept": rows[f"{AUTO}{mean}"]["kept_tokens"],
            "accuracy": [rows[budget]["accuracy"] for budget in (f"{AUTO}{mean}", mean)],
            **compared(groups[METHOD, f"{AUTO}{mean}"], groups[METHOD, mean], config.seed),
        }
        for mean in MEANS
    ]
    bounds = [
        {
            "alpha": alpha,
            "differs": row["differs_from_full"],
            "kept": row["kept_tokens"],
            "accuracy": row["accuracy"],
        }
        for alpha in ALPHAS
        for row in [rows[f"cascade:{alpha}"]]
    ]
    return {**environment(), "seed": config.seed, "n": len(groups[METHOD, MEANS[0]]), "held": held,
            "bounds": bounds}  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, default=1000, help="unseen items")
    parser.add_argument("--split", default="retest2", help="where they are from")
    parser.add_argument("--prompts", type=int, default=1200, help="validation items to learn needs from")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the evaluations")
    parser.add_argument(
        "--out", type=Path, default=None, help="JSON file; a source checkout has a place for it"
    )
    args = parser.parse_args()
    console = Console()
    rehearsal = RunConfig(
        methods=(METHOD,), split="validation", limit=args.prompts, out=str(args.runs / "looks")
    )
    _, need = calibrate(rehearsal, console)
    budgets = [budget for mean in MEANS for budget in (f"{AUTO}{mean}", mean)]
    config = RunConfig(
        methods=(METHOD,),
        budgets=(*budgets, *(f"cascade:{alpha}" for alpha in ALPHAS)),
        need=str(need),
        limit=args.limit,
        split=args.split,
        batch_size=50,
        out=str(args.runs / "auto"),
    )
    results = evaluate_with_progress(config, False, console)
    if results is None:
        raise SystemExit("these figures are made in one process")
    path = args.out or (source_folder() or Path()) / "allocation" / "adaptive.json"
    write_json(path, adaptive(results, config))
    console.print(f"written: {path}", soft_wrap=True)


if __name__ == "__main__":
    main()
