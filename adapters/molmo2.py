"""Molmo 2: features are added to the placeholders' embeddings; all pictures see each other both ways."""

from dataclasses import replace

import torch
import transformers
from torch import Tensor

from arr_coc.adapters.grids import unknown
from arr_coc.adapters.tiny import END, PICTURE, START, Tiny, decoder, flat, picture, randomised
from arr_coc.family import FAMILIES, IMAGE, VIDEO, Family

PATCHES = 36


def numbered(rows: list[list[dict[str, Tensor]]]) -> dict[str, Tensor]:
    """Patches are counted through all pictures of the batch."""
    batch = flat(rows)
    if batch:
        batch["image_token_pooling"] = torch.arange(PATCHES * len(batch["image_grids"])).view(-1, 1)
    return batch


def tiny() -> Tiny:
    """36 tokens a picture."""
    text = decoder("molmo2_text", head_dim=16, additional_vocab_size=8)
    del text["model_type"]
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 8}
    config = transformers.Molmo2Config(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "image_size": [24, 24],
            "patch_size": 4,
            "num_position_embeddings": PATCHES,
        }
        | heads,
        adapter_config={
            "vision_feature_layer": [1, 0],
            "hidden_size": 32,
            "intermediate_size": 48,
            "text_hidden_size": 64,
        }
        | heads,
        text_config=text,
        image_start_token_id=START,
        image_end_token_id=END,
        image_patch_id=PICTURE,
        low_res_image_start_token_id=14,
        frame_start_token_id=15,
        frame_end_token_id=16,
    )
    model = randomised(transformers.Molmo2ForConditionalGeneration, config)
    image = picture(
        {"pixel_values": (1, PATCHES, 48)},
        PATCHES,
        image_token_pooling=torch.arange(PATCHES).view(-1, 1),
        image_grids=torch.tensor([[6, 6, 0, 0]]),
    )
    return Tiny(model, {"image": image}, types="mm_token_type_ids", collate=numbered)


FAMILIES.add(
    "molmo2",
    Family(
        grids=unknown,
        tiny=tiny,
        modalities=(IMAGE, replace(VIDEO, token_id="image_token_id")),
        note="Pictures see each other in both directions: a second one in a later turn is not both at once.",
    ),
)
