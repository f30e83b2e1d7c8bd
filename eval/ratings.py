"""What a CLIP beside the model says of a batch, once for all methods that read it, as `efe+clip`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from arr_coc.clip import FOLDERS, OpenClip, load_clip
from arr_coc.decide import wait
from arr_coc.eval.models import Loaded


@dataclass(frozen=True)
class Ratings:
    """A map a picture, row by row, and what they took."""

    maps: list[list[Float[Tensor, "1 _ _"]]]
    ms: float
    """Milliseconds for all of them: every setting that reads them is charged with it, as for deciding."""

    def of(self, rows: Sequence[int]) -> "Ratings":
        """Those of some rows, which are paid for already."""
        return Ratings([self.maps[row] for row in rows], 0.0)


def with_clip(loaded: Loaded, clip: str) -> Loaded:
    """With a CLIP on the same device, by the words of `--clip`; without, if there are none.

    Raises what `load_clip` raises.
    """
    if not clip:
        return loaded
    name, _, weights = (clip, "", "") if clip.startswith(FOLDERS) else clip.partition(":")
    return replace(loaded, clip=load_clip(name, weights, loaded.model.device))


def rate(clip: OpenClip, pictures: Sequence[Sequence[Image.Image]], questions: Sequence[str]) -> Ratings:
    """Its ratings, and the time from pictures in memory to maps."""
    device = clip.model.visual.proj.device
    wait(device)
    start = perf_counter()
    maps = clip.rates(pictures, questions)
    wait(device)
    return Ratings(maps, 1000 * (perf_counter() - start))
