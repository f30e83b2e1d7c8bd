"""Generate with a compiled decode step, and say as JSON how many graphs and breaks that took.

`python -m tests.compiled FAMILY`
"""

import json
import sys
from typing import Any

import torch
import transformers
from torch._dynamo.utils import counters

from arr_coc.adapters.tiny import Tiny
from arr_coc.allocate import Allocator
from arr_coc.attach import attached
from tests.runs import ROWS, apart, generated, tiny_model
from tests.stubs import Some


def compiled(tiny: Tiny) -> tuple[Any, int]:
    """What was written, and the graphs that it took. A break would be an error."""
    how = transformers.CompileConfig(fullgraph=True, backend="aot_eager", mode=None)
    how._compile_all_devices = True  # by default transformers compiles on accelerators only
    tiny.model.generation_config.compile_config = how
    torch._dynamo.reset()
    counters.clear()
    run = generated(tiny, tiny.inputs(ROWS), cache_implementation="static")
    tiny.model.generation_config.compile_config = None
    return run, counters["stats"]["unique_graphs"]


@torch.no_grad()
def found(family: str) -> dict[str, Any]:
    """For every way to drop tokens: graphs, breaks, largest difference to generation that is not compiled."""
    stubs = {
        "kept": Some(),
        "weighed, closed up": Allocator(scorer="efe", budget=7, precision=True, positions="compact"),
    }
    tiny = tiny_model(family, "sdpa")
    _, without = compiled(tiny)
    table = {}
    for name, stub in stubs.items():
        with attached(tiny.model, stub):
            run, graphs = compiled(tiny)
            breaks = list(counters["graph_break"])
            plain = generated(tiny, tiny.inputs(ROWS))
        worst = max(map(apart, run.logits, plain.logits))
        table[name] = {"graphs": graphs, "graphs_unattached": without, "breaks": breaks, "worst": worst}
    return table


if __name__ == "__main__":
    sys.stdout.write(json.dumps(found(sys.argv[1])) + "\n")
