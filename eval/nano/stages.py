"""The stages of training, as data: what is learned in each, how long, and from what it goes on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from arr_coc.eval.nano.curriculum import (
    counting,
    decoder,
    exactly,
    joint,
    precisely,
    rehearsal,
    sizes,
    together,
    tower,
)
from arr_coc.eval.nano.learner import Losses, Nano
from arr_coc.eval.nano.lessons import Batch


@dataclass(frozen=True)
class Stage:
    """One stage of training."""

    losses: Callable[[Nano, Batch, float], Losses]
    steps: int
    batch: int
    questions: int
    rate: float
    """Peak learning rate of AdamW; warm-up over 100 steps, then a cosine to zero."""
    eager: bool = False
    after: tuple[str, ...] = ()
    """Stages whose eyes or language model it goes on from."""
    often: tuple[str, ...] = ()
    """Kinds of question that are asked more often than others."""
    slope: float = -3.0
    """The lower, the fewer large pictures, if there are several sizes."""
    usual: float = 0.5
    """Share of the usual size, if there are several."""
    full: bool = False
    """Whether a batch has as many pictures of any size; else fewer large ones, more small ones."""
    pages: float | None = None
    """Share of reading, if it is not the design's."""
    fixed: bool = False
    """Whether the eyes stay as they are."""
    precise: float = 0.0
    """Share of the steps, the last ones, in float32, as users compute, with weights rounded as they are
    shipped. In bfloat16 large numbers come out otherwise: who was taught to count there says too little."""


FROM_IDEAL = (decoder, rehearsal, counting, exactly)
"""Losses from ideal tokens: nobody looks."""
HARD = ("count", "count", "comparison", "neighbor")
STAGES = {
    "tower": Stage(tower, steps=3000, batch=16, questions=0, rate=2e-3),
    "decoder": Stage(decoder, steps=1400, batch=16, questions=20, rate=2e-3, eager=True),
    "rehearsal": Stage(
        rehearsal, steps=700, batch=16, questions=20, rate=1e-3, eager=True, after=("decoder",), often=HARD
    ),
    "joint": Stage(
        joint, steps=300, batch=12, questions=20, rate=1e-4, after=("tower", "rehearsal"), often=("count",)
    ),
    "again": Stage(
        rehearsal, steps=600, batch=16, questions=20, rate=1e-3, eager=True, after=("rehearsal",),
        often=("count",),
    ),
    "sizes": Stage(
        sizes, steps=1000, batch=12, questions=0, rate=1e-3, after=("tower",),
        slope=0.0, usual=0.1, pages=0.15,
    ),
    "counting": Stage(
        counting, steps=1500, batch=24, questions=8, rate=1e-3, eager=True, after=("again",),
        often=("count",), slope=0.0, usual=0.2, full=True, pages=0.1,
    ),
    "exactly": Stage(
        exactly, steps=400, batch=24, questions=8, rate=5e-4, eager=True, after=("counting",),
        often=("count",), slope=0.0, usual=0.2, full=True, pages=0.1,
    ),
    "precisely": Stage(
        precisely, steps=240, batch=16, questions=12, rate=2e-4, eager=True, after=("joint",),
        often=("count",), slope=0.0, usual=0.15, pages=0.1, fixed=True, precise=1.0,
    ),
    "settling": Stage(
        together, steps=800, batch=12, questions=12, rate=8e-5, eager=True, after=("precisely",),
        often=("count",), slope=0.0, usual=0.1, pages=0.1, precise=1.0,
    ),
}  # fmt: skip
"""In the order of their seeds."""


def stages(model: str) -> dict[str, Stage]:
    """The stages of a model, in order. nano-qwen begins as nano-llava, but counting is learned anew."""
    if model == "nano-llava":
        return {name: STAGES[name] for name in ("tower", "decoder", "rehearsal", "joint")}
    # fmt: off
    changes: dict[str, dict[str, Any]] = {
        "tower": {"steps": 2000},
        "decoder": {"steps": 1000},
        "rehearsal": {},
        "again": {},
        "sizes": {},
        "counting": {},
        "exactly": {},
        "joint": {
            "losses": together, "steps": 450, "questions": 12, "eager": True, "after": ("sizes", "exactly"),
            "slope": 0.0, "usual": 0.15, "pages": 0.15, "precise": 0.15,
        },
        "precisely": {},
        "settling": {},
    }
    # fmt: on
    return {name: replace(STAGES[name], **change) for name, change in changes.items()}
