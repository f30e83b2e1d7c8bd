"""The guide's perception beside the right one: what theirs gives, what is true, what ours gives.

The numbers are those of the list in arr_coc.agent.guide. `guide_...` is the guide's formula.
"""

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.agent import Agent
from arr_coc.agent.inference import Method, infer_posterior, infer_states
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.planner import Exhaustive
from arr_coc.agent.predict import predict_states
from tests.guide_models import bayes_by_enumeration, believes, double, seen, table


def guide_message(A: Tensor, o: int, eps: float = 1e-16) -> Tensor:
    onehot = torch.zeros(len(A), dtype=A.dtype)
    onehot[o] = 1.0
    return A.T @ (onehot + eps).log()


@pytest.mark.parametrize(("eps", "guide"), [(1e-16, 0.99937), (1e-8, 0.9755)])
def test_7_an_observation_counts_by_its_log_likelihood_not_by_its_likelihood(
    eps: float, guide: float
) -> None:
    A, D = torch.tensor([[0.6, 0.4], [0.4, 0.6]], dtype=double), torch.full((2,), 0.5, dtype=double)

    theirs = torch.softmax(guide_message(A, 0, eps) + D.log(), dim=0)
    (ours,) = infer_states(believes(A, [D]), seen(0))

    assert_close(theirs[0].item(), guide, atol=5e-5, rtol=0)
    assert_close(ours[0], torch.tensor([0.6, 0.4], dtype=double))


def test_7_the_wrong_message_can_name_the_wrong_state() -> None:
    A = torch.tensor([[0.30, 0.10, 0.02], [0.70, 0.90, 0.98]], dtype=double)
    D = torch.tensor([0.02, 0.08, 0.90], dtype=double)
    (exact,) = bayes_by_enumeration(A, 0, D)

    theirs = torch.softmax(guide_message(A, 0) + D.log(), dim=0)
    (ours,) = infer_states(believes(A, [D]), seen(0))

    assert theirs.argmax() == 0
    assert exact.argmax() == 2
    assert_close(ours[0], exact)


def guide_marginalize(A: Tensor, o: int, qs: list[Tensor], factor: int) -> Tensor:
    result = A[o]
    for f in range(len(qs)):
        if f != factor:
            result = torch.tensordot(result, qs[f], dims=([f if f < factor else f - 1], [0]))
    return result


def test_8_other_factors_are_averaged_out_by_name() -> None:
    # Three factors of two states; the observation says which state the first is in, and nothing else.
    A = torch.zeros(2, 2, 2, 2, dtype=double)
    A[0, 0], A[0, 1], A[1, 0], A[1, 1] = 0.9, 0.1, 0.1, 0.9
    half = torch.full((2,), 0.5, dtype=double)

    theirs = guide_marginalize(A, 0, [half, half, half], factor=0)
    ours = infer_states(believes(A, [half] * 3), seen(0), method="mean_field")

    assert_close(theirs, torch.tensor([0.5, 0.5], dtype=double))
    assert_close(ours[0][0], torch.tensor([0.9, 0.1], dtype=double))
    with pytest.raises(RuntimeError):  # with sizes that differ the guide's contraction does not fit at all
        guide_marginalize(table(2, 2, 3, seed=0), 0, [half, table(3, seed=1)], factor=0)


def mean_field_free_energy(A: Tensor, o: int, D: list[Tensor], qs: list[Tensor]) -> float:
    """E_q [ln q - ln p(s) - ln A[o]] of two independent factors."""
    log_ratio = sum((q * (q.log() - d.log())).sum() for q, d in zip(qs, D, strict=True))
    return float(log_ratio - torch.einsum("ij,i,j", A[o].log(), *qs))


def two_factors(seed: int) -> tuple[Tensor, list[Tensor]]:
    return table(3, 4, 4, seed=seed, sharp=4.0), [table(4, seed=1000 + seed), table(4, seed=2000 + seed)]


