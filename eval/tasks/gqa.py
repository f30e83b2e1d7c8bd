"""GQA: compositional questions about scene graphs, one word each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from arr_coc.eval.metrics.gold import single
from arr_coc.eval.metrics.rule import EXACT, Rule
from arr_coc.eval.tasks import rows
from arr_coc.eval.tasks.benchmark import Benchmark
from arr_coc.eval.tasks.prompts import SHORT, Wording
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub
from arr_coc.eval.tasks.task import TASKS, Item

PICTURES = "testdev_balanced_images"


@TASKS.register("gqa")
@dataclass(frozen=True)
class GQA(Benchmark):
    """GQA (https://arxiv.org/abs/1902.09506), testdev balanced: exact match.

    Rows: id, imageId, question, answer, types (structural, semantic, detailed). Pictures are a second table
    (id, image), looked up by imageId; a table that has a column `image` of its own needs no second one.
    """

    hub: ClassVar[Hub] = Hub("lmms-lab-encoder/GQA", ("testdev",), ("testdev_balanced_instructions",))
    wording: ClassVar[Wording] = SHORT
    rule: ClassVar[Rule] = EXACT

    def rows(self, split: str) -> Iterator[Row]:
        """Questions with their pictures: those stay in memory, packed as they are stored (398 of them)."""
        pictures: dict[str, Any] | None = None
        for row in rows.read(self.hub, self.data, split):
            if "image" not in row:
                if pictures is None:
                    table = rows.read(Hub(self.hub.repo, self.hub.splits, (PICTURES,)), self.data, split)
                    pictures = {one["id"]: one["image"] for one in table}
                row = {**row, "image": pictures.get(row["imageId"])}
            yield row

    def read(self, row: Row) -> Item:
        """The kind is the structural type: verify, query, choose, logical, compare."""
        return Item(
            id=str(row["id"]),
            picture=str(row["imageId"]),
            image=self.picture(row["image"]),
            question=self.ask(row["question"]),
            gold=single(row["answer"]),
            kind=row["types"]["structural"],
        )
