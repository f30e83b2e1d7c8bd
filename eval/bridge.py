"""One method at one budget, asked by another harness: what the bridges to them share.

Batches are made and asked by the same code as those of `arr-coc eval`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from arr_coc.budgets.auto import Ledger
from arr_coc.eval.asking import Asker
from arr_coc.eval.batches import batches
from arr_coc.eval.config import RunConfig
from arr_coc.eval.method import Budget
from arr_coc.eval.models import Loaded, load
from arr_coc.eval.ranks import Rank
from arr_coc.eval.samples import Sample
from arr_coc.eval.smaller import Setting
from arr_coc.eval.tasks import Item
from arr_coc.eval.tasks.film import DRAWN, FILMED, frames
from arr_coc.eval.untrusted import unopened

DEFAULT = RunConfig()
N_FRAMES = 8
"""Frames that are shown of a film."""


@dataclass(frozen=True)
class Length:
    """All that is known of the task: how long its answers may be. The other harness scores them."""

    max_new_tokens: int

    def score(self, answer: str, gold: str) -> float:
        """Nothing."""
        return 0.0


@dataclass(frozen=True)
class Bridge:
    """A loaded model whose visual tokens are chosen by one method, with one budget."""

    config: RunConfig
    loaded: Loaded
    n_frames: int
    ledgers: dict[Setting, Ledger] = field(default_factory=dict)

    @staticmethod
    def built(
        pretrained: str,
        scorer: str,
        budget: Budget,
        dtype: str,
        seed: int,
        n_frames: int,
        device: str | None,
        batch_size: int,
    ) -> "Bridge":
        """`scorer` is a method with its switches, as in `arr-coc eval`: `efe+ln_n`; `full`: the model itself.

        Without a device it is the accelerator of this process, or the CPU. Raises ValueError and KeyError
        for arguments that make no sense, FileNotFoundError where no model can be loaded.
        """
        usual = "cuda" if torch.cuda.is_available() else "cpu"
        place = Rank.here().device(device or usual)
        config = RunConfig(
            model=pretrained, methods=(scorer,), budgets=(budget,), dtype=dtype, seed=seed, device=place,
            batch_size=batch_size,
        )  # fmt: skip
        return Bridge(config, load(pretrained, place, dtype), n_frames)

    def answered(self, items: Iterator[Item], max_new_tokens: int) -> Iterator[Sample]:
        """A sample for every item, batch by batch. One that failed says so in `error` and has no answer."""
        (method,), (budget,) = self.config.parsed(), self.config.budgets
        asker = Asker(
            self.config, Length(max_new_tokens), self.loaded, only=((method, budget),), ledgers=self.ledgers
        )
        for batch in batches(items, self.config.batch_size):
            for samples in asker.answered(batch, {}):
                yield from samples

    def item(self, name: str, question: str, shown: Iterable[Any]) -> Item:
        """A question about pictures, which may be paths, and films, which are paths.

        A file that cannot be used is a fault of the item. Raises ValueError where nothing is shown, TypeError
        for what is no picture and no film.
        """
        try:
            pictures, fault = [picture for one in shown for picture in self._pictures(one)], ""
        except (ValueError, OSError) as error:
            pictures, fault = [Image.new("RGB", (28, 28))], str(error)
        if not pictures:
            raise ValueError(
                f"question {name} shows no picture: there are no visual tokens to choose from; take a task "
                "whose questions are all about pictures"
            )
        first, *more = pictures
        return Item(name, name, first, question, "", "all", tuple(more), fault=fault)

    def _pictures(self, shown: Any) -> list[Image.Image]:
        if isinstance(shown, Image.Image):
            return [shown.convert("RGB")]
        if not isinstance(shown, (str, Path)):
            raise TypeError(
                f"arr_coc is shown pictures and films, got {type(shown).__name__}: take another task"
            )
        path = Path(shown)
        moving = path.suffix.lower() in (*FILMED, *DRAWN) and path.suffix.lower() not in (".png", ".webp")
        return frames(path, self.n_frames) if path.is_dir() or moving else [unopened(path, path)]
