"""How good nano-llava is: `python -m arr_coc.eval.nano.quality` writes eval/results/nano.json.

Accuracy on unseen items with all visual tokens and with none, by kind of question, beside the chance level.
"""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from arr_coc.eval.atomic import write_json
from arr_coc.eval.config import RunConfig
from arr_coc.eval.environment import environment, source_folder
from arr_coc.eval.nano.questions import KINDS, chance
from arr_coc.eval.terminal import evaluate_with_progress


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """What nano.json says, from an evaluation that has the references `full` and `blind`."""
    rows = {row["method"]: row for row in results["rows"]}
    return {
        **environment(),
        "seed": results["config"]["seed"],
        "split": results["config"]["split"],
        "n": rows["full"]["n"],
        "overall": {method: _figure(rows[method]) for method in ("full", "blind")},
        "by_kind": {
            kind: {method: _figure(rows[method]["by_kind"][kind]) for method in ("full", "blind")}
            | {"chance": chance(kind)}
            for kind in KINDS
        },
    }


def _figure(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("n", "accuracy", "ci95")}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, default=2000, help="number of items")
    parser.add_argument("--split", default="test")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/nano-quality"), help="folder of the evaluation"
    )
    parser.add_argument(
        "--out", type=Path, default=None, help="JSON file; a source checkout has a place for it"
    )
    args = parser.parse_args()
    out = args.out or (source_folder() or Path()) / "nano.json"
    config = RunConfig(
        methods=("stride",),
        budgets=(1.0,),
        limit=args.limit,
        split=args.split,
        out=str(args.runs),
        examples=0,
    )
    results = evaluate_with_progress(config, False, Console())
    if results is None:
        raise SystemExit("these figures are made in one process")
    write_json(out, figures(results))


if __name__ == "__main__":
    main()
