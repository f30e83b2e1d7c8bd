"""Llama 4: the decoder is one level further down."""

import transformers

from arr_coc.adapters.grids import squares
from arr_coc.adapters.tiny import END, PICTURE, START, Tiny, decoder, picture, randomised
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """16 tokens a tile."""
    config = transformers.Llama4Config(
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "vision_output_dim": 64,
            "image_size": 32,
            "patch_size": 4,
            "pixel_shuffle_ratio": 0.5,
            "projector_input_dim": 64,
            "projector_output_dim": 64,
        },
        text_config=decoder(
            "llama4_text",
            head_dim=16,
            intermediate_size_mlp=96,
            num_local_experts=2,
            attention_chunk_size=8192,
        ),
        image_token_index=PICTURE,
        boi_token_index=START,
        eoi_token_index=END,
    )
    model = randomised(transformers.Llama4ForConditionalGeneration, config)
    return Tiny(model, {"image": picture({"pixel_values": (1, 3, 32, 32)}, 16)})


FAMILIES.add(
    "llama4",
    Family(
        grids=squares,
        tiny=tiny,
        language_model="language_model.model",
        modalities=(IMAGE,),
        note="Chunked attention counts the tokens that are kept.",
    ),
)
