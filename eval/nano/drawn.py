"""A picture that is drawn when somebody looks at it: whoever only counts items does not wait for it."""

from collections.abc import Callable
from typing import Any

from PIL import Image


class Drawn(Image.Image):
    """An RGB picture of a known size, like one that Pillow has opened and not yet decoded."""

    _draw: Callable[[], Image.Image] | None = None  # a copy has been drawn

    def __init__(self, size: tuple[int, int], draw: Callable[[], Image.Image]) -> None:
        super().__init__()
        self._size, self._mode = size, "RGB"
        self._draw = draw

    def load(self) -> Any:
        """Draw it, once. Everything in Pillow that needs pixels calls this first."""
        if self._draw is not None:
            drawn = self._draw()
            self.im, self._size, self._draw = drawn.im, drawn.size, None
        return super().load()
