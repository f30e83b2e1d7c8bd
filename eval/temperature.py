"""Whether a temperature per head makes up for what merging does to keys: measured on nano-llava.

gamma_h = rms |k| of all visual keys / rms |k| of those that are kept and merged, by layer and head, from
items that are not asked; then the queries of head h are multiplied by it.

`python -m arr_coc.eval.temperature`
"""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from arr_coc.allocation import Allocation
from arr_coc.attach import attached
from arr_coc.eval.asking import Asker
from arr_coc.eval.atomic import write_json
from arr_coc.eval.batches import batches
from arr_coc.eval.config import RunConfig
from arr_coc.eval.environment import environment, source_folder
from arr_coc.eval.method import FULL, Budget, Method
from arr_coc.eval.models import Loaded, load
from arr_coc.eval.prompt import prompt
from arr_coc.eval.stats import paired_difference
from arr_coc.eval.tasks.task import Item, looked_at
from arr_coc.parts import parts_of
from arr_coc.types import Context

METHOD = Method.parse("efe+merge+ln_n")


@contextmanager
def tempered(layers: Any, gamma: Float[Tensor, "layers heads"]) -> Iterator[None]:
    """Multiply the queries of every head, and so its logits: rotary positions turn them and no more."""
    with ExitStack() as stack:
        for layer, of_heads in zip(layers, gamma, strict=True):
            each = of_heads.repeat_interleave(layer.self_attn.q_proj.out_features // len(of_heads))
            hook = layer.self_attn.q_proj.register_forward_hook(lambda _, __, q, each=each: q * each)
            stack.callback(hook.remove)
        yield


def lengths(
    loaded: Loaded, items: list[Item], method: Method, budget: Budget
) -> Float[Tensor, "layers heads"]:
    """Root mean square length of the visual keys that each head of each layer sees."""
    said: list[Tensor] = []
    seen: list[Tensor] = []
    model: Any = loaded.model
    allocate = method.allocator(budget, 0)

    def decide(context: Context) -> Allocation:
        allocation: Allocation = allocate(context)  # type: ignore[misc]
        # Kept tokens stand on the right, in order; what pads a shorter row is none of them.
        order = allocation.keep.byte().argsort(dim=1, stable=True)[:, -int(allocation.keep.sum(1).max()) :]
        seen.append((context.visual & allocation.keep).gather(1, order))
        return allocation

    decide.needs = getattr(allocate, "needs", ())  # type: ignore[attr-defined]
    asked = prompt(loaded, [item.pictures for item in items], [item.question for item in items])
    with ExitStack() as stack, torch.no_grad():
        for layer in parts_of(model).decoder.layers:  # type: ignore[union-attr]
            hook = layer.self_attn.k_proj.register_forward_hook(lambda _, __, k: said.append(k))
            stack.callback(hook.remove)
        if allocate is not None:
            stack.enter_context(attached(model, decide))
        model(**asked.for_generate(), use_cache=False)
    visual = seen[0] if seen else asked.visual
    size = model.config.get_text_config().head_dim
    each = [k[visual].unflatten(-1, (-1, size)).square().sum(-1).mean(0).sqrt() for k in said]
    return torch.stack(each)


def measure(limit: int, budgets: tuple[int, ...], loaded: Loaded, held_out: int = 32) -> dict[str, Any]:
    """Accuracy with and without, on the first validation items; gamma from those behind them."""
    config = RunConfig(methods=(METHOD.name,), budgets=budgets, limit=limit, split="validation", examples=0)
    task = config.opened(loaded.model.config.model_type)
    items = list(task.items("validation", limit + held_out))
    asked, apart = items[:limit], [looked_at(item) for item in items[limit:]]
    text = loaded.model.config.get_text_config()
    layers: nn.ModuleList = parts_of(loaded.model).decoder.layers  # type: ignore[assignment]
    whole = lengths(loaded, apart, FULL, 1.0)
    rows = []
    for budget in budgets:
        gamma = whole / lengths(loaded, apart, METHOD, budget)
        of_queries = gamma.repeat_interleave(text.num_attention_heads // text.num_key_value_heads, dim=1)
        scores = []
        for each in (torch.ones_like(of_queries), of_queries):
            asker = Asker(config, task, loaded, only=((METHOD, budget),))
            with tempered(layers, each):
                found = {
                    sample.id: sample.score
                    for batch in batches(iter(asked), config.batch_size)
                    for samples in asker.answered(batch, {})
                    for sample in samples
                }
            scores.append(np.array([found[item.id] for item in asked], dtype=np.float64))
        plain, warm = scores
        gain = paired_difference(warm, plain, [item.id for item in asked])
        rows.append(
            {
                "method": METHOD.name,
                "budget": budget,
                "n": len(asked),
                "accuracy": float(plain.mean()),
                "accuracy_tempered": float(warm.mean()),
                "difference": gain.mean,
                "ci95": [gain.low, gain.high],
                "gamma": gamma.tolist(),
            }
        )
    return {**environment(), "seed": 0, "split": "validation", "rows": rows}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=200, help="number of items")
    parser.add_argument("--out", type=Path, default=None, help="JSON file; a source checkout has a place")
    args = parser.parse_args()
    out = args.out or (source_folder() or Path()) / "temperature.json"
    write_json(out, measure(args.limit, (32, 16), load("nano-llava")))


if __name__ == "__main__":
    main()
