"""Rows of the benchmarks that let one choose: one function a benchmark, called with a number."""

from arr_coc.eval.tasks.samples.drawing import MOST, Row, colours, lettered, png, thing


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


def realworldqa(n: int) -> Row:
    options, letter = lettered(n)
    listed = "\n".join(f"{mark}. {option}" for mark, option in zip("ABCD", options, strict=True))
    request = "Please answer directly with only the letter of the correct option and nothing else."
    if n % 2:
        return {"image": png(n), "question": f"Which color?\n{listed}\n{request}", "answer": letter}
    request = "Please answer directly with a single word or number."
    return {"image": png(n), "question": f"How many shapes? {request}", "answer": str(thing(n)[2])}


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
