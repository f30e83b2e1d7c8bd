"""arr-coc as a model of lmms-eval: `lmms-eval --model arr_coc --model_args pretrained=...,scorer=efe,budget=0.11`.

lmms-eval finds it by the entry point `lmms_eval.models`. Its tasks word the questions and score the answers;
batches are made and asked by the same code as those of `arr-coc eval`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from lmms_eval.models.registry_v2 import ModelManifest
from loguru import logger
from PIL import Image

from arr_coc.eval.asking import Asker
from arr_coc.eval.batches import batches
from arr_coc.eval.config import RunConfig
from arr_coc.eval.models import load
from arr_coc.eval.ranks import Rank
from arr_coc.eval.tasks import Item
from arr_coc.eval.tasks.film import frames
from arr_coc.eval.untrusted import unopened

DEFAULT = RunConfig()
LONGEST = 16
"""New tokens where a task does not say."""
FILMS = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".gif")


def manifest() -> ModelManifest:
    """What lmms-eval is told about this model."""
    return ModelManifest(model_id="arr_coc", simple_class_path=f"{__name__}.{ArrCoc.__name__}")


@dataclass(frozen=True)
class Length:
    """All that is known of a task here: how long its answers may be. lmms-eval scores them."""

    max_new_tokens: int

    def score(self, answer: str, gold: str) -> float:
        """Nothing."""
        return 0.0


class ArrCoc(lmms):
    """A model whose visual tokens are chosen by `scorer`, `budget` of them; `scorer=full` is the model itself.

    `scorer` is written as a method of `arr-coc eval`, with its switches (`efe+ln_n`); `budget` is a fraction
    kept with a point (0.11) or a count (64). Answers are greedy. Without `device` it is the accelerator of
    this process, or the CPU. Raises ValueError and KeyError for arguments that make no sense.
    """

    is_simple = True

    def __init__(
        self,
        pretrained: str = DEFAULT.model,
        scorer: str = "efe",
        budget: float | int | str = 0.11,
        merge: bool = False,
        precision: bool = False,
        positions: str = DEFAULT.positions,
        dtype: str = DEFAULT.dtype,
        seed: int = DEFAULT.seed,
        n_frames: int = 8,
        batch_size: int | str = DEFAULT.batch_size,
        device: str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        usual = "cuda" if torch.cuda.is_available() else "cpu"
        self._config = RunConfig(
            model=pretrained,
            methods=(scorer,),
            budgets=(budget,),
            merge=merge,
            precision=precision,
            positions=positions,
            dtype=dtype,
            seed=seed,
            # A batch that the memory does not take is halved: `auto` is to begin with many.
            batch_size=DEFAULT.batch_size if batch_size == "auto" else int(batch_size),
            device=Rank.here().device(device or usual),
        )
        (method,) = self._config.parsed()
        self._setting = (method, self._config.budgets[0])
        self._n_frames = n_frames
        self._loaded = load(pretrained, self._config.device, dtype)

    @property
    def device(self) -> torch.device:
        """Where lmms-eval puts what processes tell each other."""
        return torch.device(self._loaded.model.device)

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Answers in the order of the requests. One that failed is empty, and why is logged."""
        found: dict[str, str] = {}
        longest = [_longest(request.args[1]) for request in requests]
        for length in sorted(set(longest)):
            numbers = [number for number, long in enumerate(longest) if long == length]
            asker = Asker(self._config, Length(length), self._loaded, only=(self._setting,))
            for batch in batches(self._items(requests, numbers), self._config.batch_size):
                for samples in asker.answered(batch, set()):
                    for sample in samples:
                        if sample.error:
                            logger.error(f"request {sample.id} counts as wrong: {sample.error}")
                        found[sample.id] = sample.answer
        return [
            _cut(found[str(number)], request.args[1].get("until") or ())
            for number, request in enumerate(requests)
        ]

    def _items(self, requests: Sequence[Instance], numbers: Sequence[int]) -> Iterator[Item]:
        """Requests of these numbers, with their pictures, one after the other."""
        for number in numbers:
            question, _, pictures_of, document, task, split = requests[number].args
            shown = pictures_of(self.task_dict[task][split][document])
            if not shown:
                raise ValueError(
                    f"document {document} of {task} shows no picture: there are no visual tokens to choose "
                    "from; take a task whose questions are all about pictures"
                )
            try:
                pictures, fault = [picture for one in shown for picture in self._pictures(one)], ""
            except (ValueError, OSError) as error:
                pictures, fault = [Image.new("RGB", (28, 28))], str(error)
            first, *more = pictures
            yield Item(str(number), str(number), first, question, "", "all", tuple(more), fault=fault)

    def _pictures(self, shown: Any) -> list[Image.Image]:
        if isinstance(shown, Image.Image):
            return [shown.convert("RGB")]
        if isinstance(shown, (str, Path)):
            path = Path(shown)
            film = path.is_dir() or path.suffix.lower() in FILMS
            return frames(path, self._n_frames) if film else [unopened(path, path)]
        raise TypeError(f"arr_coc is shown pictures and films, got {type(shown).__name__}: take another task")

    def loglikelihood(self, requests: Sequence[Instance]) -> NoReturn:
        """Not supported."""
        self._refuse("loglikelihood", "its version that generates (output_type: generate_until)")

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> NoReturn:
        """Not supported."""
        self._refuse("several rounds", "one whose questions are asked once")

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise NotImplementedError(f"arr_coc generates answers and cannot do {what}: take {instead} of the task")


def _longest(given: dict[str, Any]) -> int:
    """New tokens of an answer. Raises ValueError for sampling and beams: they would be ignored in silence."""
    sampled = given.get("do_sample") and (given.get("temperature") or 1.0) > 0
    beams = given.get("num_beams") or 1
    if sampled or beams > 1:
        raise ValueError(
            f"arr_coc answers greedily, the task wants {'sampling' if sampled else f'{beams} beams'}: "
            "add --gen_kwargs do_sample=False,temperature=0,num_beams=1"
        )
    return int(given.get("max_new_tokens") or given.get("max_gen_toks") or LONGEST)


def _cut(answer: str, until: str | Sequence[str]) -> str:
    """The answer up to the first stop sequence, as if generation had ended there."""
    for stop in [until] if isinstance(until, str) else until:
        answer = answer.split(stop)[0] if stop else answer
    return answer
