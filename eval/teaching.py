"""Learn whom a model trusts to know where the answer is: it answers, and where it looked is the teacher."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import pad

from arr_coc.allocate import Allocator
from arr_coc.allocation import Allocation
from arr_coc.attach import attached
from arr_coc.eval.models import Loaded
from arr_coc.eval.prompt import prompt
from arr_coc.eval.tasks.task import Item, looked_at
from arr_coc.experts import Experts
from arr_coc.gaze import gazed
from arr_coc.parts import parts_of
from arr_coc.preference import needed_by, witnessed
from arr_coc.trust import Rehearsal, learn_experts
from arr_coc.types import Context

SOURCES = ("words", "text", "cls", "received", "norm")
"""Who is asked, as far as a model has them: names in `RELEVANCE`."""


def taught(loaded: Loaded, batches: Iterable[list[Item]]) -> Experts:
    """Learn from every other picture, drawn, and look at the rest; then from all of them.

    The teacher is the attention that the last word of the prompt pays to the tokens of each picture, over
    heads and layers, in the model that sees all of them. No label is read. Raises ValueError where there are
    too few pictures, or where the model does not say what it attends to.
    """
    sources = sources_of(loaded.model)
    heard, names = [], []
    for batch in batches:
        items = [item for item in map(looked_at, batch) if not item.fault]
        if items:
            rehearsal, rows = _heard(loaded, items, sources)
            heard.append(rehearsal)
            names += [items[row].picture for row in rows]
    if not heard:
        raise ValueError("there is no picture to learn from: choose another task, or a larger --limit")
    return learn_experts(sources, _together(heard), _apart(names))


def sources_of(model: Any) -> tuple[str, ...]:
    """Those of `SOURCES` that a model has. Without a class token `cls` would be `received` once more."""
    family = parts_of(model).family
    tower = None if family.taps is None else family.taps(model.config)
    taps = set() if tower is None else {"received"} | ({"attention"} if tower.cls else set())
    return tuple(source for source in SOURCES if set(needed_by([source])) <= taps)


def show_experts(experts: Experts, console: Console) -> None:
    """What each source is worth, as a table."""
    table = Table(title=f"where the answer looks: {experts.most:.3f} nats to explain", box=SIMPLE_HEAD)
    for name in ("source", "gamma", "nats alone"):
        table.add_column(name, justify="left" if name == "source" else "right")
    gammas = dict(zip(experts.sources, experts.gammas, strict=True))
    for source, nats in experts.alone:
        table.add_row(source, f"{gammas[source]:.2f}" if source in gammas else "dropped", f"{nats:.3f}")
    table.add_row("product", f"eps {experts.eps:.2f}", f"{experts.together:.3f}")
    console.print(table)


@dataclass
class _Watch:
    """Drops nothing and remembers what there was to see."""

    needs: tuple[str, ...]
    seen: list[Context] = field(default_factory=list)

    def __call__(self, context: Context) -> Allocation:
        self.seen.append(context)
        return Allocator(budget=1.0)(context)


def _heard(loaded: Loaded, items: list[Item], sources: tuple[str, ...]) -> tuple[Rehearsal, list[int]]:
    """What a batch has to say, one row a picture, and the items that these are from."""
    asked = prompt(loaded, [item.pictures for item in items], [item.question for item in items])
    watch, text = _Watch(needed_by(sources)), asked.valid & ~asked.visual
    with attached(loaded.model, watch), gazed(parts_of(loaded.model), text) as said, torch.no_grad():
        loaded.model(**asked.for_generate())
        pictures = watch.seen[0].pictures()
        paid = torch.stack([each.to(pictures.valid.device) for each in said]).mean(0)[pictures.row]
        looked = torch.where(pictures.valid, paid.gather(1, pictures.index), 0.0)
        p = looked / looked.sum(1, keepdim=True).clamp(min=torch.finfo(looked.dtype).tiny)
        here = Rehearsal(witnessed(sources, pictures).cpu(), p.cpu(), pictures.valid.cpu())
    return here, pictures.row.tolist()


def _together(heard: list[Rehearsal]) -> Rehearsal:
    """One below the other, as wide as the widest."""
    width = max(one.valid.shape[1] for one in heard)
    wide = [(one, width - one.valid.shape[1]) for one in heard]
    return Rehearsal(
        torch.cat([pad(one.z, (0, 0, 0, more)) for one, more in wide]),
        torch.cat([pad(one.p, (0, more)) for one, more in wide]),
        torch.cat([pad(one.valid, (0, more)) for one, more in wide]),
    )


def _apart(names: list[str]) -> Bool[Tensor, " picture"]:
    """Half of the pictures, drawn, with all that is asked about each of them."""
    known = sorted(set(names))
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(0)).tolist()
    half = {known[i] for i in order[::2]}
    return torch.tensor([name in half for name in names])
