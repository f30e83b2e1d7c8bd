"""Turn pictures and questions into the inputs of a model, and encode the pictures once."""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from arr_coc.encode import Encoded
from arr_coc.encode import encoded as encode
from arr_coc.eval.config import NO_CLIP
from arr_coc.eval.models import Loaded
from arr_coc.eval.pictures import as_seen
from arr_coc.eval.ratings import Ratings, rate
from arr_coc.eval.tasks.task import MARK
from arr_coc.parts import parts_of
from arr_coc.tower import GIVEN


@dataclass(frozen=True)
class Prompt:
    """A batch of questions, each about its pictures, as the model takes it."""

    inputs: dict[str, Any]
    """Keyword arguments of generate(): ids padded on the left, pixels."""
    visual: Bool[Tensor, "batch seq"]
    """True at visual tokens."""
    valid: Bool[Tensor, "batch seq"]
    """False at padding."""
    grids: list[tuple[int, int]]
    """Rows and columns of each row's visual tokens; frames are stacked, several pictures are a line."""
    encoded: Encoded | None = None
    """Output of the vision tower and the projector, if it was run already."""
    ratings: Ratings | None = None
    """What a CLIP beside the model said of the pictures and the questions, if a method reads it."""

    def for_generate(self) -> dict[str, Any]:
        """The arguments of one call; generate() may change what it is given, so each call gets its own."""
        return dict(self.inputs) if self.encoded is None else self.encoded.question(self.inputs)


def prompt(loaded: Loaded, pictures: Sequence[Sequence[Image.Image]], questions: Sequence[str]) -> Prompt:
    """Questions, each about its pictures, through the chat template, then all through the processor."""
    conversations = [
        [{"role": "user", "content": _content(len(shown), question)}]
        for shown, question in zip(pictures, questions, strict=True)
    ]
    texts = loaded.processor.apply_chat_template(conversations, add_generation_prompt=True, tokenize=False)
    batch = loaded.processor(
        images=[list(shown) for shown in pictures],
        text=texts,
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )
    model = loaded.model
    inputs = {
        # Pixels take the model's dtype, ids and masks keep theirs.
        key: value.to(model.device, model.dtype if value.is_floating_point() else value.dtype)
        for key, value in batch.items()
        if isinstance(value, Tensor)
    }
    visual = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
    family = parts_of(model).family
    for modality in family.modalities:
        visual |= inputs["input_ids"] == getattr(model.config, modality.token_id)
    return Prompt(inputs, visual, inputs["attention_mask"].bool(), _grids(family, model, inputs, visual))


def encoded(loaded: Loaded, prompt: Prompt, taps: Iterable[str] = ()) -> Prompt:
    """With its pictures encoded, as generate() does first thing; unchanged where a model cannot.

    `taps`: what the allocators that will be asked need of the vision tower.
    """
    if "mm_encoder_outputs" not in inspect.signature(loaded.model.forward).parameters:
        return prompt
    return replace(prompt, encoded=encode(loaded.model, prompt.inputs, tuple(sorted(set(taps) - set(GIVEN)))))


def rated(
    loaded: Loaded,
    prompt: Prompt,
    pictures: Sequence[Sequence[Image.Image]],
    questions: Sequence[str],
    taps: Iterable[str],
) -> Prompt:
    """With what the CLIP beside the model says of the pictures, as the model is shown them.

    Unchanged where none of `taps`, as in `encoded`, is that. Raises ValueError where no CLIP is there.
    """
    if not set(taps) & set(GIVEN):
        return prompt
    if loaded.clip is None:
        raise ValueError(NO_CLIP)
    pixels, n_pictures = prompt.inputs.get("pixel_values"), sum(map(len, pictures))
    # Patches or tiles are not one tensor a picture: those show all of it.
    shown = pixels if pixels is not None and len(pixels) == n_pictures else [None] * n_pictures
    left = iter(shown)
    seen = [[as_seen(picture, next(left), loaded.processor) for picture in row] for row in pictures]
    words = [" ".join(" ".join(question.split(MARK)).split()) for question in questions]
    return replace(prompt, ratings=rate(loaded.clip, seen, words))


def _content(shown: int, question: str) -> list[dict[str, str]]:
    """Pictures where the question marks their places, else all of them before it."""
    parts = question.split(MARK)
    if len(parts) - 1 != shown:
        return [{"type": "image"}] * shown + [{"type": "text", "text": " ".join(map(str.strip, parts))}]
    words: list[dict[str, str]] = []
    for i, part in enumerate(parts):
        words += [{"type": "image"}] if i else []
        words += [{"type": "text", "text": part}] if part.strip() else []
    return words


def _grids(family: Any, model: Any, inputs: dict[str, Any], visual: Tensor) -> list[tuple[int, int]]:
    known = family.grids(model.config, inputs)
    counts = visual.sum(1).tolist()
    if known is not None and [t * h * w for t, h, w in known] == counts:
        return [(t * h, w) for t, h, w in known]
    # A family that does not say: a square where the count is one, else a single line.
    sides = [round(count**0.5) for count in counts]
    return [(side, side) if side * side == n else (1, n) for side, n in zip(sides, counts, strict=True)]
