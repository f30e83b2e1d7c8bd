"""Notice, before the base model runs, which positions of a call are visual and where its question ends."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from arr_coc.cache import cache_in
from arr_coc.family import Family


@dataclass(frozen=True)
class Call:
    """A call of the base model."""

    inputs: Mapping[str, Any]
    visual: Bool[Tensor, "batch seq"] | None = None
    """None: it shows no picture."""
    asked: int | None = None
    """Length of the prompt of which this call is a longer version; None: the call is a prompt of its own."""


class Notice:
    """Reads the arguments of the base model; remembers the last prompt that came without a cache."""

    def __init__(self, base: nn.Module, config: Any, family: Family) -> None:
        self._base = base
        self._signature = inspect.signature(base.forward)
        self._token_ids = {way: getattr(config, way.token_id) for way in family.modalities}
        self._prompt: tuple[Any, Tensor] | None = None

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], guessed: int = 0) -> Call:
        """What the base model is about to do. `guessed`: words at its end that are no part of the prompt."""
        inputs = dict(zip(self._signature.parameters, args, strict=False)) | dict(kwargs)
        encoded = inputs.get("mm_encoder_outputs") or {}
        # Only where pixels come in: a model may also *write* a placeholder, which is then a word like others.
        shown = {
            token_id: picture
            for way, token_id in self._token_ids.items()
            for picture in (inputs.get(way.pixels), encoded.get(way.name))
            if picture is not None
        }
        if not shown:
            return Call(inputs)
        ids = inputs.get("input_ids")
        placeholders = [self._placeholder(token_id, ids, inputs.get("inputs_embeds")) for token_id in shown]
        asked = None
        if ids is not None and cache_in(inputs) is None:
            asked = self._continued(next(iter(shown.values())), ids)
        if guessed:
            asked = placeholders[0].shape[1] - guessed
        return Call(inputs, torch.stack(placeholders).any(0), asked)

    def _placeholder(
        self, token_id: int, ids: Tensor | None, embeds: Tensor | None
    ) -> Bool[Tensor, "batch seq"]:
        if ids is not None:
            return ids == token_id
        assert embeds is not None, "transformers demands input_ids or inputs_embeds"
        words = self._base.get_input_embeddings()  # type: ignore[operator]
        word: Tensor = words(torch.tensor(token_id, device=embeds.device))
        return (embeds == word).all(-1)

    def _continued(self, picture: Any, ids: Tensor) -> int | None:
        """Length of the prompt that this call repeats with more text after it; None if it is a new prompt.

        Without a cache, every step of generation is a prefill of the prompt and of all that was answered. If
        the answer counted as question, the selection would drift and differ from that with a cache. So: a
        call without a cache, on the same picture object, whose ids go on from those of the call before it,
        asks what that call asked. Everything else asks with all of its text.
        """
        if self._prompt is not None and self._prompt[0] is picture:
            asked = self._prompt[1]
            n = asked.shape[1]
            if len(asked) == len(ids) and n < ids.shape[1] and torch.equal(ids[:, :n], asked):
                return n
        self._prompt = picture, ids
        return None


def guessed(arguments: Mapping[str, Any]) -> int:
    """How many guesses follow the prompt in a call of the whole model: assisted generation does that.

    They are no question and may be taken back. `generate` asks for the logits of all of them and of the last
    word of the prompt, over a cache, with the pictures encoded: nothing else calls like that.
    """
    wanted = arguments.get("logits_to_keep")
    generates = arguments.get("mm_encoder_outputs") is not None and cache_in(arguments) is not None
    return max(wanted - 1, 0) if isinstance(wanted, int) and generates else 0
