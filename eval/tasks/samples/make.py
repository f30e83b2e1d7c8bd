"""Draw the samples that lie here: ten rows of every benchmark, in its own schema, with answers that are true.

`python eval/tasks/samples/make.py` writes them again; nothing in them comes from a benchmark.
"""

import json
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Image, List, Value, disable_progress_bars
from PIL import Image as Pillow
from PIL import ImageDraw

Row = dict[str, Any]
COLOURS = ("red", "green", "blue", "yellow", "purple")
SHAPES = ("circle", "square")
SIZE = (96, 72)
MOST = 4
"""Shapes in a picture, from one on."""


def thing(number: int) -> tuple[str, str, int]:
    """Colour, shape and count of a picture."""
    return COLOURS[number % 5], SHAPES[number % 2], number % MOST + 1


def boxes(number: int) -> list[tuple[int, int, int, int]]:
    """Where the shapes of a picture are: left, top, right, bottom."""
    top = 8 + 4 * (number % 5)
    return [(4 + 22 * at, top, 22 + 22 * at, top + 18) for at in range(thing(number)[2])]


def drawn(number: int, text: str = "") -> Pillow.Image:
    """A picture of some shapes, with words under them if there are any."""
    colour, shape, _ = thing(number)
    picture = Pillow.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(picture)
    for box in boxes(number):
        (pen.ellipse if shape == "circle" else pen.rectangle)(box, fill=colour)
    pen.text((4, 54), text, fill="black")
    return picture


def png(number: int, text: str = "") -> Row:
    """As `datasets` keeps a picture."""
    file = BytesIO()
    drawn(number, text).quantize(16).save(file, "PNG", optimize=True)
    return {"bytes": file.getvalue(), "path": f"{number}.png"}


def colours(number: int) -> tuple[list[str], int]:
    """Four options, and which one is right."""
    right = COLOURS.index(thing(number)[0])
    options = [COLOURS[(right + step) % 5] for step in range(4)]
    turn = number % 4
    return options[-turn:] + options[:-turn] if turn else options, turn


def people(answer: str) -> list[str]:
    """Ten people, eight of whom agree."""
    return [answer] * 8 + ["no idea", f"{answer} thing"]


def lettered(number: int) -> tuple[list[str], str]:
    """Options and the letter of the right one."""
    options, right = colours(number)
    return options, "ABCD"[right]


def vqav2(n: int) -> Row:
    kind, question, answer = (
        ("other", "What color are the shapes?", thing(n)[0]) if n % 2 else
        ("number", "How many shapes are there?", str(thing(n)[2]))
    )  # fmt: skip
    given = [
        {"answer": one, "answer_confidence": "yes", "answer_id": number + 1}
        for number, one in enumerate(people(answer))
    ]
    return {
        "question_type": "what", "multiple_choice_answer": answer, "answers": given, "image_id": n,
        "answer_type": kind, "question_id": 1000 + n, "question": question, "image": png(n),
    }  # fmt: skip


def gqa(n: int) -> Row:
    types = {"semantic": "attr", "structural": "query", "detailed": "categoryAttr"}
    return {
        "id": f"2{n:05d}", "imageId": f"n{n}", "question": f"Which color is the {thing(n)[1]}?",
        "answer": thing(n)[0], "fullAnswer": f"The {thing(n)[1]} is {thing(n)[0]}.", "isBalanced": True,
        "types": types,
    }  # fmt: skip


def textvqa(n: int) -> Row:
    word = f"{thing(n)[0]} {n}"
    return {
        "image_id": f"t{n}", "question_id": 34000 + n, "question": "what is written below the shapes?",
        "image": png(n, word), "image_width": SIZE[0], "image_height": SIZE[1], "answers": people(word),
        "image_classes": ["Poster"], "set_name": "val", "ocr_tokens": word.split(),
    }  # fmt: skip


