"""arr-coc as a model of VLMEvalKit, which has no entry points: this module adds it, then runs VLMEvalKit.

    python -m arr_coc.eval.vlmevalkit_bridge --config mine.json      # the arguments of VLMEvalKit's run.py

    {"model": {"mine": {"class": "ArrCoc", "pretrained": "llava-hf/llava-1.5-7b-hf", "budget": 0.11}},
     "data": {"MMStar": {"class": "ImageMCQDataset", "dataset": "MMStar"}}}

From a program, `add()` does the first part. VLMEvalKit asks one question after the other.
"""

import logging
from collections.abc import Sequence
from typing import Any

from vlmeval.vlm.base import BaseModel

from arr_coc.eval.bridge import DEFAULT, N_FRAMES, Bridge
from arr_coc.eval.tasks.task import MARK

logger = logging.getLogger(__name__)


class ArrCoc(BaseModel):
    """A model whose visual tokens are chosen by `scorer`, `budget` of them; `full` is the model itself.

    `budget` is a fraction kept with a point (0.11) or a count (64). Answers are greedy, of at most
    `max_new_tokens`. Prompts are those of the data sets. Arguments and errors as in `Bridge`.
    """

    INTERLEAVE = True
    VIDEO_LLM = False
    """Films are given as frames by VLMEvalKit, or decoded here where it gives their file."""

    def __init__(
        self,
        pretrained: str = DEFAULT.model,
        scorer: str = "efe",
        budget: float | int | str = 0.11,
        max_new_tokens: int = 512,
        dtype: str = DEFAULT.dtype,
        seed: int = DEFAULT.seed,
        n_frames: int = N_FRAMES,
        device: str | None = None,
    ) -> None:
        super().__init__()
        self._bridge = Bridge.built(pretrained, scorer, budget, dtype, seed, n_frames, device, batch_size=1)
        self._longest = max_new_tokens

    def generate_inner(self, message: Sequence[dict[str, Any]], dataset: str | None = None) -> str:
        """The answer to texts, pictures and films in their order.

        Raises RuntimeError where there is none: VLMEvalKit stops, or notes a failure with SKIP_ERR=1.
        """
        shown = [part["value"] for part in message if part["type"] != "text"]
        item = self._bridge.item(str(dataset), _question(message), shown)
        (sample,) = self._bridge.answered(iter([item]), self._longest)
        if sample.error:
            raise RuntimeError(f"no answer about {', '.join(map(str, shown))}: {sample.error}")
        return sample.answer


def add() -> None:
    """Let VLMEvalKit know the class `ArrCoc`, for configuration files, and the model `arr_coc`."""
    from vlmeval import config, vlm

    vlm.ArrCoc = ArrCoc
    config.supported_VLM["arr_coc"] = ArrCoc


def _question(message: Sequence[dict[str, Any]]) -> str:
    """The texts; pictures are marked where they stand, if any text comes before one."""
    texts = [part["type"] == "text" for part in message]
    if sorted(texts) == texts:  # pictures first
        return "\n".join(part["value"] for part in message if part["type"] == "text")
    return "".join(part["value"] if part["type"] == "text" else MARK for part in message)


if __name__ == "__main__":
    add()
    from vlmeval.run import main

    main()
