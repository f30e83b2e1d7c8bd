"""Pictures of kept tokens where pruning won and where it lost, against all tokens."""

from collections.abc import Sequence
from pathlib import Path

from arr_coc.eval.ask import ask
from arr_coc.eval.config import RunConfig
from arr_coc.eval.method import FULL, Budget, Method
from arr_coc.eval.models import Loaded
from arr_coc.eval.samples import Sample
from arr_coc.eval.tasks import Task


def wins_and_losses(
    samples: Sequence[Sample], method: str, budget: Budget, most: int
) -> dict[str, list[str]]:
    """Names of the first items that a setting has right and all tokens wrong (`win`), and the other way."""
    full = {s.id: s.score for s in samples if s.method == FULL.name and not s.error}
    ours = {s.id: s.score for s in samples if (s.method, s.budget) == (method, budget) and not s.error}
    both = sorted(full.keys() & ours.keys())
    return {
        "win": [name for name in both if ours[name] > full[name]][:most],
        "loss": [name for name in both if ours[name] < full[name]][:most],
    }


def draw_examples(
    config: RunConfig, task: Task, loaded: Loaded, samples: Sequence[Sample], folder: Path
) -> list[Path]:
    """Write kept_win_0.png, kept_loss_0.png ... for the first method at the budget nearest to a ninth."""
    swept = config.settings()[2:]
    if not swept or not config.examples:
        return []
    first = [setting for setting in swept if setting[0] == swept[0][0]]
    kept = {s.budget: s.kept / s.visual for s in samples if s.method == first[0][0].name and s.visual}
    method, budget = min(first, key=lambda setting: abs(kept.get(setting[1], 9.0) - 1 / 9))
    named = wins_and_losses(samples, method.name, budget, config.examples)
    wanted = {name: f"kept_{kind}_{i}.png" for kind, names in named.items() for i, name in enumerate(names)}
    shown: list[tuple[Method, Budget]] = [(method, budget)]
    paths = []
    for item in task.items(config.split_of(task), config.limit) if wanted else ():
        if item.id not in wanted or item.fault or len(item.pictures) > 1:
            continue
        paths.append(folder / wanted.pop(item.id))
        ask(
            loaded, item.image, item.question, shown, task.max_new_tokens, paths[-1], item.gold, config.seed
        )  # fmt: skip
        if not wanted:
            break
    return paths
