"""Draw the samples that lie here: ten rows of every benchmark, in its own schema, with answers that are true.

`python eval/tasks/samples/make.py` writes them again; nothing in them comes from a benchmark.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset, Features, Image, List, Value, disable_progress_bars

from arr_coc.eval.tasks.samples import choices, words
from arr_coc.eval.tasks.samples.drawing import Row, colours, film, png

TABLES = (
    words.vqav2,
    words.textvqa,
    words.vizwiz,
    words.pope,
    choices.scienceqa_img,
    choices.mmbench,
    choices.mmbench_cn,
    words.mme,
    choices.mmstar,
    choices.mmmu,
    choices.seed_bench,
    choices.ai2d,
    words.chartqa,
    words.docvqa,
    words.infovqa,
    words.ocrbench,
    choices.realworldqa,
    words.refcoco,
    words.chair,
    choices.blink,
    choices.muirbench,
)


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
    save([choices.videomme(number) for number in range(10)], folder / "videomme/test-00000-of-00001.parquet")
    pictures = [{"id": f"n{number}", "image": png(number)} for number in range(10)]
    for name, rows in (("instructions", [words.gqa(number) for number in range(10)]), ("images", pictures)):
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
