"""Ask a batch in every setting. What goes wrong with an item is written down, and the rest goes on."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import torch

from arr_coc.allocate import Allocator
from arr_coc.budgets.auto import Ledger
from arr_coc.eval.answer import Answers
from arr_coc.eval.config import RunConfig
from arr_coc.eval.looking import answered
from arr_coc.eval.method import AUTO, BLIND, FULL, target_of
from arr_coc.eval.models import Loaded
from arr_coc.eval.prompt import Prompt, encoded, prompt, rated
from arr_coc.eval.remembered import Memory, remembered
from arr_coc.eval.samples import Key, Sample
from arr_coc.eval.smaller import Setting
from arr_coc.eval.tasks import Item
from arr_coc.eval.tasks.task import looked_at

NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "alloc_failed")
"""What allocators say that raise a RuntimeError: of the CPU, of MPS, of cuBLAS and cuDNN."""
MOST_IN_A_ROW = 20
"""So many model errors one after the other are no longer the items' fault."""


@runtime_checkable
class Rules(Protocol):
    """What the asker has to know of a task."""

    @property
    def max_new_tokens(self) -> int: ...
    def score(self, answer: str, gold: str) -> float: ...


@dataclass
class Asker:
    """Asks, and remembers how large a batch the memory took and how often a setting failed in a row."""

    config: RunConfig
    task: Rules
    loaded: Loaded
    only: tuple[Setting, ...] = ()
    """Instead of every setting of the configuration, with its references."""
    ledgers: dict[Setting, Ledger] = field(default_factory=dict)
    """What each setting has spent, for budgets that hold a mean over all that is asked."""
    watch: bool = False
    """Write down how surprising each answer is."""
    _memory: Memory = field(default_factory=Memory)
    _most: dict[Setting, int] = field(default_factory=dict)
    _failed: dict[Setting, int] = field(default_factory=dict)

    @property
    def settings(self) -> Sequence[Setting]:
        """What is asked about every item, in order."""
        return self.only or self.config.settings()

    def answered(self, batch: list[Item], done: Mapping[Key, Sample]) -> Iterator[list[Sample]]:
        """What is missing of a batch, one list a setting. The pictures are prepared and encoded once for all.

        The whole batch is asked also if a part of it is missing: a model may answer differently in other
        company by a rounding error, and a run that was interrupted must end like one that was not.
        """
        seen = False
        prepared: dict[tuple[str, ...], Prompt] = {}
        for setting in self.settings:
            method, budget = setting
            missing = {i.id for i in batch if (self.config.task, method.name, budget, i.id) not in done}
            if not missing:
                self._note(setting, batch, done)
                continue
            if not seen:  # what is done needs no pictures
                batch, seen = [item if item.fault else looked_at(item) for item in batch], True
            shown = [item for item in batch if not item.fault]
            found = [self._unanswered(setting, i, f"item: {i.fault}") for i in batch if i.fault]
            if any(item.id in missing for item in shown):
                found += self._asked(setting, shown, prepared)
            yield [sample for sample in found if sample.id in missing]

    def _note(self, setting: Setting, items: list[Item], done: Mapping[Key, Sample]) -> None:
        """What an earlier run spent, so that a stream that was interrupted goes on as if it had not been."""
        method, budget = setting
        if not (isinstance(budget, str) and budget.startswith(AUTO)):
            return
        target, ledger = target_of(budget), self.ledgers.setdefault(setting, Ledger())
        for item in items:
            sample = done[(self.config.task, method.name, budget, item.id)]
            n_pictures = 1 if item.film else len(item.pictures)
            if not sample.error:
                whole = isinstance(target, int)
                ledger.note(round(sample.kept), target * n_pictures if whole else target * sample.visual)

    def _asked(
        self, setting: Setting, items: list[Item], prepared: dict[tuple[str, ...], Prompt]
    ) -> list[Sample]:
        """In one call; where that fails, in halves, down to the item that is the reason."""
        most = self._most.get(setting, len(items))
        if len(items) > most:
            return [
                sample
                for start in range(0, len(items), most)
                for sample in self._asked(setting, items[start : start + most], prepared)
            ]
        ledger = replace(self.ledgers.setdefault(setting, Ledger()))
        at_fault = "item"
        try:
            names = tuple(item.id for item in items)
            if names not in prepared:
                inputs = prompt(self.loaded, [i.pictures for i in items], [i.question for i in items])
                at_fault = "model"
                prepared[names] = self._encoded(inputs, items)
            at_fault = "model"
            answers = answered(
                self.loaded,
                setting,
                prepared[names],
                [item.pictures for item in items],
                [item.question for item in items],
                self.config.seed,
                self.task.max_new_tokens,
                ledger,
                self.watch,
                self._shared,
            )
        except Exception as error:
            if len(items) == 1:
                return [self._failure(setting, items[0], at_fault, error)]
            too_large = _out_of_memory(error)
        else:
            self._failed[setting] = 0
            self.ledgers[setting] = ledger  # not before: a call that failed has spent nothing
            return self._samples(setting, items, answers, prepared[names].visual.sum(1).tolist())
        # Outside of the handler: in it, the error's frames would hold the memory that was lacking.
        half = (len(items) + 1) // 2
        if too_large:
            self._most[setting] = half
            prepared.clear()
            _free()
        return self._asked(setting, items[:half], prepared) + self._asked(setting, items[half:], prepared)

    def _shared(self, allocator: Allocator) -> Allocator:
        """One that shares what it scores and climbs with other settings of its scorer, if that is wanted."""
        if not self.config.share_choice:
            return allocator
        budgets = [budget for method, budget in self.settings if method not in (FULL, BLIND)]
        return remembered(allocator, self._memory, budgets)

    def _encoded(self, inputs: Prompt, items: list[Item]) -> Prompt:
        """With what any of the settings needs of the vision tower and of a CLIP, so that each runs once."""
        seed, experts = self.config.seed, self.loaded.experts
        taps = {tap for method, budget in self.settings for tap in method.needs(budget, seed, experts)}
        questions = [item.question for item in items]
        inputs = rated(self.loaded, inputs, [item.pictures for item in items], questions, taps)
        return encoded(self.loaded, inputs, taps) if self.config.share_vision else inputs

    def _failure(self, setting: Setting, item: Item, at_fault: str, error: Exception) -> Sample:
        said = f"{at_fault}: {_said(error)}"
        if at_fault == "model":
            self._failed[setting] = self._failed.get(setting, 0) + 1
            if self._failed[setting] >= MOST_IN_A_ROW:
                raise ValueError(
                    f"{setting[0].name} at {setting[1]} failed on {MOST_IN_A_ROW} items in a row, lastly "
                    f"with {said}: mend that, and go on with --retry"
                ) from error
        return self._unanswered(setting, item, said)

    def _samples(
        self, setting: Setting, items: Sequence[Item], answers: Answers, visual: Sequence[int]
    ) -> list[Sample]:
        share = 1 / len(items)
        timed = not self.config.share_choice
        found = []
        for nth, (item, text) in enumerate(zip(items, answers.texts, strict=True)):
            what: dict[str, Any] = {
                "kept": _mean(answers.by_layer[nth]),
                "visual": visual[nth],
                "words": answers.words[nth],
                "token_layers": sum(answers.by_layer[nth]),
                "by_layer": answers.by_layer[nth] if len(set(answers.by_layer[nth])) > 1 else None,
                "surprise": answers.surprise[nth] if self.watch and answers.surprise else None,
                "kv_bytes": answers.kv_bytes * share,
                "seconds": answers.seconds * share,
                "prefill_ms": answers.prefill_ms * share if timed else None,
                "select_ms": answers.select_ms * share if timed else None,
            }
            score, error = self._scored(text, item)
            found.append(self._sample(setting, item, answer=text, score=score, error=error, **what))
        return found

    def _scored(self, text: str, item: Item) -> tuple[float, str]:
        try:
            return self.task.score(text, item.gold), ""
        except Exception as error:
            return 0.0, f"item: cannot be scored: {_said(error)}"

    def _unanswered(self, setting: Setting, item: Item, error: str) -> Sample:
        return self._sample(
            setting, item, answer="", score=0.0, kept=0, visual=0, words=0, kv_bytes=0.0, error=error
        )

    def _sample(self, setting: Setting, item: Item, **what: Any) -> Sample:
        method, budget = setting
        return Sample(
            id=item.id, task=self.config.task, method=method.name, budget=budget, question=item.question,
            gold=item.gold, kind=item.kind, picture=item.picture, **what,
        )  # fmt: skip


def _mean(by_layer: list[int]) -> int | float:
    """A whole number where every layer saw as many."""
    return by_layer[0] if len(set(by_layer)) == 1 else sum(by_layer) / len(by_layer)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _out_of_memory(error: Exception) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in NO_MEMORY)


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
