"""Any generative model as a world: what it imagines comes true."""

from dataclasses import dataclass

from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.names import Axes
from arr_coc.agent.worlds.world import World


@dataclass
class Imagined(World):
    """States start as D says, move as B says, are seen as A says. One for each agent makes worlds as many."""

    imagined: GenerativeModel
    names: Axes | None = None
    """What its axes are called. Default: numbers."""

    @property
    def axes(self) -> Axes:
        """The names given, or numbers."""
        model = self.imagined
        return self.names or Axes(
            states=_numbered("factor", model.n_states),
            observations=_numbered("modality", model.n_obs),
            actions=_numbered("control", model.n_actions),
        )

    def model(self) -> GenerativeModel:
        """The model itself."""
        return self.imagined


def _numbered(kind: str, sizes: tuple[int, ...]) -> dict[str, tuple[str, ...]]:
    return {f"{kind} {i}": tuple(map(str, range(n))) for i, n in enumerate(sizes)}
