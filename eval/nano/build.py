"""nano-llava before training: the tokenizer, the processor and a model of the real transformers classes."""

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from arr_coc.eval.nano.questions import COUNTS, YES_NO
from arr_coc.eval.nano.reading import LETTERS
from arr_coc.eval.nano.scene import CHARACTERS, COLORS, PATCH, PLACES, SHAPES, SIDE, SIZES

PAD, BOS, EOS, UNK, IMAGE, CENTRE, GROUND, BLANK = (
    "<pad>",
    "<bos>",
    "<eos>",
    "<unk>",
    "<image>",
    "<centre>",
    "<ground>",
    "<blank>",
)
"""The last three are said only by patches, in training: "a thing's centre", "no thing", "nothing written"."""
FIRST, LAST = "<first>", "<last>"
NEXT = (*(f"<then {letter}>" for letter in LETTERS), LAST)
"""As the last three, of a letter in a word: it is the first one, this one comes next, none does."""
N_VISUAL = (SIDE // PATCH) ** 2
MEAN, STD = (0.37, 0.34, 0.36), (0.15, 0.15, 0.15)
CHAT = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: "
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %} {% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


def vocabulary(reading: bool = False) -> dict[str, int]:
    """Word -> id. One word is one token, so that an answer is one token; what is read is spelled.

    With `reading`, behind the others, what reading needs: more letters, which letter comes next.
    """
    words = [PAD, BOS, EOS, UNK, IMAGE, CENTRE, GROUND, BLANK, "user:", "assistant:", "?"]
    words += [
        *COLORS,
        *SHAPES,
        *SIZES,
        *YES_NO,
        *CHARACTERS,
        *(n for n in COUNTS if n not in CHARACTERS),
        *PLACES,
    ]
    words += [
        "is",
        "there",
        "a",
        "what",
        "color",
        "shape",
        "size",
        "the",
        "object",
        "objects",
        "how",
        "many",
        "are",
        "at",
        "written",
        "on",
    ]
    words += ["left", "right", "of", "above", "below", "bigger", "smaller", "than"]
    if reading:
        words += ["<video>", "<vision_start>", "<vision_end>", "word", "spelled", *LETTERS, FIRST, *NEXT]
    return {word: i for i, word in enumerate(dict.fromkeys(words))}


def tokenizer(reading: bool = False) -> PreTrainedTokenizerFast:
    """Lower case, split at white space and before question marks; unknown words become <unk>."""
    backend = Tokenizer(models.WordLevel(vocabulary(reading), unk_token=UNK))
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace("?", " ? ")])
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD, bos_token=BOS, eos_token=EOS, unk_token=UNK,
        extra_special_tokens={"image_token": IMAGE},
        padding_side="left",
        model_max_length=2048,
    )  # fmt: skip


def processor() -> LlavaProcessor:
    """Pictures of any size are resized to 192 x 192; the picture comes before the question."""
    pictures = CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        do_center_crop=False,
        image_mean=list(MEAN),
        image_std=list(STD),
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
        image_token=IMAGE,
    )


def model(hidden: int = 128, vision_layers: int = 4, text_layers: int = 5) -> LlavaForConditionalGeneration:
    """A random nano-llava: CLIP tower, 24 x 24 patches, Llama decoder, tied embeddings, 1.9 M parameters."""
    ids = vocabulary()
    vision = CLIPVisionConfig(
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=vision_layers,
        num_attention_heads=hidden // 32,
        image_size=SIDE,
        patch_size=PATCH,
        projection_dim=hidden,
    )
    text = LlamaConfig(
        vocab_size=len(ids),
        hidden_size=hidden,
        intermediate_size=hidden * 5 // 2,
        num_hidden_layers=text_layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        # Wide: at a distance of 600 tokens only the slow rotary channels compare content.
        head_dim=hidden * 3 // 8,
        max_position_embeddings=2048,
        initializer_range=hidden**-0.5,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000_000.0},
        pad_token_id=ids[PAD], bos_token_id=ids[BOS], eos_token_id=ids[EOS],
        tie_word_embeddings=True,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=ids[IMAGE],
        image_seq_length=N_VISUAL,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
        pad_token_id=ids[PAD],
    )
    return LlavaForConditionalGeneration(config)