def vizwiz(n: int) -> Row:
    answer = "unanswerable" if n == 9 else thing(n)[0]
    question = "what is the price?" if n == 9 else "what color is this?"
    return {
        "question_id": f"VizWiz_val_{n:08d}.jpg", "image": png(n), "question": question,
        "answers": people(answer), "category": "unanswerable" if n == 9 else "other",
    }  # fmt: skip


def pope(n: int) -> Row:
    asked = thing(n)[1] if n % 2 else "dog"
    return {
        "id": str(n), "question_id": str(n // 3 + 1), "question": f"Is there a {asked} in the image?",
        "answer": "yes" if n % 2 else "no", "image_source": f"drawn_{n}", "image": png(n),
        "category": ("adversarial", "popular", "random")[n % 3],
    }  # fmt: skip


def scienceqa_img(n: int) -> Row:
    options, right = colours(n)
    return {
        "image": png(n), "question": "Which color do these shapes have?", "choices": options, "answer": right,
        "hint": "Look at the picture." if n % 2 else "", "task": "closed choice", "grade": "grade2",
        "subject": "natural science", "topic": "physics", "category": "Light", "skill": "Name colors",
        "lecture": "", "solution": "",
    }  # fmt: skip


def _mmbench(n: int, question: str, hint: str) -> Row:
    options, letter = lettered(n)
    fourth = "nan" if letter != "D" and n % 2 else options[3]
    return {
        "index": n, "question": question, "hint": hint if n % 3 == 0 else "nan", "answer": letter,
        "A": options[0], "B": options[1], "C": options[2], "D": fourth, "category": "attribute_recognition",
        "image": png(n), "source": "drawn", "L2-category": "finegrained_perception", "comment": "nan",
        "split": "dev",
    }  # fmt: skip


def mmbench(n: int) -> Row:
    return _mmbench(n, "Which color are the shapes?", "All shapes have one color.")


def mmbench_cn(n: int) -> Row:
    return _mmbench(n, "图中的形状是什么颜色？", "所有形状颜色相同。")


def mme(n: int) -> Row:
    picture = n // 2
    colour = thing(picture)[0] if n % 2 == 0 else "black"
    return {
        "question_id": f"color/{picture}.png", "image": png(picture),
        "question": f"Are the shapes {colour}? Please answer yes or no.",
        "answer": "Yes" if n % 2 == 0 else "No", "category": "color" if picture < 3 else "code_reasoning",
    }  # fmt: skip


def mmstar(n: int) -> Row:
    options, letter = lettered(n)
    listed = ", ".join(f"{mark}: {option}" for mark, option in zip("ABCD", options, strict=True))
    return {
        "index": n, "question": f"Which color are the shapes?\nOptions: {listed}", "image": png(n),
        "answer": letter, "category": ("coarse perception", "math")[n % 2],
        "l2_category": ("image style & quality", "geometry")[n % 2],
        "meta_info": {"source": "drawn", "split": "val", "image_path": f"{n}.png"},
    }  # fmt: skip


def mmmu(n: int) -> Row:
    options, letter = lettered(n)
    choice = n % 5 != 4
    row = {
        "id": f"validation_Art_{n + 1}", "options": str(options) if choice else "[]", "explanation": "",
        "question": f"<image 1> Which color are the shapes{' and those in <image 2>' if n == 3 else ''}?",
        "img_type": "['Drawing']", "answer": letter if choice else str(thing(n)[2]),
        "topic_difficulty": "Easy", "question_type": "multiple-choice" if choice else "open",
        "subfield": "Drawing",
    }  # fmt: skip
    if not choice:
        row["question"] = "<image 1> How many shapes are there?"
    pictures = {f"image_{number}": None for number in range(1, 8)}
    return row | pictures | {"image_1": png(n)} | ({"image_2": png(n)} if n == 3 else {})


def seed_bench(n: int) -> Row:
    options, letter = lettered(n)
    film = n >= 8
    return {
        "answer": letter, "choice_a": options[0], "choice_b": options[1], "choice_c": options[2],
        "choice_d": options[3], "data_id": f"{n}", "data_type": "video" if film else "image",
        "question": "What color do the shapes have?", "question_id": f"{n}",
        "question_type_id": 10 if film else 2, "image": [png(n)] * (4 if film else 1), "segment": [],
    }  # fmt: skip


def ai2d(n: int) -> Row:
    options, right = colours(n)
    return {
        "question": "Which color is shown?", "options": options, "answer": str(right), "image": png(n),
    }  # fmt: skip


def chartqa(n: int) -> Row:
    return {
        "type": "human_test" if n % 2 else "augmented_test", "question": "How many shapes are in the chart?",
        "answer": str(thing(n)[2]), "image": png(n),
    }  # fmt: skip


def docvqa(n: int) -> Row:
    word = f"No. {4000 + 37 * n}"
    return {
        "questionId": str(300 + n), "question": "What is the number of this document?",
        "question_types": ["handwritten"] if n % 2 else ["form"], "image": png(n, word), "docId": n,
        "ucsf_document_id": f"drawn{n // 2}", "ucsf_document_page_no": str(n % 2), "data_split": "val",
        "answers": [word, word.removeprefix("No. ")],
    }  # fmt: skip


def infovqa(n: int) -> Row:
    return {
        "questionId": str(90000 + n), "question": "How many shapes are shown?", "answers": [str(thing(n)[2])],
        "answer_type": ["non-extractive"], "image": png(n), "image_url": f"drawn-{n}.png",
        "operation/reasoning": ["counting"], "ocr": "", "data_split": "val",
    }  # fmt: skip


def ocrbench(n: int) -> Row:
    formula = n == 9
    word = "E = m C^2" if formula else f"{thing(n)[0].upper()}{n}"
    return {
        "dataset": "HME100k" if formula else "drawn", "question": "what is written in the image?",
        "question_type": (
            "Handwritten Mathematical Expression Recognition" if formula else "Regular Text Recognition"
        ),
        "answer": [word], "image": png(n, word),
    }  # fmt: skip


def realworldqa(n: int) -> Row:
    options, letter = lettered(n)
    listed = "\n".join(f"{mark}. {option}" for mark, option in zip("ABCD", options, strict=True))
    request = "Please answer directly with only the letter of the correct option and nothing else."
    if n % 2:
        return {"image": png(n), "question": f"Which color?\n{listed}\n{request}", "answer": letter}
    request = "Please answer directly with a single word or number."
    return {"image": png(n), "question": f"How many shapes? {request}", "answer": str(thing(n)[2])}


def refcoco(n: int) -> Row:
    left, top, right, bottom = boxes(n)[0]
    return {
        "question_id": str(n), "image": png(n), "question": "Please describe the marked region.",
        "answer": [f"the {thing(n)[0]} {thing(n)[1]} on the left"],
        "segmentation": [float(left), float(top), float(right), float(bottom)],
        "bbox": [float(left), float(top), float(right - left), float(bottom - top)], "iscrowd": 0,
        "file_name": f"drawn_{n}.png",
    }  # fmt: skip


def chair(n: int) -> Row:
    name = ("sports ball", "tv")[n % 2]
    return {
        "image_id": n, "image": png(n), "objects": [name],
        "captions": [f"Some {thing(n)[0]} {'balls' if n % 2 == 0 else 'televisions'} on a white table."],
    }  # fmt: skip


def blink(n: int) -> Row:
    options = [f"the {place} image" for place in ("first", "second")]
    listed = "".join(f"({mark}) {option}\n" for mark, option in zip("AB", options, strict=True))
    return {
        "idx": f"val_Counting_{n + 1}", "question": "Which image has more shapes?", "sub_task": "Counting",
        "image_1": png(n), "image_2": png(4 * n + 3), "image_3": None, "image_4": None, "choices": options,
        "answer": "(B)" if thing(n)[2] < MOST else "(A)", "explanation": "",
        "prompt": f"Which image has more shapes?\nSelect from the following choices.\n{listed}",
    }  # fmt: skip


def muirbench(n: int) -> Row:
    turn = n % 2
    return {
        "idx": str(n), "task": "Counting", "image_relation": "Independent", "image_type": "Drawing",
        "question": f"Which picture shows {thing(n)[0]} shapes?",
        "options": ["<image>", "<image>", "None of them"], "answer": "AB"[turn],
        "image_list": [png(n + turn), png(n + 1 - turn)], "counterpart_idx": str(n ^ 1),
    }  # fmt: skip


def videomme(n: int) -> Row:
    options, letter = lettered(n)
    return {
        "video_id": f"{n + 1:03d}", "duration": ("short", "medium", "long")[n % 3], "domain": "Knowledge",
        "sub_category": "Technology", "url": "", "videoID": f"film{n % 5}", "question_id": f"{n + 1:03d}-1",
        "task_type": "Attribute Perception", "question": "Which color do the shapes have?",
        "options": [f"{mark}. {option}." for mark, option in zip("ABCD", options, strict=True)],
        "answer": letter,
    }  # fmt: skip


def film(path: Path, number: int) -> None:
    """The shapes of a picture, moving down."""
    first, *rest = [
        drawn(number).transform(SIZE, Pillow.Transform.AFFINE, (1, 0, 0, 0, 1, -step), fillcolor="white")
        for step in range(0, 24, 2)
    ]
    first.save(path, save_all=True, append_images=rest, duration=100)


TABLES = (
    vqav2, textvqa, vizwiz, pope, scienceqa_img, mmbench, mmbench_cn, mme, mmstar, mmmu, seed_bench, ai2d,
    chartqa, docvqa, infovqa, ocrbench, realworldqa, refcoco, chair, blink, muirbench,
)  # fmt: skip


def features(rows: list[Row]) -> Features:
    """What `datasets` infers, with pictures as pictures."""
    found = Dataset.from_list(rows).features
    for name in found:
        values = [row[name] for row in rows if row[name] is not None]
        numbered = name.startswith("image_") and name[-1].isdigit()  # may be empty in every row
        if numbered or (values and isinstance(values[0], dict) and "bytes" in values[0]):
            found[name] = Image()
        elif values and isinstance(values[0], list) and values[0] and isinstance(values[0][0], dict):
            found[name] = List(Image()) if "bytes" in values[0][0] else found[name]
        elif name == "segment":
            found[name] = List(Value("float32"))
    return found


def save(rows: list[Row], path: Path) -> None:
    """A table as the hub keeps it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_list(rows, features=features(rows)).to_parquet(path)


def write(folder: Path) -> Iterator[Path]:
    """All of them."""
    for table in TABLES:
        path = folder / f"{table.__name__}.parquet"
        save([table(number) for number in range(10)], path)
        yield path
    for name in ("videomme/data", "mvbench/json", "mvbench/video/clevrer"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    save([videomme(number) for number in range(10)], folder / "videomme/test-00000-of-00001.parquet")
    pictures = [{"id": f"n{number}", "image": png(number)} for number in range(10)]
    for name, rows in (("instructions", [gqa(number) for number in range(10)]), ("images", pictures)):
        save(rows, folder / f"gqa/testdev_balanced_{name}/testdev-00000-of-00001.parquet")
    for number in range(5):
        film(folder / f"videomme/data/film{number}.gif", number)
    for test, start in (("action_count", 0), ("moving_direction", 5)):
        lines = []
        for number in range(start, start + 5):
            options, right = colours(number)
            question, place = "Which color do the shapes have?", "clevrer/" if start else ""
            film(folder / f"mvbench/video/{place}film{number}.gif", number)
            row = {"video": f"film{number}.gif", "question": question, "candidates": options}
            lines.append(row | {"answer": options[right]})
        (folder / f"mvbench/json/{test}.json").write_text(json.dumps(lines, indent=1))
    yield from (folder / "gqa", folder / "videomme", folder / "mvbench")


if __name__ == "__main__":
    disable_progress_bars()
    for path in write(Path(__file__).parent):
        sys.stdout.write(f"{path}\n")
