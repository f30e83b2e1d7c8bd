"""Expected free energy by its definition and its identities, and the posterior over policies."""

import math

import pytest
import torch
from torch.testing import assert_close

from arr_coc.agent.inductive import Intention, reachability
from arr_coc.agent.maths import entropy, kl_divergence
from arr_coc.agent.merge import merged, merged_beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.novelty import dirichlet_information
from arr_coc.agent.objective import EFE, FEEF, INFORMATION, REWARD, Information
from arr_coc.agent.planning import Plan, expected_free_energy, infer_policies, policy_posterior
from arr_coc.agent.policies import all_policies
from arr_coc.agent.predict import predict_obs, predict_states
from tests.agent_models import beliefs, model_of
from tests.planning_models import Drawn, by_enumeration, drawn

EXACT = {"rtol": 0.0, "atol": 1e-12}


@pytest.mark.parametrize("information", ["joint", "per_modality"])
@pytest.mark.parametrize("seed", range(60))
def test_every_term_is_what_enumeration_of_all_outcomes_gives(seed: int, information: Information) -> None:
    case = drawn(seed)

    told = expected_free_energy(
        Plan.of(case.model, case.policies, information=information, detail=True), case.qs
    )
    G = infer_policies(Plan.of(case.model, case.policies, information=information), case.qs).G

    for name, expected in by_enumeration(case, information == "joint").items():
        assert_close(getattr(told, name), expected, **EXACT)
    assert_close(told.G, G, **EXACT)


@pytest.mark.parametrize("seed", range(20))
def test_the_two_decompositions_of_expected_free_energy_agree(seed: int) -> None:
    case = drawn(seed)

    told = expected_free_energy(Plan.of(case.model, case.policies, detail=True), case.qs)

    parameters = told.information_A + told.information_B
    assert_close(told.risk + told.ambiguity - parameters, told.G, **EXACT)
    assert_close(-told.utility - told.state_information - parameters, told.G, **EXACT)
    assert (told.risk >= -1e-12).all()
    assert (told.state_information >= -1e-12).all()


def test_information_gain_is_the_expected_divergence_of_posterior_from_prior() -> None:
    model = model_of(0, (3, 2), (3, 2), (2, 1))
    qs = beliefs(0, (3, 2), batch=1)
    told = expected_free_energy(Plan.of(model, 1, detail=True), qs)
    one = merged(model)

    for action in range(2):
        q = one.B[0][:, :, action] @ merged_beliefs(qs)[0]
        seen = (one.A[0][:, None] * one.A[1]).flatten(0, 1) * q  # (outcomes, states)
        posterior = seen / seen.sum(1, keepdim=True)
        gain = (seen.sum(1) * kl_divergence(posterior, q.expand_as(posterior))).sum()
        assert_close(told.state_information[0, action], gain, **EXACT)


def test_information_per_modality_exceeds_the_joint_one_by_total_correlation_and_risk_falls_by_it() -> None:
    model = model_of(1, (3, 2), (3, 2, 2), (2, 1))
    qs = beliefs(1, (3, 2))
    joint, apart = (
        expected_free_energy(Plan.of(model, 2, information=i, detail=True), qs)
        for i in ("joint", "per_modality")
    )

    correlation = apart.outcome_entropy - joint.outcome_entropy

    assert (correlation > 1e-6).all()
    assert_close(apart.state_information - joint.state_information, correlation, **EXACT)
    assert_close(joint.risk - apart.risk, correlation, **EXACT)
    assert_close(apart.utility, joint.utility, **EXACT)
    assert_close(apart.G, joint.G - correlation, **EXACT)


def test_a_preferred_certain_outcome_is_better_than_noise_that_tells_nothing() -> None:
    # The guide's G, KL - I, is lower by H[Q(o)] and picks the noisy television.
    A = torch.tensor([[1.0, 0.25], [0.0, 0.25], [0.0, 0.25], [0.0, 0.25]], dtype=torch.float64)
    B = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]], dtype=torch.float64)
    preference = torch.tensor([1.0, 0.5, 0.5, 0.5], dtype=torch.float64)
    model = GenerativeModel(A=(A,), B=(B,), C=(preference,))

    G = infer_policies(model, (torch.tensor([[1.0, 0.0]], dtype=torch.float64),)).G[0]

    log_p = torch.log_softmax(preference, 0)
    assert_close(G, torch.stack([-log_p[0], -log_p.mean()]), **EXACT)
    assert G[0] < G[1]


