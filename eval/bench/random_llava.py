"""A random LLaVA with a decoder of real size and a tiny vision tower: what is timed is the prefill."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

SIDE, PATCH, IMAGE_TOKEN = 336, 14, 31_999
VISUAL = (SIDE // PATCH) ** 2


@dataclass(frozen=True)
class RandomLlava:
    """Sizes of the decoder; 22 layers of 1024 are 0.32 G parameters."""

    layers: int = 22
    dim: int = 1024
    hidden: int = 2816
    heads: int = 16
    vocabulary: int = 32_000
    side: int = SIDE
    """Of the picture, in pixels."""
    seed: int = 0

    @property
    def visual(self) -> int:
        """Visual tokens of a picture."""
        return int((self.side // PATCH) ** 2)

    def model(self) -> Any:
        """The real class with random weights, float32, evaluation mode."""
        config = LlavaConfig(
            vision_config=CLIPVisionConfig(
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=self.side,
                patch_size=PATCH,
            ),
            text_config=LlamaConfig(
                vocab_size=self.vocabulary,
                hidden_size=self.dim,
                intermediate_size=self.hidden,
                num_hidden_layers=self.layers,
                num_attention_heads=self.heads,
                num_key_value_heads=self.heads,
                max_position_embeddings=2048,
                tie_word_embeddings=True,
            ),
            image_token_index=min(IMAGE_TOKEN, self.vocabulary - 1),
            tie_word_embeddings=True,
        )
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(self.seed)  # inside a fork: the caller's random state is left alone
            model = LlavaForConditionalGeneration(config)
            # An untrained projector is nearly constant, and would make every token the same.
            for parameter in model.model.multi_modal_projector.parameters():
                parameter.normal_(0, 0.2)
        return model.eval()

    def inputs(self, words: int, batch: int = 1) -> dict[str, Tensor]:
        """A picture of noise a row, with half of the words before it and half behind it."""
        generator = torch.Generator().manual_seed(self.seed)
        text = torch.randint(10, self.vocabulary - 10, (batch, words), generator=generator)
        image = torch.full((batch, self.visual), min(IMAGE_TOKEN, self.vocabulary - 1))
        ids = torch.cat([text[:, : words // 2], image, text[:, words // 2 :]], dim=1)
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "pixel_values": torch.randn(batch, 3, self.side, self.side, generator=generator),
        }
