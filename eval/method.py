"""A method and a budget as the command line has them: `efe+merge+ln_n`, `0.11`, `64`, `auto:32`."""

from dataclasses import dataclass, fields
from typing import Any

from arr_coc.allocate import Allocator
from arr_coc.budgets.auto import Auto, Ledger
from arr_coc.need import Need
from arr_coc.positions import POSITIONS
from arr_coc.scorers import SCORERS

AUTO = "auto:"
Budget = int | float | str
"""A float in (0, 1] is the fraction kept, an int a count; `auto:0.11` and `auto:64` are means of many."""
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

    def allocator(
        self, budget: Budget, seed: int, need: Need | None = None, ledger: Ledger | None = None
    ) -> Allocator | None:
        """What `attached` is given; None for the untouched model.

        For `auto`: what budgets the model needed for which questions, and what the stream has spent.
        """
        if self.scorer == FULL.scorer:
            return None
        part: Any = SCORERS[self.scorer]
        seeded = "seed" in [field.name for field in fields(part)]
        spender: Any = budget or 1  # `blind` keeps nothing, whatever it is asked for
        if isinstance(budget, str):
            spender = Auto(target_of(budget), need, ledger=ledger or Ledger())
        return Allocator(
            scorer=part(seed=seed) if seeded else part(),
            budget=spender,
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


def target_of(budget: str) -> int | float:
    """The mean that `auto:0.11` or `auto:64` asks for."""
    word = budget.removeprefix(AUTO)
    return float(word) if "." in word or "e" in word.lower() else int(word)


def parse_budget(text: Budget) -> Budget:
    """Read a budget. Raises ValueError if it is no ratio in (0, 1] with a point, no count, no `auto:`."""
    way_out = (
        "write a fraction kept with a point (0.11), a count of visual tokens (64), or a mean of either "
        "over all prompts (auto:0.11, auto:64)"
    )
    if isinstance(text, bool):
        raise ValueError(f"a budget cannot be {text!r}: {way_out}")
    word = str(text).strip()
    if word == AUTO.removesuffix(":"):
        word = f"{AUTO}{Auto.target}"
    if word.startswith(AUTO):
        target = parse_budget(word.removeprefix(AUTO))
        if isinstance(target, str):
            raise ValueError(f"cannot read the budget {word!r}: {way_out}")
        return f"{AUTO}{target}"
    try:
        value = float(word) if "." in word or "e" in word.lower() else int(word)
    except ValueError:
        raise ValueError(f"cannot read the budget {word!r}: {way_out}") from None
    if isinstance(value, int) and value < 1:
        raise ValueError(f"a budget must keep at least one token, got {word}: the control `blind` keeps none")
    if isinstance(value, float) and not 0.0 < value <= 1.0:
        raise ValueError(f"a keep_ratio must lie in (0, 1], got {word}: {way_out}")
    return value