@pytest.mark.parametrize("seed", range(10))
def test_named_objectives_are_sums_of_the_terms(seed: int) -> None:
    case = drawn(seed)
    told = expected_free_energy(Plan.of(case.model, case.policies, detail=True), case.qs)
    sums = {
        EFE: told.risk + told.ambiguity - told.information_A - told.information_B,
        FEEF: told.risk,
        REWARD: -told.utility,
        INFORMATION: -told.state_information - told.information_A - told.information_B,
    }

    for objective, expected in sums.items():
        assert_close(
            infer_policies(Plan.of(case.model, case.policies, objective), case.qs).G, expected, **EXACT
        )


def test_utility_is_expected_log_preference_so_adding_a_constant_to_it_changes_nothing() -> None:
    model, qs = model_of(2, (4,), (3,), (3,)), beliefs(2, (4,))
    shifted = model.replace(C=tuple(c + 7.0 for c in model.C))

    told = expected_free_energy(Plan.of(model, 2, detail=True), qs)

    assert_close(infer_policies(shifted, qs, policies=2).G, told.G, **EXACT)
    after = predict_states(model, qs, torch.zeros(2, 1, dtype=torch.long))
    for_first = expected_free_energy(Plan.of(model, 1, detail=True), qs)
    assert_close(
        for_first.utility[:, 0], predict_obs(model, after)[0] @ torch.log_softmax(model.C[0], 0), **EXACT
    )
    assert_close(for_first.outcome_entropy[:, 0], entropy(predict_obs(model, after)[0]), **EXACT)


def test_preferences_over_time_are_read_from_the_step_that_is_said() -> None:
    model, qs = model_of(8, (3,), (3,), (2,), preferred_times=5), beliefs(8, (3,))
    case = Drawn(model, all_policies((2,), 2), qs)

    utility = expected_free_energy(Plan.of(model, 2, time=3, detail=True), qs).utility

    assert_close(utility, by_enumeration(case, True, first_time=3)["utility"], **EXACT)
    with pytest.raises(ValueError, match=r"C\[0\] has 5 rows over time and planning 2 steps from 4 takes 6"):
        Plan.of(model, 2, time=4)


def test_novelty_of_a_beta_prior_is_its_closed_form() -> None:
    counts = torch.tensor([3.0, 5.0], dtype=torch.float64)

    gain = dirichlet_information(counts, counts / counts.sum())

    assert_close(gain, torch.tensor(0.058289428634172746, dtype=torch.float64), **EXACT)


def test_novelty_is_the_expected_divergence_of_beliefs_about_a_chance_by_numerical_integration() -> None:
    x = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    a, b = 3.0, 5.0

    def density(a: float, b: float) -> torch.Tensor:
        log = (a - 1) * x.log() + (b - 1) * (1 - x).log()
        return (log + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)).exp()

    before, after = density(a, b), (density(a + 1, b), density(a, b + 1))
    expected = sum(
        chance * (posterior * (posterior / before).log()).mean()
        for chance, posterior in zip((a / (a + b), b / (a + b)), after, strict=True)
    )

    gain = dirichlet_information(torch.tensor([a, b]).double(), torch.tensor([a, b]).double() / (a + b))

    assert_close(gain, expected, rtol=0.0, atol=1e-9)


def test_outcomes_without_a_count_add_no_novelty() -> None:
    counts = torch.tensor([3.0, 5.0, 0.0], dtype=torch.float64)

    with_none = dirichlet_information(counts, counts / counts.sum())

    assert_close(with_none, dirichlet_information(counts[:2], counts[:2] / 8.0), **EXACT)


