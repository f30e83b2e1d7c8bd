"""Write the table of all families and laws as JSON, to standard output or to the path given."""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from arr_coc.eval.environment import environment
from arr_coc.family import FAMILIES
from tests.laws import LAWS
from tests.laws.pruning import felt
from tests.runs import FELT, tiny_model


def table() -> dict[str, Any]:
    """All laws over all families; the worse of eager and sdpa attention."""
    families = []
    for name in FAMILIES:
        models = [tiny_model(name, attention) for attention in ("eager", "sdpa")]
        worst = {called: max(map(function, models)) for called, (function, _) in LAWS.items()}
        passes = all(worst[called] <= allowed for called, (_, allowed) in LAWS.items())
        passes = passes and min(map(felt, models)) > FELT
        families.append({"model_type": name, "passes": passes, "laws": worst, "note": FAMILIES[name].note})
    return {**environment(), "seed": 0, "families": families}


if __name__ == "__main__":
    with torch.no_grad():
        text = json.dumps(table(), indent=2)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n")
    else:
        sys.stdout.write(text + "\n")
