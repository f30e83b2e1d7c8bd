"""LLaVA-OneVision: pictures in tiles as LLaVA-NeXT, films with pooled frames."""

import torch
import transformers

from arr_coc.adapters.grids import unknown
from arr_coc.adapters.llava_next import PIXELS, SIZES, TILES, TOKENS
from arr_coc.adapters.tiny import CLIP, PICTURE, Shown, Tiny, decoder, picture, randomised, tower
from arr_coc.family import FAMILIES, Family


def tiny() -> Tiny:
    """88 tokens a picture; a film of 8 frames of 4 tokens and one line end."""
    config = transformers.LlavaOnevisionConfig(
        vision_config=tower("siglip_vision_model", 16, vision_use_head=False),
        text_config=decoder("qwen2"),
        image_token_index=PICTURE,
        video_token_index=CLIP,
        image_grid_pinpoints=TILES,
    )
    film = Shown(
        lambda generator: {"pixel_values_videos": torch.randn(1, 8, 3, 16, 16, generator=generator)},
        (CLIP,) * (8 * 4 + 1),
    )
    model = randomised(transformers.LlavaOnevisionForConditionalGeneration, config)
    image = picture({"pixel_values": PIXELS}, TOKENS, image_sizes=SIZES)
    return Tiny(model, {"image": image, "video": film})


FAMILIES.add(
    "llava_onevision",
    Family(grids=unknown, tiny=tiny, note="Line ends are visual tokens and can be dropped."),
)
