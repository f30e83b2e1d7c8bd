"""Janus: the half that reads pictures; those that it draws are tokens of its vocabulary."""

import transformers

from arr_coc.adapters.grids import squares
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, picture, randomised, tower
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """36 tokens a picture."""
    vision = tower("janus_vision_model", projection_dim=64, depth=2, num_image_tokens=36, mlp_ratio=2.0)
    config = transformers.JanusConfig(
        vision_config=vision,
        text_config=decoder("llama"),
        vq_config={
            "embed_dim": 8,
            "num_embeddings": 16,
            "base_channels": 32,
            "channel_multiplier": [1, 1],
            "num_res_blocks": 1,
            "projection_dim": 64,
            "image_token_embed_dim": 64,
        },
        image_token_id=PICTURE,
    )
    model = randomised(transformers.JanusForConditionalGeneration, config)
    return Tiny(model, {"image": picture({"pixel_values": (1, 3, 24, 24)}, 36)})


FAMILIES.add("janus", Family(grids=squares, tiny=tiny, modalities=(IMAGE,)))
