"""What the guide's "Train station" claims, and what of it is true: each measured on random problems."""

from arr_coc.agent.unify.claims import bandits, control, filtering, planning, soft, values
from arr_coc.agent.unify.claims.claim import Claim, Judged, Verdict

CLAIMS: tuple[Claim, ...] = (
    *values.CLAIMS,
    *filtering.CLAIMS,
    *planning.CLAIMS,
    *control.CLAIMS,
    *soft.CLAIMS,
    *bandits.CLAIMS,
)
"""All of them, in the order of the guide's section 7."""

__all__ = ["CLAIMS", "Claim", "Judged", "Verdict"]
