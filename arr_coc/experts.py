"""What the question would like to see, by several witnesses at once: a product of experts.

How far each source of relevance is to be trusted is its precision, which is learned: see `trust`.
"""

from dataclasses import asdict, dataclass
from json import dumps, loads
from math import isfinite
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from arr_coc.preference import PREFERENCES, check_habit, log_preference, needed_by, witnessed
from arr_coc.relevance import RELEVANCE
from arr_coc.types import Pictures

KIND = "arr-coc preference"
"""What a file says that it holds."""
LEARNED = "learned"
WAY_OUT = "run arr-coc calibrate MODEL, and give its file with --need, or load_experts(FILE) to the scorer"


@PREFERENCES.register(LEARNED)
@dataclass(frozen=True)
class Experts:
    """Wanted is what several sources agree on, each trusted as far as it says: `log_preference`, in nats.

    z_s is the score of source s, standardised over the picture; a negative gamma_s turns it around, and at 0
    it has no say. Without sources nothing was learned, and calling it says how to.
    """

    sources: tuple[str, ...] = ()
    """Names in `RELEVANCE`."""
    gammas: tuple[float, ...] = ()
    """Precision of each."""
    eps: float = 0.1
    """Habit of looking everywhere: share of the preference that is uniform."""
    alone: tuple[tuple[str, float], ...] = ()
    """What each source that was tried explains by itself, in pictures that it was not learned from: the mean
    of ln(N pi) over where the answer looked."""
    together: float = 0.0
    """What those that are left explain together, in the same pictures."""
    most: float = 0.0
    """What there is to explain in them: KL from where the answer looked to everywhere alike."""

    def __post_init__(self) -> None:
        if len(self.sources) != len(self.gammas):
            raise ValueError(
                f"every source has one gamma; got {len(self.sources)} sources, {len(self.gammas)} gammas"
            )
        check_habit(self.eps)
        if not all(map(isfinite, (*self.gammas, self.together, self.most))):
            raise ValueError(f"gammas and nats must be finite, got {self.gammas}")
        for name in self.sources:
            RELEVANCE[name]  # says what there is

    @property
    def needs(self) -> tuple[str, ...]:
        """What the sources read of the vision tower. Raises ValueError where nothing was learned."""
        if not self.sources:
            raise ValueError(f"the preference {LEARNED!r} has to be learned first: {WAY_OUT}")
        return needed_by(self.sources)

    def __call__(self, pictures: Pictures) -> Float[Tensor, "picture visual"]:
        """ln(N pi) of every token; 0 at padding."""
        _ = self.needs  # says that nothing was learned
        z = witnessed(self.sources, pictures)
        return log_preference(z, pictures.valid, z.new_tensor(self.gammas), z.new_tensor(self.eps))

    def save(self, path: str | Path) -> None:
        """Write a JSON file."""
        Path(path).write_text(dumps({"kind": KIND, **asdict(self)}, indent=2) + "\n", encoding="utf-8")


def load_experts(path: str | Path) -> Experts:
    """Read what `Experts.save` wrote. Raises ValueError for a file that holds something else."""
    try:
        said = loads(Path(path).read_text(encoding="utf-8"))
        if said["kind"] != KIND:
            raise ValueError(f"it says {said['kind']!r}")
        eps, together, most = (float(said[name]) for name in ("eps", "together", "most"))
        gammas = tuple(float(gamma) for gamma in said["gammas"])
        alone = tuple((str(source), float(nats)) for source, nats in said["alone"])
        return Experts(tuple(map(str, said["sources"])), gammas, eps, alone, together, most)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged or holds no preference ({error}): {WAY_OUT}") from error
