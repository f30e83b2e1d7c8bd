"""arr-coc as a model of lmms-eval.

    lmms-eval --model arr_coc --model_args pretrained=...,scorer=efe,budget=0.11 --tasks ...

It is found by the entry point `lmms_eval.models`. The tasks of lmms-eval word the questions and score.
"""

from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from lmms_eval.models.registry_v2 import ModelManifest
from loguru import logger

from arr_coc.eval.bridge import DEFAULT, N_FRAMES, Bridge

LONGEST = 16
"""New tokens where a task does not say."""


def manifest() -> ModelManifest:
    """What lmms-eval is told about this model."""
    return ModelManifest(model_id="arr_coc", simple_class_path=f"{__name__}.{ArrCoc.__name__}")


class ArrCoc(lmms):
    """A model whose visual tokens are chosen by `scorer`, `budget` of them; `scorer=full`: the model itself.

    `budget` is a fraction kept with a point (0.11) or a count (64); `batch_size=auto` begins with 32, and a
    batch that the memory does not take is halved. Answers are greedy. Arguments and errors as in `Bridge`.
    """

    is_simple = True

    def __init__(
        self,
        pretrained: str = DEFAULT.model,
        scorer: str = "efe",
        budget: float | int | str = 0.11,
        dtype: str = DEFAULT.dtype,
        seed: int = DEFAULT.seed,
        n_frames: int = N_FRAMES,
        batch_size: int | str = DEFAULT.batch_size,
        device: str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        size = DEFAULT.batch_size if batch_size == "auto" else int(batch_size)
        self._bridge = Bridge.built(
            pretrained, scorer, budget, dtype, seed, n_frames, device, min(size, max_batch_size or size)
        )
        self._device = torch.device(self._bridge.loaded.model.device)

    @property
    def device(self) -> torch.device:
        """Where lmms-eval puts what processes tell each other."""
        return self._device

    def clean(self) -> None:
        """Let go of the model when everything is answered, to make room for a judge."""
        del self._bridge
        super().clean()

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Answers in the order of the requests. One that failed is empty, and why is logged."""
        found: dict[str, str] = {}
        longest = [_longest(request.args[1]) for request in requests]
        for length in sorted(set(longest)):
            items = (
                self._item(number, request)
                for number, request in enumerate(requests)
                if longest[number] == length
            )
            for sample in self._bridge.answered(items, length):
                if sample.error:
                    logger.error(f"request {sample.id} counts as wrong: {sample.error}")
                found[sample.id] = sample.answer
        return [
            _cut(found[str(number)], request.args[1].get("until") or ())
            for number, request in enumerate(requests)
        ]

    def _item(self, number: int, request: Instance) -> Any:
        question, _, pictures_of, document, task, split = request.args
        return self._bridge.item(
            str(number), question, pictures_of(self.task_dict[task][split][document]) or ()
        )

    def loglikelihood(self, requests: Sequence[Instance]) -> NoReturn:
        """Not supported."""
        self._refuse("loglikelihood", "its version that generates (output_type: generate_until)")

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> NoReturn:
        """Not supported."""
        self._refuse("several rounds", "one whose questions are asked once")

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise NotImplementedError(f"arr_coc generates answers and cannot do {what}: take {instead}")


def _longest(given: dict[str, Any]) -> int:
    """New tokens of an answer. Raises ValueError for sampling and beams: they would be ignored in silence."""
    temperature = given.get("temperature")
    sampled = bool(given.get("do_sample")) and (temperature is None or temperature > 0)
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
