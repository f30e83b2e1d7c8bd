"""Tiny random models of the real classes, and inputs for them: what the laws are checked on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

PAD, BOS, PICTURE, CLIP, START, END = 0, 1, 10, 11, 12, 13
"""Ids of padding, of the first word, of the two placeholders, and of what stands around them."""
WORDS = range(30, 310)
VOCABULARY = 320


@dataclass(frozen=True)
class Shown:
    """What one picture or film brings: its tensors, and what stands for it in the prompt."""

    draw: Callable[[torch.Generator], dict[str, Tensor]]
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One prompt: a number is that many random words, a name is something shown. The seed fixes both."""

    seed: int
    parts: tuple[int | str, ...]


@dataclass(frozen=True)
class Prompt:
    """A row in tokens."""

    ids: list[int]
    real: list[int]
    """0 at padding."""
    shown: list[dict[str, Tensor]]


def flat(rows: list[list[dict[str, Tensor]]]) -> dict[str, Tensor]:
    """All pictures of all rows in one list, as most processors give them."""
    every = [shown for row in rows for shown in row]
    names = list(dict.fromkeys(name for shown in every for name in shown))
    return {name: torch.cat([shown[name] for shown in every if name in shown]) for name in names}


def per_row(rows: list[list[dict[str, Tensor]]]) -> dict[str, Tensor]:
    """(batch, pictures, ...), with pictures of zeros where a row has fewer."""
    most = max(map(len, rows))
    if not most:
        return {}
    (name,) = next(shown for row in rows for shown in row)
    nothing = torch.zeros_like(next(shown for row in rows for shown in row)[name])
    of = [[shown[name] for shown in row] + [nothing] * (most - len(row)) for row in rows]
    return {name: torch.stack([torch.cat(row) for row in of])}


@dataclass(frozen=True)
class Tiny:
    """A tiny model with a maker of inputs."""

    model: Any
    shown: Mapping[str, Shown]
    """`image`, and `video` where the family has it."""
    types: str = ""
    """What the processor calls the types of the tokens, where it gives them: `mm_token_type_ids`."""
    type_of: Mapping[str, int] = field(
        default_factory=lambda: {"text": 0, "image": 1, "video": 2, "answer": 0}
    )
    """Type of words, of a picture's tokens, of a film's, and of words that are generated."""
    collate: Callable[[list[list[dict[str, Tensor]]]], dict[str, Tensor]] = flat
    """Puts what the rows show together."""

    def inputs(self, rows: Sequence[Row], side: str = "left") -> dict[str, Tensor]:
        """What the processor would return, padded on one side. A row does not depend on the others."""
        return self.batch([self.prompt(row) for row in rows], side)

    def prompt(self, row: Row) -> Prompt:
        """One row, with nothing around it."""
        generator = torch.Generator().manual_seed(row.seed)
        ids, shown = [BOS], []
        for part in row.parts:
            if isinstance(part, int):
                ids += torch.randint(WORDS.start, WORDS.stop, (part,), generator=generator).tolist()
            else:
                ids += self.shown[part].ids
                shown.append(self.shown[part].draw(generator))
        return Prompt(ids, [1] * len(ids), shown)

    def batch(self, prompts: Sequence[Prompt], side: str = "left") -> dict[str, Tensor]:
        """Rows of one length, and the pictures in the model's precision."""
        input_ids = padded([prompt.ids for prompt in prompts], PAD, side)
        batch = {
            "input_ids": input_ids,
            "attention_mask": padded([prompt.real for prompt in prompts], 0, side),
        }
        if self.types:
            types = torch.where(input_ids == PICTURE, self.type_of["image"], self.type_of["text"])
            batch[self.types] = torch.where(input_ids == CLIP, self.type_of["video"], types)
        shown = self.collate([prompt.shown for prompt in prompts])
        dtype = self.model.dtype
        return batch | {name: x.to(dtype) if x.is_floating_point() else x for name, x in shown.items()}


def padded(rows: list[list[int]], filler: int, side: str) -> Tensor:
    """One tensor of rows of unequal length."""
    longest = max(map(len, rows))
    fill = [[filler] * (longest - len(row)) for row in rows]
    return torch.tensor([f + r if side == "left" else r + f for f, r in zip(fill, rows, strict=True)])


def picture(draw: Mapping[str, tuple[int, ...]], tokens: int, **also: Tensor) -> Shown:
    """Noise in the given shapes, and tensors that are the same for every picture; its tokens in brackets."""

    def drawn(generator: torch.Generator) -> dict[str, Tensor]:
        return {name: torch.randn(shape, generator=generator) for name, shape in draw.items()} | also

    return Shown(drawn, (START, *[PICTURE] * tokens, END))


def decoder(model_type: str, **changes: Any) -> dict[str, Any]:
    """Config of a tiny language model."""
    size = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4}
    ids = {"vocab_size": VOCABULARY, "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": None}
    other = {"num_key_value_heads": 2, "max_position_embeddings": 4096, "tie_word_embeddings": False}
    return {"model_type": model_type} | size | ids | other | changes


def tower(model_type: str, side: int = 24, **changes: Any) -> dict[str, Any]:
    """Config of a tiny vision tower: patches of 4 x 4 pixels."""
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return {"model_type": model_type, "image_size": side, "patch_size": 4} | size | changes


def randomised(kind: Any, config: Any) -> Any:
    """A model with weights so large that every token matters: an untrained projector is nearly constant."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # some models draw what is no weight
        model = kind(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 0.1 if parameter.ndim > 1 else 0.02
            noise = scale * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise if parameter.ndim > 1 else parameter + noise)
    model.generation_config.eos_token_id = None  # so that every row writes as much as it is asked to
    model.generation_config.pad_token_id = PAD
    return model.eval()
