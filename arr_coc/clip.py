"""A CLIP beside the model rates parts of pictures by the question: for towers that have no text side."""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

FOLDERS = ("local-dir:", "hf-hub:")
"""What open_clip writes before the name of a folder, or of a repository, that holds a config and weights."""


@dataclass(frozen=True, eq=False)
class OpenClip:
    """Cosine of every patch with the question: patches of the last layer go through the final norm and the
    projection that the class token goes through.

    As TRIM (https://arxiv.org/abs/2409.10994) and CDPruner (https://arxiv.org/abs/2506.10967) rate tokens,
    there with the towers that the language model was trained on. What is handed over by `arr_coc.rated`.
    """

    model: Any
    """An `open_clip.CLIP` in evaluation mode, whose vision tower is a ViT of open_clip's own."""
    prepare: Callable[[Image.Image], Float[Tensor, "3 height width"]]
    """A picture as its tower takes it: squashed, nothing cropped off."""
    tokenize: Callable[[list[str]], Tensor]
    """Questions as its text side takes them. Those of open_clip cut off what is longer, mostly 77 tokens."""
    batch_size: int = 32
    """Pictures that are looked at in one call."""

    def __post_init__(self) -> None:
        tower = self.model.visual
        whole = isinstance(tower, _open_clip().transformer.VisionTransformer)
        if not whole or tower.attn_pool is not None or tower.proj is None:
            raise ValueError(
                f"the patches of this CLIP's {type(tower).__name__} are pooled by attention before they "
                "can be compared with words: choose one with a plain ViT, such as ViT-L-14-336-quickgelu"
            )

    @torch.no_grad()
    def rates(
        self, pictures: Sequence[Sequence[Image.Image]], questions: Sequence[str]
    ) -> list[list[Float[Tensor, "1 grid_h grid_w"]]]:
        """Cosines in [-1, 1], for each row of pictures with its question: one map a picture, of patches.

        A map covers the whole picture, so give what the language model is shown, if its processor crops.
        Frames of a film: `torch.cat` their maps.
        """
        ids = self.tokenize(list(questions)).to(self.model.visual.proj.device)
        words: Tensor = self.model.encode_text(ids, normalize=True)
        shown = [(row, picture) for row, these in enumerate(pictures) for picture in these]
        maps: list[Tensor] = []
        for start in range(0, len(shown), self.batch_size):
            rows, batch = zip(*shown[start : start + self.batch_size], strict=True)
            pixels = torch.stack([self.prepare(picture.convert("RGB")) for picture in batch])
            asked = words[list(rows)][:, None, None]
            maps += (self._patches(pixels) * asked).sum(3, keepdim=True).float().movedim(3, 1)
        left = iter(maps)
        return [[next(left) for _ in these] for these in pictures]

    def _patches(
        self, pixels: Float[Tensor, "picture 3 height width"]
    ) -> Float[Tensor, "picture grid_h grid_w dim"]:
        """Where the class token ends up, for patches; of length 1."""
        tower = self.model.visual
        said = tower.forward_intermediates(
            pixels.to(tower.proj), indices=1, normalize_intermediates=True, intermediates_only=True
        )
        return normalize(said["image_intermediates"][0].movedim(1, 3) @ tower.proj, dim=3)


def load_clip(name: str, weights: str | None = None, device: str | torch.device = "cpu") -> OpenClip:
    """One that open_clip knows by name (`ViT-L-14-336-quickgelu`), with weights of a tag or in a file.

    Or a folder (`local-dir:FOLDER`) or repository (`hf-hub:OWNER/NAME`) of open_clip's, without `weights`.
    Weights are only read: no code of theirs is run. Raises ModuleNotFoundError without open_clip, KeyError
    for an unknown name, ValueError for weights that are not given, FileNotFoundError for those not found.
    """
    library = _open_clip()
    if not name.startswith(FOLDERS):
        if name not in library.list_models():
            raise KeyError(
                f"open_clip has no model called {name!r}: `open_clip.list_models()` names them; for a folder "
                f"write {FOLDERS[0]}FOLDER"
            )
        if not weights:
            tags = ", ".join(library.list_pretrained_tags_by_model(name)) or "none"
            raise ValueError(f"{name!r} needs weights: a file, or one of open_clip's tags for it: {tags}")
    try:
        model = library.create_model(
            name,
            weights,
            device=device,
            force_preprocess_cfg={"resize_mode": "squash"},
            require_pretrained=True,
            weights_only=True,
        )
        tokenizer = library.get_tokenizer(name)
    except (OSError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FileNotFoundError(
            f"cannot load the CLIP {name!r} with the weights {weights!r}: not in the cache, not to be had, "
            f"or not weights of this model ({said})"
        ) from error
    plan = library.get_model_preprocess_cfg(model)
    kept = {key: plan[key] for key in ("mean", "std", "interpolation", "resize_mode")}
    prepare = library.image_transform(plan["size"], is_train=False, **kept)
    return OpenClip(model.eval(), prepare, tokenizer)


def _open_clip() -> Any:
    """The package. Raises ModuleNotFoundError that names the extra, ValueError if it cannot be imported."""
    try:
        import open_clip
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is not installed: pip install 'arr-coc[clip]'", name="open_clip"
        ) from error
    except RuntimeError as error:
        raise ValueError(
            f"open_clip cannot be imported ({error}): torchvision has to be built for the torch that is "
            "installed: pip install 'arr-coc[clip]'"
        ) from error
    return open_clip
