"""A method and a budget as the command line has them: `efe+merge+ln_n`, `0.11`, `64`, `auto:32`."""

from dataclasses import MISSING, dataclass, fields
from itertools import groupby
from typing import Any

from arr_coc.allocate import Allocator
from arr_coc.budgets import BUDGETS
from arr_coc.budgets.auto import Auto, Ledger
from arr_coc.epistemic import EPISTEMIC
from arr_coc.experts import LEARNED, Experts
from arr_coc.need import Need
from arr_coc.positions import POSITIONS
from arr_coc.preference import PREFERENCES
from arr_coc.registry import Registry
from arr_coc.relevance import RELEVANCE
from arr_coc.scorers import SCORERS

AUTO = "auto:"
CASCADE = "cascade:"
MEANS = (AUTO, "shared:")
"""Before a number that is a mean of many pictures."""
Budget = int | float | str
"""A float in (0, 1] is the fraction kept, an int a count; `auto:0.11`, `auto:64` are means over all prompts,
`shared:0.11`, `shared:64` over the pictures of each; `cascade:0.05` looks again while unsure, and
differs from the full model with that probability; or a name in `BUDGETS`."""
ORIGINAL = "original"
SWITCHES = ("merge", "ln_n", *(policy for policy in POSITIONS if policy != ORIGINAL))
"""Of every method."""
PARTS: dict[str, Registry[Any]] = {"source": RELEVANCE, "epistemic": EPISTEMIC, "preference": PREFERENCES}
"""Settings of a scorer that are switched by a name: `scope+received`, `efe+logdet`, `efe+indifferent`."""


@dataclass(frozen=True)
class Method:
    """A scorer and its switches: one line of a table."""

    scorer: str
    merge: bool = False
    precision: bool = False
    positions: str = ORIGINAL
    parts: tuple[tuple[str, str], ...] = ()
    """Settings of the scorer that are switched, in the order of `PARTS`; the others are its own choice."""

    @staticmethod
    def parse(text: str, merge: bool = False, precision: bool = False, positions: str = ORIGINAL) -> "Method":
        """Read `scorer[+part ...][+merge][+ln_n][+compact or +centroid]`; the other arguments hold for all.

        Raises KeyError for an unknown scorer or policy, ValueError for a switch.
        """
        scorer, *switches = (part.strip() for part in text.split("+"))
        POSITIONS[positions]  # says what there is
        part: Any = None if scorer == FULL.scorer else SCORERS[scorer]
        settings = [] if part is None else [field.name for field in fields(part) if field.name in PARTS]
        named = [(setting, name) for setting in PARTS if setting in settings for name in PARTS[setting]]
        known = (*(name for _, name in named), *SWITCHES)
        for switch in switches:
            if switch not in known:
                raise ValueError(
                    f"method {text!r} has the unknown switch {switch!r}: write SCORER"
                    + "".join(f"[+{name}]" for name in known)
                )
        parts = tuple((setting, name) for setting, name in named if name in switches)
        for setting, group in groupby(parts, lambda part: part[0]):
            names = [name for _, name in group]
            if len(names) > 1:
                raise ValueError(f"method {text!r} has two names for {setting}: choose {' or '.join(names)}")
        policies = [switch for switch in switches if switch in POSITIONS] or [positions]
        if len(policies) > 1:
            raise ValueError(f"method {text!r} has two position policies: choose {' or '.join(policies)}")
        return Method(
            scorer,
            merge or "merge" in switches,
            precision or "ln_n" in switches,
            policies[0],
            parts,
        )

    @property
    def name(self) -> str:
        """The one way to write it."""
        moved = "" if self.positions == ORIGINAL else f"+{self.positions}"
        switched = "".join(f"+{name}" for _, name in self.parts)
        return self.scorer + switched + "+merge" * self.merge + "+ln_n" * self.precision + moved

    @property
    def learned(self) -> bool:
        """Whether its preference has to be learned first."""
        return ("preference", LEARNED) in self.parts

    @property
    def shrinks(self) -> bool:
        """Whether pictures are to be made smaller before the processor sees them."""
        return self.scorer != FULL.scorer and getattr(SCORERS[self.scorer], "shrinks", False)

    def allocator(
        self,
        budget: Budget,
        seed: int,
        need: Need | None = None,
        ledger: Ledger | None = None,
        experts: Experts | None = None,
    ) -> Allocator | None:
        """What `attached` is given; None for the untouched model.

        For `auto`: what budgets the model needed for which questions, and what the stream has spent; for
        `learned`: whom the model trusts. Without it the allocator can be made, but chooses nothing.
        """
        if self.scorer == FULL.scorer:
            return None
        part: Any = SCORERS[self.scorer]
        settings: dict[str, Any] = {"seed": seed} if "seed" in [field.name for field in fields(part)] else {}
        settings |= dict(self.parts)
        if experts is not None and self.learned:
            settings["preference"] = experts
        spender: Any = budget or 1  # `blind` keeps nothing, whatever it is asked for
        if isinstance(budget, str) and budget.startswith(AUTO):
            spender = Auto(target_of(budget), need, ledger=ledger or Ledger())
        if alpha_of(budget) is not None:
            spender = 1.0  # of its last look; those before it have ratios of their own
        return Allocator(
            scorer=part(**settings),
            budget=spender,
            merge=self.merge,
            precision=self.precision,
            positions=self.positions,
        )

    def needs(self, budget: Budget, seed: int, experts: Experts | None = None) -> tuple[str, ...]:
        """What its scorer reads of the vision tower. Raises ValueError where it has to be learned first."""
        allocator = self.allocator(budget, seed, experts=experts)
        return () if allocator is None else allocator.needs


