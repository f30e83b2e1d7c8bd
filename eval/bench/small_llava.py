"""A folder with a tiny random LLaVA, saved as a user's model is: real classes, nano-llava's processor."""

from pathlib import Path

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from arr_coc.eval.nano.build import EOS, IMAGE, PAD, processor, vocabulary
from arr_coc.eval.nano.scene import PATCH, SIDE


def save(path: Path) -> Path:
    """Write it; always the same one."""
    ids = vocabulary()
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=PATCH,
        ),
        text_config=LlamaConfig(
            vocab_size=len(ids),
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            pad_token_id=ids[PAD],
            eos_token_id=ids[EOS],
            initializer_range=0.3,
        ),
        image_token_index=ids[IMAGE],
        vision_feature_layer=-1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)  # inside a fork: the caller's random state is left alone
        model = LlavaForConditionalGeneration(config)
        for parameter in model.model.multi_modal_projector.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(path)
    processor().save_pretrained(path)
    return path
