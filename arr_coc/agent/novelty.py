"""Novelty: what outcomes and transitions are expected to tell about the parameters themselves."""

from math import prod

from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.model import GenerativeModel


def dirichlet_information(
    counts: Float[Tensor, "outcomes *given"], p: Float[Tensor, "outcomes *given"]
) -> Float[Tensor, "*given"]:
    """Expected information gain about a categorical distribution from one outcome of it, in nats.

    E_o KL[Dir(a + e_o) || Dir(a)] = sum_o p_o [ln a_0 - ln a_o + psi(a_o + 1) - psi(a_0 + 1)], with a the
    counts
    and a_0 their sum. Outcomes with no count are impossible. Exact, unlike the 1/a - 1/a_0 of its expansion.
    """
    possible = counts > 0
    a = counts.where(possible, counts.new_ones(()))
    a0 = (a * possible).sum(0, keepdim=True)
    gain = a0.log() - a.log() + (a + 1).digamma() - (a0 + 1).digamma()
    return (p * gain * possible).sum(0)


def expanded_information(counts: Float[Tensor, "*axes"], dim: int = 0) -> Float[Tensor, "*axes"]:
    """What each outcome along `dim` is expected to tell, to first order: (1 / a - 1 / a_0) / 2, in nats.

    As SPM's spm_wnorm. Its mean over outcomes overstates `dirichlet_information` where counts are small.
    """
    possible = counts > 0
    a = counts.where(possible, counts.new_ones(()))
    return (1 / a - 1 / (a * possible).sum(dim, keepdim=True)) / 2 * possible


def likelihood_information(model: GenerativeModel, m: int) -> Tensor:
    """For each state of the modality's factors, what an outcome tells of A: (*states)."""
    assert model.pA is not None
    return dirichlet_information(model.pA[m], model.A[m])


def transition_information(model: GenerativeModel, f: int) -> Float[Tensor, "actions previous"]:
    """For each action and combination of previous states, what the next state tells of B.

    Novelty is linear in beliefs here: E_Q(s', s) under the joint of next and previous state, where the
    product of
    their marginals (as in SPM and pymdp) is an approximation that is exact for states known for certain.
    """
    assert model.pB is not None
    gain = dirichlet_information(model.pB[f], model.B[f])
    previous = prod(gain.shape[: len(model.B_factors[f])])
    return gain.reshape(previous, -1).T
