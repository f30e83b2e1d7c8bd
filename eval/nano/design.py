"""What the two shipped models differ in, as data: what a visual token can say, and how pictures are shown."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from arr_coc.eval.nano import MODELS, build, build_qwen
from arr_coc.eval.nano.bodies import Body, Llava, Qwen
from arr_coc.eval.nano.build import BLANK, FIRST, GROUND, NEXT, vocabulary
from arr_coc.eval.nano.reading import LETTERS
from arr_coc.eval.nano.scene import CHARACTERS, COLORS, PATCH, PLACES, SHAPES, SIZES


@dataclass(frozen=True)
class Design:
    """One of the shipped models."""

    body: Body
    """How it sees and reads."""
    processor: Callable[[], Any]
    folder: Path
    """Where the trained model is."""
    ids: dict[str, int]
    """Word -> id."""
    groups: dict[str, tuple[str, ...]]
    """What a visual token can say, group by group; it is taught to be the sum of its words' embeddings."""
    token: int
    """Pixels along a side of a visual token, in a picture as the processor gives it."""
    sides: tuple[int, ...]
    """Visual tokens along a side of the pictures in training, the usual first: half of them, if there are
    others."""
    plane: tuple[str, ...] = ()
    """Groups that the DeepStack plane says once more."""
    longest: int = 4
    """Tokens of an answer, at most."""
    dtype: torch.dtype = torch.float32
    """Of the weights that are shipped; in training they are used in bfloat16."""
    pages: float = 0.0
    """Share of training that is reading."""
    confined: bool = False
    """Whether a centre is shared only among tokens that its thing owns: large tokens are often others'."""

    @property
    def words(self) -> dict[str, Int[Tensor, " words"]]:
        """Ids of each group's words."""
        return {
            group: torch.tensor([self.ids[word] for word in words]) for group, words in self.groups.items()
        }


_GROUPS: dict[str, tuple[str, ...]] = {
    "color": tuple(COLORS),
    "shape": SHAPES,
    "size": tuple(SIZES),
    "character": (*CHARACTERS, BLANK),
    "cell": PLACES,
    "ground": (GROUND,),
}
_READING = {
    "character": (*CHARACTERS, *(letter for letter in LETTERS if letter not in CHARACTERS), BLANK),
    "next": NEXT,
    "first": (FIRST,),
}
LLAVA = Design(Llava(), build.processor, MODELS["nano-llava"], vocabulary(), _GROUPS, PATCH, sides=(24,))
QWEN = Design(
    Qwen(),
    build_qwen.processor,
    MODELS["nano-qwen"],
    vocabulary(reading=True),
    _GROUPS | _READING,
    build_qwen.TOKEN,
    sides=(12, *range(10, 33)),
    plane=tuple(_READING),
    longest=8,
    dtype=torch.bfloat16,
    pages=0.3,
    confined=True,
)
DESIGNS = {"nano-llava": LLAVA, "nano-qwen": QWEN}
