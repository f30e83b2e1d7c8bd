"""VideoLLaMA 3: pictures of any size, with a merge size for each."""

import torch
import transformers

from arr_coc.adapters.grids import unknown
from arr_coc.adapters.tiny import CLIP, PICTURE, Tiny, decoder, picture, randomised, tower
from arr_coc.family import FAMILIES, Family


def tiny() -> Tiny:
    """36 tokens a picture."""
    vision = tower("video_llama_3_vision")
    del vision["image_size"]
    config = transformers.VideoLlama3Config(
        vision_config=vision, text_config=decoder("qwen2"), image_token_id=PICTURE, video_token_id=CLIP
    )
    model = randomised(transformers.VideoLlama3ForConditionalGeneration, config)
    image = picture(
        {"pixel_values": (36, 48)},
        36,
        image_grid_thw=torch.tensor([[1, 6, 6]]),
        image_merge_sizes=torch.tensor([1]),
    )
    return Tiny(model, {"image": image})


FAMILIES.add("video_llama_3", Family(grids=unknown, tiny=tiny))
