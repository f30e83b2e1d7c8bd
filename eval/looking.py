"""Answer in a setting: once, or from more and more tokens until the model is sure (`cascade:0.05`)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from math import inf

from PIL import Image

from arr_coc.allocate import Allocator
from arr_coc.budgets.auto import Ledger
from arr_coc.cascade import Cascade, Looks
from arr_coc.eval.answer import Answers, answer
from arr_coc.eval.method import FULL, Budget, Method, alpha_of
from arr_coc.eval.models import Loaded
from arr_coc.eval.prompt import Prompt, encoded, prompt
from arr_coc.eval.smaller import Setting, as_shown


def answered(
    loaded: Loaded,
    setting: Setting,
    shown: Prompt,
    pictures: Sequence[Sequence[Image.Image]],
    questions: Sequence[str],
    seed: int,
    max_new_tokens: int,
    ledger: Ledger | None = None,
    watch: bool = False,
    shared: Callable[[Allocator], Allocator] = lambda allocator: allocator,
) -> Answers:
    """Greedy answers in a setting. `shown` are the pictures and questions, prepared as they are.

    `ledger`: what a budget that holds a mean has spent; `watch`: and how surprising the answers are;
    `shared`: an allocator that chooses alike, with less work. A prompt that is looked at again is asked from
    the beginning, with all its words, and that counts.
    """
    method, budget = setting
    alpha = alpha_of(budget)
    if alpha is None:
        seen, allocator = as_shown(loaded, setting, shown, pictures, questions, seed, ledger)
        return answer(loaded, seen, allocator and shared(allocator), max_new_tokens, watch)
    looks, going, so_far = looks_of(loaded, method, alpha), list(range(len(questions))), None
    ratings = shown.ratings
    steps: list[tuple[Method, Budget, float]] = [
        (method, ratio, limit) for ratio, limit in zip(looks.ratios, looks.limits, strict=True)
    ]
    for way, share, limit in [*steps, (FULL, 1.0, inf)]:
        asked, shows = [questions[i] for i in going], [pictures[i] for i in going]
        if so_far is not None:
            again = prompt(loaded, shows, asked)
            taps = way.needs(share, seed, loaded.experts)
            shown = again if shown.encoded is None else encoded(loaded, again, taps)
            shown = replace(shown, ratings=ratings and ratings.of(going))
        look = answer(
            loaded, *as_shown(loaded, (way, share), shown, shows, asked, seed), max_new_tokens, watch=True
        )
        so_far = look if so_far is None else _after(so_far, look, going)
        going = [i for i, nats in zip(going, look.surprise or (), strict=True) if nats >= limit]
        if not going:
            break
    assert so_far is not None
    return so_far


def looks_of(loaded: Loaded, method: Method, alpha: float) -> Looks:
    """Raises ValueError where nothing was rehearsed, or with another method."""
    if loaded.cascade is None:
        raise ValueError(
            f"the budget cascade:{alpha} has to know how sure is sure enough: run arr-coc calibrate MODEL "
            f"--method {method.name}, and give its file with --need"
        )
    if loaded.cascade.method != method.name:
        raise ValueError(
            f"the looks of this cascade were rehearsed with {loaded.cascade.method}, and the bound does not "
            f"hold for {method.name}: run arr-coc calibrate MODEL --method {method.name}"
        )
    return _looks(loaded.cascade, alpha)


@lru_cache(maxsize=16)
def _looks(cascade: Cascade, alpha: float) -> Looks:
    """Once, not with every batch."""
    return cascade.looks(alpha)


def _after(before: Answers, look: Answers, going: Sequence[int]) -> Answers:
    """What is known after one more look at some of the rows."""
    texts, keep, surprise = list(before.texts), list(before.keep), list(before.surprise or ())
    words, by_layer = list(before.words), list(before.by_layer)
    for nth, row in enumerate(going):
        texts[row], keep[row] = look.texts[nth], look.keep[nth]
        surprise[row] = (look.surprise or ())[nth]
        words[row] += look.words[nth]
        by_layer[row] = [then + now for then, now in zip(by_layer[row], look.by_layer[nth], strict=True)]
    return replace(
        look,
        texts=texts,
        keep=keep,
        surprise=surprise,
        words=words,
        by_layer=by_layer,
        seconds=before.seconds + look.seconds,
        prefill_ms=before.prefill_ms + look.prefill_ms,
        select_ms=before.select_ms + look.select_ms,
        kv_bytes=max(before.kv_bytes, look.kv_bytes),
    )
