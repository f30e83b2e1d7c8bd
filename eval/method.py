"""A method and a budget as they are written on the command line: `efe+merge+ln_n`, `0.11`, `64`, `auto`."""

from dataclasses import dataclass, fields
from typing import Any

from arr_coc.allocate import Allocator
from arr_coc.budgets import BUDGETS
from arr_coc.positions import POSITIONS
from arr_coc.scorers import SCORERS

Budget = int | float | str
"""A float in (0, 1] is the fraction kept, an int is a count, `auto` is the policy; or a name in `BUDGETS`."""
ORIGINAL = "original"
SWITCHES = ("merge", "ln_n", *(policy for policy in POSITIONS if policy != ORIGINAL))


@dataclass(frozen=True)
class Method:
    """A scorer and its switches: one line of a table."""

    scorer: str
    merge: bool = False
    precision: bool = False
    positions: str = ORIGINAL

    @staticmethod
    def parse(text: str, merge: bool = False, precision: bool = False, positions: str = ORIGINAL) -> "Method":
        """Read `scorer[+merge][+ln_n][+compact or +centroid]`. The other arguments apply to all methods.

        Raises KeyError for an unknown scorer or policy, ValueError for a switch.
        """
        scorer, *switches = (part.strip() for part in text.split("+"))
        for switch in switches:
            if switch not in SWITCHES:
                raise ValueError(
                    f"method {text!r} has the unknown switch {switch!r}: write SCORER"
                    + "".join(f"[+{name}]" for name in SWITCHES)
                )
        POSITIONS[positions]  # says what there is
        if scorer != FULL.scorer:
            SCORERS[scorer]
        policies = [switch for switch in switches if switch in POSITIONS] or [positions]
        if len(policies) > 1:
            raise ValueError(f"method {text!r} has two position policies: choose {' or '.join(policies)}")
        return Method(scorer, merge or "merge" in switches, precision or "ln_n" in switches, policies[0])

    @property
    def name(self) -> str:
        """The one way to write it."""
        moved = "" if self.positions == ORIGINAL else f"+{self.positions}"
        return self.scorer + "+merge" * self.merge + "+ln_n" * self.precision + moved

    @property
    def shrinks(self) -> bool:
        """Whether pictures are to be made smaller before the processor sees them."""
        return self.scorer != FULL.scorer and getattr(SCORERS[self.scorer], "shrinks", False)

    def allocator(self, budget: Budget, seed: int) -> Allocator | None:
        """What `attached` is given; None for the untouched model."""
        if self.scorer == FULL.scorer:
            return None
        part: Any = SCORERS[self.scorer]
        seeded = "seed" in [field.name for field in fields(part)]
        return Allocator(
            scorer=part(seed=seed) if seeded else part(),
            budget=budget or 1,  # `blind` keeps nothing, whatever it is asked for
            merge=self.merge,
            precision=self.precision,
            positions=self.positions,
        )

    def needs(self, budget: Budget, seed: int) -> tuple[str, ...]:
        """What its scorer reads of the vision tower."""
        allocator = self.allocator(budget, seed)
        return () if allocator is None else allocator.needs


FULL = Method("full")
"""Every visual token: the untouched model, nothing attached."""
BLIND = Method("blind")
"""No visual token: what can be answered without looking."""


def parse_budget(text: Budget) -> Budget:
    """Read a budget. Raises ValueError if it is no ratio in (0, 1] with a point, no count, and no name."""
    named = ("auto", *BUDGETS)
    way_out = "write a fraction kept with a point (0.11), a count of visual tokens (64), or a name: "
    way_out += ", ".join(named)
    if isinstance(text, bool):
        raise ValueError(f"a budget cannot be {text!r}: {way_out}")
    word = str(text).strip()
    if word in named:
        return word
    try:
        value = float(word) if "." in word or "e" in word.lower() else int(word)
    except ValueError:
        raise ValueError(f"cannot read the budget {word!r}: {way_out}") from None
    if isinstance(value, int) and value < 1:
        raise ValueError(f"a budget must keep at least one token, got {word}: the control `blind` keeps none")
    if isinstance(value, float) and not 0.0 < value <= 1.0:
        raise ValueError(f"a keep_ratio must lie in (0, 1], got {word}: {way_out}")
    return value