def update(
    A: Tensor, o: int, D: list[Tensor], qs: list[Tensor], factor: int, log_of_mean: bool = False
) -> Tensor:
    other = qs[1 - factor]
    likelihood = A[o] if factor == 0 else A[o].T
    message = (likelihood @ other).log() if log_of_mean else likelihood.log() @ other
    return torch.softmax(message + D[factor].log(), dim=0)


def test_9_the_mean_of_the_logarithm_lowers_free_energy_and_the_logarithm_of_the_mean_raises_it() -> None:
    raised = 0
    for seed in range(50):
        A, D = two_factors(seed)
        qs = [
            q[0]
            for q in infer_states(believes(A, D), seen(0), method="mean_field", iterations=200, tolerance=0.0)
        ]
        lowest = mean_field_free_energy(A, 0, D, qs)

        theirs = [update(A, 0, D, qs, factor=0, log_of_mean=True), qs[1]]
        right = [update(A, 0, D, qs, factor=0), qs[1]]

        assert_close(mean_field_free_energy(A, 0, D, right), lowest)
        raised += mean_field_free_energy(A, 0, D, theirs) > lowest + 1e-6
    assert raised == 50


def test_10_factors_in_turn_never_raise_free_energy_where_all_at_once_do() -> None:
    raised = 0
    for seed in range(100):
        A, D = two_factors(seed)
        at_once, F_before = list(D), mean_field_free_energy(A, 0, D, D)
        rose = False
        for _ in range(16):
            at_once = [update(A, 0, D, at_once, factor) for factor in (0, 1)]
            F = mean_field_free_energy(A, 0, D, at_once)
            rose, F_before = rose or F_before < F - 1e-9, F
        raised += rose

        model = believes(A, D)
        ours = [
            infer_posterior(model, seen(0), method="mean_field", iterations=n, tolerance=0.0).F.item()
            for n in range(1, 8)
        ]
        assert all(late <= early + 1e-12 for early, late in pairwise(ours))
    assert raised > 10


def test_11_the_prior_is_what_the_last_action_leads_to() -> None:
    A, B, D = table(3, 3, seed=0), table(3, 3, 2, seed=1), table(3, seed=2)
    model = GenerativeModel(A=A, B=B, C=torch.zeros(3, dtype=double), D=D)
    (first,) = bayes_by_enumeration(A, 0, D)
    (exact,) = bayes_by_enumeration(A, 1, B[:, :, 1] @ first)

    (theirs,) = bayes_by_enumeration(A, 1, D)
    agent = Agent(model, Exhaustive(1))
    agent.infer_states(seen(0))
    agent.did(torch.tensor([[1]]))
    (right,) = agent.infer_states(seen(1))

    assert (theirs - exact).abs().max() > 0.02
    assert_close(right[0], exact)


def test_12_the_filter_is_the_logarithm_of_the_mean_not_the_mean_of_the_logarithm() -> None:
    A, B, q = table(3, 3, seed=0), table(3, 3, seed=1), table(3, seed=2)
    (exact,) = bayes_by_enumeration(A, 1, B @ q)
    model = GenerativeModel(A=(A,), B=(B,), C=(torch.zeros(3, dtype=double),), B_controls=((),))

    theirs = torch.softmax(A[1].log() + B.log() @ q, dim=0)
    prior = predict_states(model, (q[None],), torch.zeros(1, 0, dtype=torch.long))
    (ours,) = infer_states(model, seen(1), prior)

    assert (theirs - exact).abs().max() > 0.01
    assert_close(ours[0], exact)


@pytest.mark.parametrize("method", ["exact", "mean_field"])
def test_13_a_missing_observation_leaves_the_prior_and_free_energy_is_the_surprise(method: Method) -> None:
    A, D = table(3, 4, seed=0), table(4, seed=1)

    nothing = infer_posterior(believes(A, [D]), seen(-1), method=method)
    something = infer_posterior(believes(A, [D]), seen(2), method=method)

    assert_close(nothing.qs[0][0], D)
    assert_close(nothing.F, torch.zeros(1, dtype=double))
    assert_close(something.F[0], -(A @ D)[2].log())
