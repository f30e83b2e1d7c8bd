"""nano-qwen before training: the processor and a model of the real transformers classes."""

from transformers import (
    PaddleOCRVLProcessor,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from arr_coc.eval.nano.build import BOS, CHAT, EOS, IMAGE, MEAN, PAD, STD, tokenizer, vocabulary

VIDEO, START, END = "<video>", "<vision_start>", "<vision_end>"
"""Words that the model's configuration must name and no prompt contains."""
PATCH, MERGE = 8, 2
TOKEN = PATCH * MERGE
"""Pixels along a side of what becomes one visual token."""
FEWEST, MOST = 100, 1024
"""Visual tokens of a picture; smaller and larger pictures are resized."""
PLANE = 2
"""Block of the tower, from 0, that the DeepStack plane is taken after."""


def processor() -> PaddleOCRVLProcessor:
    """Pictures keep their size, rounded to 16 pixels; the picture comes before the question.

    This processor class pairs Qwen's picture processing with a tokenizer and does not ask for torchvision, as
    Qwen's own does for the sake of films.
    """
    pictures = Qwen2VLImageProcessorPil(
        size={"shortest_edge": FEWEST * TOKEN**2, "longest_edge": MOST * TOKEN**2},
        patch_size=PATCH,
        temporal_patch_size=2,
        merge_size=MERGE,
        image_mean=list(MEAN),
        image_std=list(STD),
    )
    return PaddleOCRVLProcessor(pictures, tokenizer(reading=True), chat_template=CHAT)


def model(hidden: int = 128, vision_layers: int = 4, text_layers: int = 5) -> Qwen3VLForConditionalGeneration:
    """A random nano-qwen: patches merged 2 x 2, one DeepStack plane, Qwen3 decoder, 2.6 M parameters."""
    ids = vocabulary(reading=True)
    vision = {
        "depth": vision_layers,
        "hidden_size": hidden,
        "intermediate_size": 3 * hidden,
        "num_heads": hidden // 32,
        "hidden_act": "quick_gelu",
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
        "temporal_patch_size": 2,
        "out_hidden_size": hidden,
        "num_position_embeddings": 24**2,
        "deepstack_visual_indexes": [PLANE],
    }
    text = {
        "vocab_size": len(ids),
        "hidden_size": hidden,
        "intermediate_size": hidden * 5 // 2,
        "num_hidden_layers": text_layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        # Wide, and most channels slow: those compare content at any distance.
        "head_dim": hidden * 3 // 8,
        "max_position_embeddings": 2048,
        "initializer_range": hidden**-0.5,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 100_000_000.0,
            "mrope_section": [hidden // 16] * 3,
            "mrope_interleaved": True,
        },
        "pad_token_id": ids[PAD],
        "bos_token_id": ids[BOS],
        "eos_token_id": ids[EOS],
        "tie_word_embeddings": True,
    }
    config = Qwen3VLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=ids[IMAGE],
        video_token_id=ids[VIDEO],
        vision_start_token_id=ids[START],
        vision_end_token_id=ids[END],
        tie_word_embeddings=True,
        pad_token_id=ids[PAD],
        bos_token_id=ids[BOS],
        eos_token_id=ids[EOS],
    )
    return Qwen3VLForConditionalGeneration(config)
