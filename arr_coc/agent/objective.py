"""What is minimised: the terms of expected free energy, and named sums of them.

With Q(o) = P(o|s) q(s) predicted outcomes, P~(o) preferred ones, H entropy, I mutual information, in nats:

    utility            E_Q ln P~(o)            state information   I(o; s) = H[Q(o)] - E_q H[P(o|s)]
    risk               KL[Q(o) || P~(o)]       ambiguity           E_q H[P(o|s)]
    EFE = risk + ambiguity = -utility - state information, the two H[Q(o)] cancelling once.

Of several modalities the information is that of the joint outcome. `per_modality` sums over modalities
instead and so counts what they say together several times, by the total correlation of Q(o); risk falls
by the same amount.
"""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

Information = Literal["joint", "per_modality"]


@dataclass(frozen=True)
class Objective:
    """Weights of what G is the sum of. Named ones: EFE, FEEF, KL_CONTROL, REWARD, INFORMATION."""

    utility: float = 1.0
    """Of -E ln P~(o)."""
    entropy: float = 1.0
    """Of -H[Q(o)]."""
    ambiguity: float = 1.0
    """Of E H[P(o|s)]."""
    parameters: float = 1.0
    """Of minus the information gain about A (if the model has pA) and B (if it has pB)."""
    inductive: float = 1.0
    """Of the cost of states from which intended ones are out of reach (if there is an intention)."""


EFE = Objective()
"""Expected free energy: reward, information about states and about parameters."""
FEEF = Objective(ambiguity=0.0, parameters=0.0)
"""Free energy of the expected future: EFE less ambiguity, https://arxiv.org/abs/2004.08128."""
KL_CONTROL = FEEF
"""Risk alone, KL[Q(o) || P~(o)]; where Q(s|o) is the exact posterior that is FEEF."""
REWARD = Objective(entropy=0.0, ambiguity=0.0, parameters=0.0)
"""Utility alone."""
INFORMATION = Objective(utility=0.0)
"""Information about states and parameters alone."""


@dataclass(frozen=True)
class ExpectedFreeEnergy:
    """Every term, summed over time, and their weighted sum G. In nats."""

    utility: Float[Tensor, "batch policies"]
    outcome_entropy: Float[Tensor, "batch policies"]
    """H[Q(o)], of the joint outcome or summed over modalities."""
    ambiguity: Float[Tensor, "batch policies"]
    information_A: Float[Tensor, "batch policies"]
    """Expected information gain about A; zero without pA. Likewise B."""
    information_B: Float[Tensor, "batch policies"]
    inductive: Float[Tensor, "batch policies"]
    objective: Objective

    @property
    def state_information(self) -> Float[Tensor, "batch policies"]:
        """Mutual information of states and outcomes."""
        return self.outcome_entropy - self.ambiguity

    @property
    def risk(self) -> Float[Tensor, "batch policies"]:
        """Divergence of predicted from preferred outcomes."""
        return -self.outcome_entropy - self.utility

    @property
    def G(self) -> Float[Tensor, "batch policies"]:  # noqa: N802  (the field's name)
        """The objective: lower is better."""
        w = self.objective
        return (
            -w.utility * self.utility
            - w.entropy * self.outcome_entropy
            + w.ambiguity * self.ambiguity
            - w.parameters * (self.information_A + self.information_B)
            + w.inductive * self.inductive
        )
