"""PerceptionLM: pictures in square tiles and frames of films, seen by timm's Perception Encoder."""

import torch
import transformers

from arr_coc.adapters.grids import unknown
from arr_coc.adapters.tiny import CLIP, PICTURE, Shown, Tiny, decoder, picture, randomised
from arr_coc.family import FAMILIES, Family


def tiny() -> Tiny:
    """9 tokens a tile, of which a picture has 4; 2 frames a film."""
    config = transformers.PerceptionLMConfig(
        vision_config={
            "model_type": "timm_wrapper",
            "architecture": "vit_pe_core_large_patch14_336",
            "hidden_size": 32,
            "do_pooling": False,
            "model_args": {
                "embed_dim": 32,
                "img_size": [48, 48],
                "patch_size": 8,
                "depth": 2,
                "num_heads": 4,
                "global_pool": "",
                "use_post_transformer_norm": False,
                "init_values": 0.1,
                "ref_feat_shape": [6, 6],
            },
        },
        text_config=decoder("llama"),
        image_token_id=PICTURE,
        video_token_id=CLIP,
        projector_pooling_ratio=2,
    )
    model = randomised(transformers.PerceptionLMForConditionalGeneration, config)
    image = picture({"pixel_values": (1, 4, 3, 48, 48)}, 4 * 9)
    film = Shown(
        lambda generator: {"pixel_values_videos": torch.randn(1, 2, 3, 48, 48, generator=generator)},
        (CLIP,) * 2 * 9,
    )
    return Tiny(model, {"image": image, "video": film})


FAMILIES.add("perception_lm", Family(grids=unknown, tiny=tiny, needs=("timm",)))
