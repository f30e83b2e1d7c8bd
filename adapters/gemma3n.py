"""Gemma 3n: timm's MobileNet V5 sees; inputs per layer, AltUp, and layers that share keys."""

import torch
import transformers

from arr_coc.adapters.gemma3 import LAYERS, SLIDES
from arr_coc.adapters.grids import squares
from arr_coc.adapters.tiny import END, PICTURE, START, VOCABULARY, Tiny, decoder, picture, randomised
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """36 tokens a picture. The tower has all its layers, but they are narrow."""
    config = transformers.Gemma3nConfig(
        vision_config={
            "hidden_size": 2048,  # what this tower always makes
            "vocab_offset": VOCABULARY,
            "vocab_size": 8,
            "model_args": {"channel_multiplier": 1 / 16, "stem_size": 8, "msfa_output_resolution": 6},
        },
        audio_config={
            "hidden_size": 32,
            "vocab_offset": VOCABULARY + 8,
            "vocab_size": 8,
            "conf_num_attention_heads": 4,
            "conf_num_hidden_layers": 1,
            "sscp_conv_channel_size": [8, 4],
        },
        text_config=decoder(
            "gemma3n_text",
            intermediate_size=512,  # of which 26 pass where 95 % are cut off
            num_hidden_layers=5,
            head_dim=16,
            sliding_window=4096,
            layer_types=[*LAYERS, *LAYERS[:2]],
            num_kv_shared_layers=2,
            hidden_size_per_layer_input=16,
            vocab_size_per_layer_input=VOCABULARY,
            laurel_rank=8,
            activation_sparsity_pattern=[0.95, 0.95, 0.0, 0.0, 0.0],
            tie_word_embeddings=True,
        ),
        vision_soft_tokens_per_image=36,
        image_token_id=PICTURE,
        boi_token_id=START,
        eoi_token_id=END,
        audio_token_id=14,
        boa_token_id=15,
        eoa_token_id=16,
    )
    model = randomised(transformers.Gemma3nForConditionalGeneration, config)
    with torch.no_grad():
        for layer in model.model.language_model.layers:
            # Its attention is not scaled by 1 / sqrt(head_dim): that has to be learned here.
            layer.self_attn.q_norm.weight.mul_(16**-0.5)
    image = picture({"pixel_values": (1, 3, 96, 96)}, 36)
    return Tiny(model, {"image": image}, types="token_type_ids")


FAMILIES.add("gemma3n", Family(grids=squares, tiny=tiny, modalities=(IMAGE,), needs=("timm",), note=SLIDES))
