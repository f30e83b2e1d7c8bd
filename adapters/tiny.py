"""Tiny random models of the real classes, and inputs for them: what the laws are checked on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
class Tiny:
    """A tiny model with a maker of inputs."""

    model: Any
    shown: Mapping[str, Shown]
    """`image`, and `video` where the family has it."""
    types: bool = False
    """Whether the processor also gives `mm_token_type_ids`."""

    def inputs(self, rows: Sequence[Row], side: str = "left") -> dict[str, Tensor]:
        """What the processor would return, padded on one side. A row does not depend on the others."""
        prompts: list[list[int]] = []
        drawn: dict[str, list[Tensor]] = {}
        for row in rows:
            generator = torch.Generator().manual_seed(row.seed)
            ids = [BOS]
            for part in row.parts:
                if isinstance(part, int):
                    ids += torch.randint(WORDS.start, WORDS.stop, (part,), generator=generator).tolist()
                    continue
                ids += self.shown[part].ids
                for name, tensor in self.shown[part].draw(generator).items():
                    drawn.setdefault(name, []).append(tensor)
            prompts.append(ids)
        input_ids = padded(prompts, PAD, side)
        batch = {
            "input_ids": input_ids,
            "attention_mask": padded([[1] * len(ids) for ids in prompts], 0, side),
        }
        if self.types:
            batch["mm_token_type_ids"] = (input_ids == PICTURE).int() + 2 * (input_ids == CLIP).int()
        return batch | {name: torch.cat(tensors) for name, tensors in drawn.items()}


def padded(rows: list[list[int]], filler: int, side: str) -> Tensor:
    """One tensor of rows of unequal length."""
    longest = max(map(len, rows))
    fill = [[filler] * (longest - len(row)) for row in rows]
    return torch.tensor([f + r if side == "left" else r + f for f, r in zip(fill, rows, strict=True)])


def decoder(model_type: str, **changes: Any) -> dict[str, Any]:
    """Config of a tiny language model."""
    size = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4}
    ids = {"vocab_size": VOCABULARY, "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": None}
    other = {"num_key_value_heads": 2, "max_position_embeddings": 4096, "tie_word_embeddings": False}
    return {"model_type": model_type} | size | ids | other | changes


def randomised(model: Any) -> Any:
    """Weights large enough that every token matters: an untrained projector is nearly constant otherwise."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 0.1 if parameter.ndim > 1 else 0.02
            noise = scale * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise if parameter.ndim > 1 else parameter + noise)
    model.generation_config.eos_token_id = None  # so that every row writes as much as it is asked to
    model.generation_config.pad_token_id = PAD
    return model.float().eval()
