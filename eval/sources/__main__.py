"""Make figures of the sources again: `python -m arr_coc.eval.sources` writes eval/results/sources.json.

Rows that are not asked for stay as they are in the file. What a source prints and what came out here stand
side by side; where a source's number could not be read or was not met, the row says so.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import torch
from rich.console import Console

from arr_coc.eval.atomic import write_json
from arr_coc.eval.environment import environment, source_folder
from arr_coc.eval.extras import need
from arr_coc.eval.sources import cartpole, grids, reach, slots, upside_down

Row = Callable[[tuple[int, ...], Callable[[str], None]], dict[str, Any]]
ROWS: dict[str, tuple[Row, int]] = {
    "maze-ways": (lambda seeds, say: grids.ways(seeds[0], say), 1),
    "two-levels": (reach.row, 1),
    "slot-machines": (slots.row, 1),
    "upside-down": (upside_down.row, 3),
    "maze-learning": (grids.learning, 3),
    "cartpole-planning": (cartpole.planning, 3),
    "cartpole-habit": (cartpole.habit, 10),
}
"""What makes a row, and how many seeds it takes."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=list(ROWS),
        default=list(ROWS),
        metavar="ROW",
        help=f"of {', '.join(ROWS)}; default: all",
    )
    parser.add_argument("--seed", type=int, default=0, help="the first; a row takes as many as it needs")
    parser.add_argument("--out", type=Path, help="JSON file; a source checkout has a place for it")
    args = parser.parse_args()
    need("gymnasium")
    torch.set_num_threads(1)
    out = args.out or (source_folder() or Path()) / "sources.json"
    results = json.loads(out.read_text()) if out.exists() else {"rows": {}}
    console = Console()
    for name in args.rows:
        make, count = ROWS[name]
        began = process_time()
        with console.status(name) as status:
            row = make(tuple(range(args.seed, args.seed + count)), status.update)
        made = environment()
        results = made | {"seed": args.seed, "rows": results["rows"]}
        results["rows"][name] = row | {
            key: made[key] for key in ("command", "commit", "hardware")
        } | {"cpu_seconds": round(process_time() - began, 1)}  # fmt: skip
        write_json(out, results)
        console.print(f"{name}: published {row['published']}, ours {row['ours']}", soft_wrap=True)
    console.print(f"written: {out}", soft_wrap=True)


if __name__ == "__main__":
    main()
