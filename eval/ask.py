"""Answer a question about a picture with all visual tokens and with fewer, and show what was kept."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from arr_coc.eval.answer import Answers
from arr_coc.eval.looking import answered
from arr_coc.eval.method import FULL, Budget, Method
from arr_coc.eval.models import Loaded
from arr_coc.eval.pictures import Panel, as_seen, kept_picture
from arr_coc.eval.prompt import encoded, prompt, rated


@dataclass(frozen=True)
class Told:
    """What one way of answering gave."""

    method: str
    budget: Budget
    answers: Answers

    @property
    def title(self) -> str:
        """As in a table."""
        return f"{self.method} {self.budget}"


def ask(
    loaded: Loaded,
    image: Image.Image,
    question: str,
    settings: list[tuple[Method, Budget]],
    max_new_tokens: int,
    out: Path,
    gold: str | None = None,
    seed: int = 0,
) -> list[Told]:
    """Answers with all tokens and with each setting; writes the picture of what each of them kept."""
    needs = {tap for method, budget in settings for tap in method.needs(budget, seed, loaded.experts)}
    inputs = rated(loaded, prompt(loaded, [[image]], [question]), [[image]], [question], needs)
    inputs = encoded(loaded, inputs, needs)
    told = []
    for method, budget in [(FULL, 1.0), *settings]:
        said = answered(loaded, (method, budget), inputs, [[image]], [question], seed, max_new_tokens)
        told.append(Told(method.name, budget, said))
    pixels = inputs.inputs.get("pixel_values")
    seen = as_seen(image, pixels[0] if pixels is not None else None, loaded.processor)
    panels = [
        Panel(one.title, one.answers.keep[0], one.answers.texts[0])
        for one in told
        # A picture that was made smaller may have other tokens than the one that is drawn.
        if len(one.answers.keep[0]) == int(inputs.visual.sum())
    ]
    kept_picture(out, seen, inputs.grids[0], question, panels, gold)
    return told
