"""Write the table of all families and laws as JSON, to standard output or to the path given.

Names of families after the path: only these are run, and the file keeps the others as they are. It also
keeps the row of a family that cannot be built here, where it has one.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from arr_coc.eval.environment import environment
from arr_coc.family import FAMILIES
from tests.laws import BROKEN, EXCUSED, LAWS, allowed
from tests.laws.pruning import felt
from tests.runs import FELT, absent, tiny_model


def row(name: str) -> dict[str, Any]:
    """All laws over one family; the worse of eager and sdpa attention."""
    notes = [FAMILIES[name].note] if FAMILIES[name].note else []
    notes += [
        f"{law}: not without arr-coc either, {why}."
        for (family, law), why in EXCUSED.items()
        if family == name
    ]
    if name in BROKEN or absent(name):
        notes.append(f"Not run: {BROKEN.get(name) or absent(name)}.")
        return {"model_type": name, "passes": False, "laws": {}, "bfloat16": {}, "note": " ".join(notes)}
    worst, passes = {}, True
    for dtype in (torch.float32, torch.bfloat16):
        models = [tiny_model(name, attention, dtype) for attention in ("eager", "sdpa")]
        names = [law for law in LAWS if (name, law) not in EXCUSED]
        worst[dtype] = {law: max(map(LAWS[law][0], models)) for law in names}
        passes &= all(difference <= allowed(law, name, dtype) for law, difference in worst[dtype].items())
        passes &= min(map(felt, models)) > FELT[dtype]
    return {
        "model_type": name,
        "passes": passes,
        "laws": worst[torch.float32],
        "bfloat16": worst[torch.bfloat16],
        "note": " ".join(notes),
    }


def main(path: Path | None, names: list[str]) -> None:
    """Family by family, so that a run that was stopped has left what it had."""
    table = json.loads(path.read_text()) if path and path.exists() else {"families": []}
    rows = {entry["model_type"]: entry for entry in table["families"] if entry["model_type"] in FAMILIES}
    about = environment()
    for name in names or FAMILIES:
        if name in rows and absent(name):
            continue
        rows[name] = row(name)
        table = {**about, "seed": 0, "families": [rows[n] for n in FAMILIES if n in rows]}
        if path:
            path.write_text(json.dumps(table, indent=2) + "\n")
    if not path:
        sys.stdout.write(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else None, sys.argv[2:])
