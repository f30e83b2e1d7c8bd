"""How each model sees pictures and reads tokens, for training: one class a model."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.eval.nano import build, build_qwen

PREFIX = 2
"""Tokens before the picture: beginning of sequence, `user:`."""
Grid = tuple[int, int]
"""Rows and columns of visual tokens."""


@dataclass(frozen=True)
class Seen:
    """What the eyes make of a batch of pictures."""

    states: Float[Tensor, "batch visual states"]
    """What the tower knows of each visual token."""
    tokens: Float[Tensor, "batch visual hidden"]
    planes: tuple[Float[Tensor, "batch visual hidden"], ...] = ()
    """DeepStack: added to the tokens behind the first decoder layers."""


@runtime_checkable
class Body(Protocol):
    """What training has to know of a model's insides."""

    @property
    def width(self) -> int:
        """Of `Seen.states`."""
        ...

    def build(self) -> Any:
        """The random model."""
        ...

    def see(self, vlm: Any, pixels: Float[Tensor, "batch 3 height width"]) -> Seen:
        """Through tower and projector."""
        ...

    def positions(
        self, grid: Grid, chosen: Int[Tensor, "batch kept"], place: Int[Tensor, "batch packed"]
    ) -> Int[Tensor, "*axes batch seq"]:
        """Of the prefix, the chosen visual tokens, and packed questions that all come right behind them."""
        ...


@dataclass(frozen=True)
class Llava:
    """CLIP tower, Llama decoder."""

    width: int = 128

    def build(self) -> Any:
        return build.model()

    def see(self, vlm: Any, pixels: Float[Tensor, "batch 3 height width"]) -> Seen:
        states = vlm.model.vision_tower(pixels).last_hidden_state[:, 1:]
        return Seen(states, vlm.model.multi_modal_projector(states))

    def positions(
        self, grid: Grid, chosen: Int[Tensor, "batch kept"], place: Int[Tensor, "batch packed"]
    ) -> Int[Tensor, "batch seq"]:
        past = torch.arange(PREFIX).expand(len(chosen), -1)
        return torch.cat([past, PREFIX + chosen, PREFIX + grid[0] * grid[1] + place], 1)


@dataclass(frozen=True)
class Qwen:
    """Qwen3-VL: patches merged 2 x 2, rows and columns as positions, a DeepStack plane."""

    width: int = 512

    def build(self) -> Any:
        return build_qwen.model()

    def see(self, vlm: Any, pixels: Float[Tensor, "batch 3 height width"]) -> Seen:
        n, _, height, width = pixels.shape
        rows, columns = height // build_qwen.PATCH, width // build_qwen.PATCH
        out = vlm.model.visual(
            patches(pixels), grid_thw=torch.tensor([[1, rows, columns]]).expand(n, -1), return_dict=True
        )
        states = vlm.model.visual.merger.norm(out.last_hidden_state)
        planes = (plane.unflatten(0, (n, -1)) for plane in out.deepstack_features)
        return Seen(states.reshape(n, -1, self.width), out.pooler_output.unflatten(0, (n, -1)), tuple(planes))

    def positions(
        self, grid: Grid, chosen: Int[Tensor, "batch kept"], place: Int[Tensor, "batch packed"]
    ) -> Int[Tensor, "3 batch seq"]:
        past = torch.arange(PREFIX).expand(len(chosen), -1)
        at = (torch.zeros_like(chosen), chosen // grid[1], chosen % grid[1])  # time, row, column
        return torch.stack([torch.cat([past, PREFIX + x, PREFIX + max(grid) + place], 1) for x in at])


def patches(pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "patches values"]:
    """As Qwen's picture processing cuts them: 2 x 2 neighbours together, every picture twice in time."""
    n, channels, height, width = pixels.shape
    patch, merge = build_qwen.PATCH, build_qwen.MERGE
    token = patch * merge
    cut = pixels.reshape(n, channels, height // token, merge, patch, width // token, merge, patch)
    cut = cut.permute(0, 2, 5, 3, 6, 1, 4, 7)  # picture, row, column, row in it, column in it, channel, y, x
    cut = cut[..., None, :, :].expand(*cut.shape[:6], 2, patch, patch)
    return cut.reshape(n * (height // patch) * (width // patch), -1)
