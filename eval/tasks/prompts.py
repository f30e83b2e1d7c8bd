"""How a question is worded for a family of models: templates by `model_type`, `default` for all others.

The defaults are LLaVA's, which nearly every paper on token pruning uses; Qwen's are those that its published
figures were made with (VLMEvalKit's prompts for Qwen2-VL and Qwen2.5-VL, lmms-eval's for Qwen3-VL).
"""

from collections.abc import Sequence
from string import ascii_uppercase

Wording = dict[str, str]
"""`model_type` to a template of {hint}, {question} and {options}; a hint brings its own line, or is empty."""

_QWEN_SHORT = "{hint}{question}\nPlease try to answer the question with short words or phrases if possible."
_QWEN_LETTER = (
    "{hint}Question: {question}\nOptions:\n{options}\n"
    "Please select the correct answer from the options above."
)
_QWEN3_LETTER = "{hint}Question: {question}\nOptions:\n{options}\nAnswer with the option letter only."
_DIRECTLY = "Answer with the option's letter from the given choices directly."

SHORT: Wording = {
    "default": "{hint}{question}\nAnswer the question using a single word or phrase.",
    "qwen2_vl": _QWEN_SHORT,
    "qwen2_5_vl": _QWEN_SHORT,
    "qwen3_vl": _QWEN_SHORT,
}
YES_NO: Wording = {
    "default": "{question}\nAnswer the question using a single word or phrase.",
    "qwen2_vl": "{question} Please answer yes or no.",
    "qwen2_5_vl": "{question} Please answer yes or no.",
    "qwen3_vl": "{question} Please answer yes or no.",
}
LETTER: Wording = {
    "default": "{hint}{question}\n{options}\n" + _DIRECTLY,
    "qwen2_vl": _QWEN_LETTER,
    "qwen2_5_vl": _QWEN_LETTER,
    "qwen3_vl": _QWEN3_LETTER,
}
GIVEN: Wording = {"default": "{question}\n" + _DIRECTLY}
"""The question brings its own options."""
AS_IT_IS: Wording = {"default": "{question}"}
"""The question says how to answer."""

HINT: Wording = {
    "default": "{hint}\n",
    "qwen2_vl": "Hint: {hint}\n",
    "qwen2_5_vl": "Hint: {hint}\n",
    "qwen3_vl": "Hint: {hint}\n",
}
CONTEXT: Wording = {"default": "Context: {hint}\n"}


def asked(
    wording: Wording,
    family: str,
    question: str,
    options: Sequence[str] = (),
    hint: str | None = None,
    leads: Wording = HINT,
) -> str:
    """The question, word for word. `leads` says how a hint is put before it."""
    lead = leads.get(family, leads["default"]).format(hint=hint.strip()) if hint and hint.strip() else ""
    listed = "\n".join(f"{mark}. {option}" for mark, option in zip(ascii_uppercase, options, strict=False))
    template = wording.get(family, wording["default"])
    return template.format(hint=lead, question=question.strip(), options=listed)
