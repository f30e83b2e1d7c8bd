"""GOT-OCR 2: one square a page."""

import transformers

from arr_coc.adapters.grids import squares
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, picture, randomised
from arr_coc.family import FAMILIES, IMAGE, Family

VISION = {
    "hidden_size": 32,
    "output_channels": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 96,
    "patch_size": 4,
    "window_size": 4,
    "global_attn_indexes": [1],
    "mlp_dim": 48,
}


def tiny() -> Tiny:
    """36 tokens a page."""
    config = transformers.GotOcr2Config(
        vision_config=VISION,
        text_config=decoder("qwen2"),
        image_token_index=PICTURE,
    )
    model = randomised(transformers.GotOcr2ForConditionalGeneration, config)
    return Tiny(model, {"image": picture({"pixel_values": (1, 3, 96, 96)}, 36)})


FAMILIES.add("got_ocr2", Family(grids=squares, tiny=tiny, modalities=(IMAGE,)))
