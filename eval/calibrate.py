"""Learn where a model would look, what budgets it needs for which questions, and when it is sure enough.

The model's own answers with all tokens are the teacher.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Bool
from rich.console import Console
from torch import Tensor

from arr_coc.allocate import Allocator
from arr_coc.allocation import Allocation
from arr_coc.attach import attached
from arr_coc.budgets.auto import RATIOS
from arr_coc.cascade import Cascade
from arr_coc.eval.batches import batches
from arr_coc.eval.config import RunConfig
from arr_coc.eval.folder import claim, prepare
from arr_coc.eval.journal import everything
from arr_coc.eval.method import FULL, Method
from arr_coc.eval.models import CASCADE, NEED, PREFERENCE, Loaded, calibrated, load
from arr_coc.eval.prompt import prompt
from arr_coc.eval.tasks.task import Item, looked_at
from arr_coc.eval.teaching import show_experts, taught
from arr_coc.eval.terminal import evaluate_with_progress
from arr_coc.experts import load_experts
from arr_coc.need import Need, Seen, learn, look
from arr_coc.scorers import SCORERS
from arr_coc.types import Context, Scorer


def calibrate(config: RunConfig, console: Console) -> tuple[Need, Path]:
    """Answer every item at every candidate budget, and count. Stopped, it goes on where it was.

    `config` names one method. No label is read: what counts is whether an answer is the full model's. What a
    cascade has to know is written beside the need, and before both whose word is worth something, which the
    method may want itself. Raises ValueError for answers of an earlier version.
    """
    method = config.parsed()[0]
    config = replace(config, methods=(method.name,), budgets=RATIOS, examples=0)
    preference = config.folder / PREFERENCE
    if method.learned:
        config = replace(config, need=str(preference))
    _teach(config, preference, console)
    evaluate_with_progress(config, False, console, watch=True)
    samples = [sample for sample in everything(config.folder) if not sample.error]
    said = {(s.id, s.method, s.budget): s.answer for s in samples}
    surprise = {(s.id, s.method, s.budget): s.surprise for s in samples}
    if None in surprise.values():
        raise ValueError(f"{config.folder} holds answers without their surprise: choose another --out")
    loaded = load(config.model, config.device, config.dtype)
    loaded = calibrated(loaded, preference) if method.learned else loaded
    task = config.opened(loaded.model.config.model_type)
    asked = [
        item
        for item in task.items(config.split_of(task), config.limit)
        if all((item.id, m.name, b) in said for m, b in config.settings())
    ]
    together = list(batches(iter(asked), config.batch_size))  # which changes their order
    looks = [_look(loaded, method, batch) for batch in together]

    def agree(items: list[Item]) -> Bool[Tensor, "prompt budgets"]:
        full = [said[item.id, FULL.name, 1.0] for item in items]
        return torch.tensor(
            [
                [said[item.id, method.name, ratio] == answer for ratio in RATIOS]
                for item, answer in zip(items, full, strict=True)
            ]
        )

    agrees = agree([item for batch in together for item in batch])
    seen = Seen(
        *(torch.cat([getattr(one, name) for one in looks]).cpu() for name in Seen.__dataclass_fields__)
    )
    need = learn(RATIOS, seen, agrees, method.name)
    path = config.folder / NEED
    need.save(path)
    unsure = torch.tensor([[surprise[item.id, method.name, ratio] for ratio in RATIOS] for item in asked])
    # In the order of the items: a batch is sorted by what is in it, and its odd items are no random half.
    Cascade(RATIOS, unsure, ~agree(asked), method.name).save(path.with_name(CASCADE))
    return need, path


def _teach(config: RunConfig, path: Path, console: Console) -> None:
    """Make the file of the preference, if it is not there, and show what is in it."""
    prepare(config.folder)
    loaded = load(config.model, config.device, config.dtype)
    claim(config, loaded.weights)  # before anything is written that only these weights said
    if not path.is_file():
        task = config.opened(loaded.model.config.model_type)
        items = task.items(config.split_of(task), config.limit)
        try:
            taught(loaded, batches(items, config.batch_size)).save(path)
        except ValueError as error:
            if config.parsed()[0].learned:
                raise
            console.print(f"no preference was learned, the rest is: {error}", soft_wrap=True)
            return
    show_experts(load_experts(path), console)


@dataclass
class _Watch:
    """Drops nothing and remembers what the agent sees. Of several pictures the first counts."""

    scorer: Scorer
    seen: list[Seen] = field(default_factory=list)

    @property
    def needs(self) -> tuple[str, ...]:
        return getattr(self.scorer, "needs", ())

    def __call__(self, context: Context) -> Allocation:
        pictures = context.pictures()
        seen, first = look(pictures, self.scorer(pictures)), pictures.nth == 0
        self.seen.append(Seen(seen.question[first], seen.wanted[first], seen.count[first]))
        return Allocator(budget=1.0)(context)


def _look(loaded: Loaded, method: Method, items: list[Item]) -> Seen:
    items = [looked_at(item) for item in items]
    asked = prompt(loaded, [item.pictures for item in items], [item.question for item in items])
    allocator = method.allocator(1, 0, experts=loaded.experts)
    assert allocator is not None, "a method that is calibrated drops tokens"
    scorer = allocator.scorer
    watch = _Watch(SCORERS[scorer]() if isinstance(scorer, str) else scorer)
    with attached(loaded.model, watch), torch.no_grad():
        loaded.model(**asked.for_generate())
    return watch.seen[0]
