"""Ask a model with transformers alone, as its model card would: no code of ours has a hand in it."""

import json
import sys

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor


def main(folder: str, items: str, max_new_tokens: int) -> list[str]:
    """Answers to the lines of a file, each with the path of a picture and a question; one at a time."""
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    answers = []
    with open(items, encoding="utf-8") as lines:
        for line in lines:
            item = json.loads(line)
            content = [{"type": "image"}, {"type": "text", "text": item["question"]}]
            text = processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
            with Image.open(item["picture"]) as picture:
                inputs = processor(images=picture, text=text, return_tensors="pt")
            with torch.no_grad():
                ids = model.generate(**inputs, do_sample=False, max_new_tokens=max_new_tokens)
            new = ids[0, inputs["input_ids"].shape[1] :]
            answers.append(processor.decode(new, skip_special_tokens=True).strip())
    return answers


if __name__ == "__main__":
    json.dump(main(sys.argv[1], sys.argv[2], int(sys.argv[3])), sys.stdout)
