"""The settings of an evaluation: one dataclass, whose fields are the YAML keys and the command-line keys."""

import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from arr_coc.eval.method import BLIND, FULL, ORIGINAL, Budget, Method, parse_budget
from arr_coc.eval.tasks import TASKS, Task
from arr_coc.eval.tasks.task import open_task
from arr_coc.tower import GIVEN

DTYPES = ("float32", "bfloat16", "float16")
NO_CLIP = (
    "a method with +clip reads what a CLIP beside the model says of the pictures: say which one, for example "
    "--clip ViT-L-14-336-quickgelu:openai, or local-dir:FOLDER"
)
"""What is said where none was named."""
_EXAMPLE = {"methods": "efe,divprune", "budgets": "0.33,0.11"}


@dataclass(frozen=True)
class RunConfig:
    """What is evaluated. Raises ValueError where a setting makes no sense, before anything is loaded."""

    model: str = "nano-llava"
    """A shipped model, a folder, or a Hugging Face name."""
    task: str = "scene_vqa"
    """What is asked; `arr-coc list` names them."""
    data: str | None = None
    """Folder, .parquet or .jsonl file of the task's schema; `sample`: ten shipped rows; None: the hub."""
    task_options: tuple[str, ...] = ()
    """What else the task lets one set, each as `n_frames=16`; `arr-coc list` names them."""
    methods: tuple[str, ...] = ("efe", "divprune", "seed", "random", "stride")
    """Scorers, with switches: `efe`, `divprune+ln_n`, `efe+merge+ln_n`."""
    budgets: tuple[Budget, ...] = (1.0, 0.33, 0.22, 0.11, 0.05)
    """With a point: the fraction kept, in (0, 1]. A whole number: a count."""
    limit: int | None = 300
    """The first so many items of the task; None: all of them."""
    split: str = ""
    """Which part of the task's items; empty: the one that papers report."""
    batch_size: int = 32
    """Items in one call of generate()."""
    seed: int = 0
    """Seed of the random control and of the bootstrap."""
    merge: bool = False
    """Pool every dropped token into the nearest kept one, for all methods."""
    precision: bool = False
    """Add ln n of the tokens that a kept one stands for to its attention logits, for all methods."""
    positions: str = ORIGINAL
    """Where kept tokens stand, for all methods that do not say: `original`, `compact`, `centroid`."""
    share_vision: bool = True
    """Encode the pictures of a batch once for all methods and budgets; off: once for each."""
    share_choice: bool = False
    """Let settings of one scorer share its scores and the climb; then nothing says how long choosing took."""
    need: str = ""
    """File of `arr-coc calibrate`, for budgets `auto:` and `cascade:`; empty: that in the model's folder."""
    clip: str = ""
    """An open_clip model and its weights, NAME:TAG or NAME:FILE, or local-dir:FOLDER: what `+clip` reads."""
    examples: int = 2
    """So many wins and losses against all tokens are drawn, with the tokens that were kept."""
    device: str = "cpu"
    """cpu, cuda, cuda:1, mps ...; `auto` spreads a model over all that there is."""
    dtype: str = "float32"
    out: str = ""
    """Folder of the results; empty: `runs` and the name of the task."""
    name: str = ""
    """Of the run: a folder of its own in `out`, as `arr-coc leaderboard` reads them."""

    def __post_init__(self) -> None:
        for name in ("methods", "task_options"):
            object.__setattr__(self, name, tuple(map(str, getattr(self, name))))
        object.__setattr__(self, "budgets", tuple(parse_budget(budget) for budget in self.budgets))
        for name in ("methods", "budgets"):
            values = getattr(self, name)
            if not values:
                raise ValueError(f"{name} is empty: name at least one, for example --{name} {_EXAMPLE[name]}")
            if len(set(map(str, values))) < len(values):
                raise ValueError(f"{name} names one twice: {', '.join(map(str, values))}")
        for name in ("limit", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.name and not re.fullmatch(r"\w[\w.+-]{0,99}", self.name):
            raise ValueError(
                f"name must be letters, digits and ._+- only, as a folder in out, got {self.name!r}"
            )
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        names = [method.name for method in self.parsed()]
        if len(set(names)) < len(names):
            raise ValueError(f"these methods are the same once the switches are applied: {', '.join(names)}")
        for method, budget in self.settings():
            allocator = method.allocator(budget, self.seed)  # says what cannot be built
            if allocator is None or method.learned:
                continue  # what a learned preference reads is known when it is loaded
            if set(allocator.needs) & set(GIVEN) and not self.clip:
                raise ValueError(NO_CLIP)

    def opened(self, family: str = "") -> Task:
        """The task, with questions worded for a family of models. Raises as `open_task` does."""
        return open_task(self.task, self.data, family, self.task_options)

    def split_of(self, task: Task) -> str:
        """The part of the task's items that is meant."""
        return self.split or task.splits[0]

    @property
    def folder(self) -> Path:
        """Where the results are. Raises KeyError where it would be named after a task that there is not."""
        if not self.out:
            TASKS[self.task]
        return Path(self.out or f"runs/{self.task}") / self.name

    def parsed(self) -> list[Method]:
        """The methods with the switches that apply to all. Raises ValueError for an unreadable one."""
        return [Method.parse(text, self.merge, self.precision, self.positions) for text in self.methods]

    def settings(self) -> list[tuple[Method, Budget]]:
        """Every (method, budget) to run, in order: no token at all, all tokens, then the sweep.

        All methods are the same at the full budget, so it is run once and shared; the two references are
        always there, because no accuracy means anything without them.
        """
        sweep = [
            (method, budget)
            for method in self.parsed()
            if method.scorer not in (FULL.scorer, BLIND.scorer)
            for budget in self.budgets
            if not (isinstance(budget, float) and math.isclose(budget, 1.0))
        ]
        return [(BLIND, 0), (FULL, 1.0), *sweep]

    def plain(self) -> dict[str, Any]:
        """As YAML and JSON have it."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}
