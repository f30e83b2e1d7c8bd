"""How good a shipped model is: `python -m arr_coc.eval.nano.quality --model nano-qwen` writes its figures.

Accuracy on unseen items with all visual tokens and with none, by kind of question, beside the chance level;
where pictures are of several sizes, by their number of visual tokens too. nano-llava's are in
eval/results/nano.json, nano-qwen's in eval/results/nano-qwen.json.
"""

import argparse
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console

from arr_coc.eval.atomic import write_json
from arr_coc.eval.config import RunConfig
from arr_coc.eval.environment import environment, source_folder
from arr_coc.eval.nano import questions, reading
from arr_coc.eval.nano.questions import KINDS
from arr_coc.eval.samples import Sample, read
from arr_coc.eval.stats import wilson
from arr_coc.eval.terminal import evaluate_with_progress

METHODS = ("full", "blind")
TASKS = {"nano-llava": ("scene_vqa",), "nano-qwen": ("scene_sizes", "scene_reading")}
"""What each model was trained for."""
LARGEST = (100, 144, 256, 400, 576, 1024)
FILES = {"nano-llava": "nano.json", "nano-qwen": "nano-qwen.json"}


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """What the file says of one task, from an evaluation that has the references `full` and `blind`."""
    rows = {row["method"]: row for row in results["rows"]}
    found = rows["full"]["by_kind"]
    return {
        **environment(),
        "seed": results["config"]["seed"],
        "split": results["config"]["split"],
        "n": rows["full"]["n"],
        "overall": {method: _figure(rows[method]) for method in METHODS},
        "by_kind": {
            kind: {method: _figure(rows[method]["by_kind"][kind]) for method in METHODS}
            | {"chance": questions.chance(kind) if kind in KINDS else reading.chance(kind)}
            for kind in (*(kind for kind in KINDS if kind in found), *sorted(found.keys() - KINDS.keys()))
        },
    }


def by_size(samples: list[Sample]) -> dict[str, dict[str, Any]]:
    """Accuracy with all visual tokens by how many there are: up to each of LARGEST."""
    groups: dict[int, list[float]] = {}
    for sample in samples:
        if sample.method == "full":
            size = next(size for size in LARGEST if sample.visual <= size)
            groups.setdefault(size, []).append(sample.score)
    found = {}
    for size, scores in sorted(groups.items()):
        estimate = wilson(fmean(scores), len(scores))
        found[str(size)] = {
            "n": len(scores), "accuracy": estimate.mean, "ci95": [estimate.low, estimate.high]
        }  # fmt: skip
    return found


def _figure(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("n", "accuracy", "ci95")}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=list(TASKS), default="nano-llava")
    parser.add_argument("--limit", type=int, default=2000, help="number of items")
    parser.add_argument("--split", default="test")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/nano-quality"), help="folder of the evaluations"
    )
    parser.add_argument(
        "--out", type=Path, default=None, help="JSON file; a source checkout has a place for it"
    )
    args = parser.parse_args()
    found = {}
    for task in TASKS[args.model]:
        config = RunConfig(
            model=args.model,
            task=task,
            methods=("stride",),
            budgets=(1.0,),
            limit=args.limit,
            split=args.split,
            out=str(args.runs),
            name=f"{args.model}-{task}",
            examples=0,
        )
        results = evaluate_with_progress(config, False, Console())
        if results is None:
            raise SystemExit("these figures are made in one process")
        found[task] = figures(results)
        if args.model != "nano-llava":
            found[task]["by_size"] = by_size(read(config.folder / "samples.jsonl"))
    out = args.out or (source_folder() or Path()) / FILES[args.model]
    # nano-llava has one task, and the file that it always had.
    write_json(out, found["scene_vqa"] if args.model == "nano-llava" else {"tasks": found})


if __name__ == "__main__":
    main()
