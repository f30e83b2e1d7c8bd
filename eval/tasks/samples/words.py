"""Rows of the benchmarks that want an answer in words: one function a benchmark, called with a number."""

from arr_coc.eval.tasks.samples.drawing import SIZE, Row, boxes, people, png, thing


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


def mme(n: int) -> Row:
    picture = n // 2
    colour = thing(picture)[0] if n % 2 == 0 else "black"
    return {
        "question_id": f"color/{picture}.png", "image": png(picture),
        "question": f"Are the shapes {colour}? Please answer yes or no.",
        "answer": "Yes" if n % 2 == 0 else "No", "category": "color" if picture < 3 else "code_reasoning",
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