FULL = Method("full")
"""Every visual token: the untouched model, nothing attached."""
BLIND = Method("blind")
"""No visual token: what can be answered without looking."""


def alpha_of(budget: Budget) -> float | None:
    """The probability that `cascade:0.05` allows; None for any other budget."""
    cascade = isinstance(budget, str) and budget.startswith(CASCADE)
    return float(str(budget).removeprefix(CASCADE)) if cascade else None


def target_of(budget: str) -> int | float:
    """The mean that `auto:0.11` or `auto:64` asks for."""
    word = budget.removeprefix(AUTO)
    return float(word) if "." in word or "e" in word.lower() else int(word)


def parse_budget(text: Budget) -> Budget:
    """Read a budget. Raises ValueError if it is no ratio in (0, 1] with a point, no count, and no name."""
    named = [name for name in BUDGETS if name != "auto" and _is_whole(BUDGETS[name])]
    way_out = (
        "write a fraction kept with a point (0.11), a count of visual tokens (64), a mean of either over all "
        "prompts (auto:0.11, auto:64) or over the pictures of each (shared:0.11, shared:64), a probability "
        "of differing from the full model (cascade:0.05), or a name: " + ", ".join(named)
    )
    if isinstance(text, bool):
        raise ValueError(f"a budget cannot be {text!r}: {way_out}")
    word = str(text).strip()
    if word in named:
        return word
    if word == AUTO.removesuffix(":"):
        word = f"{AUTO}{Auto.target}"
    if word.startswith(CASCADE):
        try:
            alpha = float(word.removeprefix(CASCADE))
        except ValueError:
            raise ValueError(f"cannot read the budget {word!r}: {way_out}") from None
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"the budget {word!r} must have a probability in (0, 1) behind the colon")
        return f"{CASCADE}{alpha}"
    for mean in MEANS:
        if word.startswith(mean):
            target = parse_budget(word.removeprefix(mean))
            if isinstance(target, str):
                raise ValueError(f"cannot read the budget {word!r}: {way_out}")
            return f"{mean}{target}"
    try:
        value = float(word) if "." in word or "e" in word.lower() else int(word)
    except ValueError:
        raise ValueError(f"cannot read the budget {word!r}: {way_out}") from None
    if isinstance(value, int) and value < 1:
        raise ValueError(f"a budget must keep at least one token, got {word}: the control `blind` keeps none")
    if isinstance(value, float) and not 0.0 < value <= 1.0:
        raise ValueError(f"a keep_ratio must lie in (0, 1], got {word}: {way_out}")
    return value


def _is_whole(part: Any) -> bool:
    """Whether it can be made without a number."""
    return all(field.default is not MISSING for field in fields(part))