def test_the_posterior_minimises_the_free_energy_of_policies() -> None:
    g = torch.Generator().manual_seed(0)
    G, F = torch.randn(2, 1, 7, generator=g, dtype=torch.float64)
    E = torch.softmax(torch.randn(7, generator=g, dtype=torch.float64), 0)
    others = torch.softmax(2 * torch.randn(2000, 7, generator=g, dtype=torch.float64), 1)

    q_pi = policy_posterior(G, 3.0, E.log(), F)

    def free_energy(q: torch.Tensor) -> torch.Tensor:
        return kl_divergence(q, E.expand_as(q)) + (q * (3.0 * G + F)).sum(1)

    assert_close(free_energy(q_pi)[0], -(E * (-3.0 * G - F)[0].exp()).sum().log(), **EXACT)
    assert (free_energy(others) > free_energy(q_pi)).all()


def test_habits_and_the_evidence_of_policies_enter_the_posterior_and_a_ruled_out_policy_stays_out() -> None:
    E = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    model = model_of(9, (3,), (3,), (3,)).replace(E=E)
    F = torch.tensor([[0.0, 2.0, -500.0]], dtype=torch.float64)

    told = infer_policies(model, beliefs(9, (3,), batch=1), 0.5, F)

    odds = (0.5 * (told.G[0, 1] - told.G[0, 0]) + 2.0).exp()
    assert_close(
        told.q_pi[0], torch.stack([odds / (1 + odds), 1 / (1 + odds), torch.zeros_like(odds)]), **EXACT
    )


def test_inductive_cost_is_minus_ln_epsilon_for_every_step_off_the_way() -> None:
    # A line of five states, moving left or right; the aim is at the right end.
    left, right = (torch.zeros(5, 5, dtype=torch.float64) for _ in range(2))
    for s in range(5):
        left[max(s - 1, 0), s] = right[min(s + 1, 4), s] = 1.0
    model = GenerativeModel(
        A=(torch.eye(5, dtype=torch.float64),),
        B=(torch.stack([left, right], 2),),
        C=(torch.zeros(5, dtype=torch.float64),),
    )
    aim = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    intention = Intention((aim,), depth=5, epsilon=0.01)
    here = torch.eye(5, dtype=torch.float64)[1:2]

    told = expected_free_energy(Plan.of(model, 1, intention=intention, detail=True), (here,))
    summed = infer_policies(Plan.of(model, 1, intention=intention), (here,)).G

    assert reachability(model, intention)[0].sum(1).tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert_close(told.inductive, torch.tensor([[4.605170185988091, 0.0]], dtype=torch.float64), **EXACT)
    assert_close(told.G, summed, **EXACT)


def test_deterministic_transitions_make_the_best_policy_as_good_as_value_iteration() -> None:
    g = torch.Generator().manual_seed(0)
    to = torch.randint(6, (6, 3), generator=g)
    B = torch.nn.functional.one_hot(to, 6).permute(2, 0, 1).double()  # (next, previous, action)
    reward = torch.log_softmax(torch.randn(6, generator=g, dtype=torch.float64), 0)
    model = GenerativeModel(A=(torch.eye(6, dtype=torch.float64),), B=(B,), C=(reward,))
    value = torch.zeros(6, dtype=torch.float64)
    for _ in range(4):
        value = (reward + value)[to].amax(1)

    G = infer_policies(Plan.of(model, 4, REWARD), (torch.eye(6, dtype=torch.float64),)).G

    assert_close(G.amin(1), -value, **EXACT)


def test_plans_say_what_does_not_fit() -> None:
    model = model_of(0, (3,), (3,), (2,))
    with pytest.raises(ValueError, match="E is a prior over 2 policies, but there are 4"):
        Plan.of(model.replace(E=torch.tensor([0.5, 0.5], dtype=torch.float64)), 2)
    with pytest.raises(ValueError, match=r"qs\[0\] must be \(batch, 3\), got \(1, 4\)"):
        infer_policies(model, beliefs(0, (4,), batch=1))
    with pytest.raises(ValueError, match="detail=True"):
        expected_free_energy(Plan.of(model), beliefs(0, (3,)))
    with pytest.raises(ValueError, match="intended states of factor 0 must be"):
        Plan.of(model, intention=Intention((torch.ones(2, dtype=torch.float64),)))
    with pytest.raises(ValueError, match=r"epsilon must lie in \(0, 1\], got 2"):
        Intention((torch.ones(3),), epsilon=2.0)
    large = model_of(0, (2,), (40,) * 6, (2,), dtype=torch.float32)
    with pytest.raises(ValueError, match="take information='per_modality'"):
        Plan.of(large)
