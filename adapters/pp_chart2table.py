"""PP-Chart2Table: GOT-OCR 2 under another name."""

import transformers

from arr_coc.adapters.got_ocr2 import VISION
from arr_coc.adapters.grids import squares
from arr_coc.adapters.tiny import PICTURE, Tiny, decoder, picture, randomised
from arr_coc.family import FAMILIES, IMAGE, Family


def tiny() -> Tiny:
    """36 tokens a chart."""
    config = transformers.PPChart2TableConfig(
        vision_config=VISION, text_config=decoder("qwen2"), image_token_index=PICTURE
    )
    model = randomised(transformers.GotOcr2ForConditionalGeneration, config)
    return Tiny(model, {"image": picture({"pixel_values": (1, 3, 96, 96)}, 36)})


FAMILIES.add("pp_chart2table", Family(grids=squares, tiny=tiny, modalities=(IMAGE,)))
