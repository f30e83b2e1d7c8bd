"""CHAIR: describe the picture, and name nothing that is not there."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import ClassVar

from arr_coc.eval.metrics import chair
from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import AS_IT_IS, Wording
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Answered, Item

REQUEST = "Please describe this image in detail."


@TASKS.register("chair")
@dataclass(frozen=True)
class CHAIR(Benchmark):
    """CHAIR (https://arxiv.org/abs/1809.02156) on COCO: shares of mentions and captions that are wrong.

    Rows, for which the hub has no copy: image_id, image, objects (names of the COCO objects annotated),
    captions (what people wrote: what they name counts as there). Papers draw 500 pictures of val2014, each
    its own, and cut answers at 64, 128 or 512 tokens: only figures on the same pictures and length compare.
    The words for each object are this project's; `words` takes another list, such as the one of the paper.
    """

    words: str = ""
    """A file with a line for each object: its name, then other words for it, with commas; empty: ours."""

    hub: ClassVar[Hub] = Hub("", ("val", "test"))
    wording: ClassVar[Wording] = AS_IT_IS
    rule: ClassVar[Rule] = Rule(lambda answer, gold: 0.0, lambda answer: len(answer.split()) > 3)
    max_new_tokens: ClassVar[int] = 512
    headline: ClassVar[str] = "chair_s"

    def __post_init__(self) -> None:
        self._table()  # says what is no such list, or not there

    def read(self, row: Row) -> Item:
        """All of one kind. The gold is the list of objects that are there."""
        table = self._table()
        unknown = [thing for thing in row["objects"] or () if thing not in table]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no object of {self.words or 'COCO'}")
        there = {table[thing] for thing in row["objects"] or ()}
        there |= {thing for text in row["captions"] or () for thing in chair.mentions(text, table)}
        return Item(
            id=str(row["image_id"]),
            picture=str(row["image_id"]),
            image=self.picture(row["image"]),
            question=self.ask(REQUEST),
            gold=json.dumps(sorted(there)),
            kind="all",
        )

    def score(self, answer: str, gold: str) -> float:
        """1 if nothing wrong is named, also if nothing is."""
        return float(not self._named(answer, gold).wrong)

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """`chair_i` and `chair_s` (lower is better), `recall` of the objects, and words a caption."""
        named = [self._named(one.answer, one.gold) for one in answered]
        rates = chair.rates(named, [json.loads(one.gold) for one in answered])
        words = fmean(len(one.answer.split()) for one in answered)
        return {"accuracy": 1 - rates["chair_s"], "words": words} | rates

    def _named(self, answer: str, gold: str) -> chair.Named:
        return chair.named(answer, json.loads(gold), self._table())

    def _table(self) -> dict[str, str]:
        return chair.words_of(Path(self.words) if self.words else chair.OBJECTS)
