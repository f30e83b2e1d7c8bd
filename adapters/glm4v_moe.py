"""GLM-4.5V: GLM-4V with a mixture of experts."""

import transformers

from arr_coc.adapters.glm4v import IDS, MODALITIES, VISION, WHOLE_ROPE, pictures_only
from arr_coc.adapters.qwen3_vl import grids
from arr_coc.adapters.tiny import Tiny, decoder, randomised
from arr_coc.family import FAMILIES, Family


def tiny() -> Tiny:
    """36 tokens a picture."""
    text = decoder(
        "glm4v_moe_text",
        head_dim=16,
        rope_parameters=WHOLE_ROPE,
        n_routed_experts=2,  # all of them, or rounding may send a token to another one
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=1,
    )
    config = transformers.Glm4vMoeConfig(vision_config=VISION, text_config=text, **IDS)
    return pictures_only(randomised(transformers.Glm4vMoeForConditionalGeneration, config))


FAMILIES.add("glm4v_moe", Family(grids=grids, tiny=tiny, modalities=MODALITIES))
