"""The right answer in one string: plain, several as a JSON list, a choice as a JSON object."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from string import ascii_uppercase


@dataclass(frozen=True)
class Choice:
    """The right one of some options."""

    letter: str
    options: tuple[str, ...]
    """Texts of A, B, C and so on."""

    def __post_init__(self) -> None:
        if self.letter not in self.letters:
            raise ValueError(f"the answer {self.letter!r} is none of the {len(self.options)} options")

    @property
    def letters(self) -> str:
        """The letters that there are."""
        return ascii_uppercase[: len(self.options)]

    @property
    def text(self) -> str:
        """As it is kept in a record."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @staticmethod
    def read(text: str) -> "Choice":
        """Back from the record."""
        found = json.loads(text)
        return Choice(found["letter"], tuple(found["options"]))


def several(answers: Sequence[str]) -> str:
    """Answers that people gave, or that count as right. Raises ValueError if there are none."""
    given = [str(answer) for answer in answers or () if answer is not None]
    if not given:
        raise ValueError("no right answer is given")
    return json.dumps(given, ensure_ascii=False)


def single(answer: object) -> str:
    """The one right answer. Raises ValueError if there is none."""
    text = "" if answer is None else str(answer).strip()
    if not text:
        raise ValueError("no right answer is given")
    return text


def answers(gold: str) -> list[str]:
    """All right answers of a record of several."""
    found: list[str] = json.loads(gold)
    return found


def best(gold: str) -> str:
    """What a perfect model would say: the letter, or what most people said."""
    if gold.startswith('{"letter"'):
        return Choice.read(gold).letter
    if gold.startswith('["'):
        return Counter(answers(gold)).most_common(1)[0][0]
    return gold
