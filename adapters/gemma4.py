"""Gemma 4: pictures of any size; inputs per layer, and layers that share keys."""

from typing import Any

import torch
import transformers

from arr_coc.adapters.gemma3 import LAYERS, SLIDES
from arr_coc.adapters.grids import unknown
from arr_coc.adapters.tiny import CLIP, END, PICTURE, START, VOCABULARY, Tiny, decoder, picture, randomised
from arr_coc.family import FAMILIES, Family

IDS: dict[str, Any] = {
    "image_token_id": PICTURE,
    "video_token_id": CLIP,
    "boi_token_id": START,
    "eoi_token_id": END,
    "audio_token_id": 14,
    "boa_token_id": 15,
    "eoa_token_index": 16,
}


def tiny() -> Tiny:
    """36 tokens a picture."""
    config = transformers.Gemma4Config(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "head_dim": 8,
            "pooling_kernel_size": 2,
            "patch_size": 2,
            "position_embedding_size": 64,
        },
        text_config=decoder(
            "gemma4_text",
            num_hidden_layers=4,
            head_dim=16,
            global_head_dim=16,
            sliding_window=4096,
            layer_types=[*LAYERS, "full_attention"],
            num_kv_shared_layers=2,
            hidden_size_per_layer_input=16,
            vocab_size_per_layer_input=VOCABULARY,
            use_bidirectional_attention="vision",
            tie_word_embeddings=True,
        ),
        audio_config=None,
        **IDS,
    )
    model = randomised(transformers.Gemma4ForConditionalGeneration, config)
    side = torch.arange(12)
    at = torch.stack(torch.meshgrid(side, side, indexing="xy"), -1).reshape(1, 144, 2)
    image = picture({"pixel_values": (1, 144, 12)}, 36, image_position_ids=at)
    return Tiny(model, {"image": image}, types="mm_token_type_ids")


FAMILIES.add("gemma4", Family(grids=unknown, tiny=tiny, note=SLIDES))
