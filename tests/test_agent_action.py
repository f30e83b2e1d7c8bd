"""Action selection against enumeration, and its draws against what pymdp correlates."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.action import (
    Sampling,
    action_log_prob,
    action_marginals,
    joint_action_marginals,
    sample_action,
)

N_ACTIONS = (3, 2)
samplings = pytest.mark.parametrize("sampling", ["marginal", "joint", "full"])
POLICIES = torch.cartesian_prod(torch.arange(3), torch.arange(2), torch.arange(3)).reshape(18, 3)
POLICIES = torch.stack([POLICIES[:, :2], torch.stack([POLICIES[:, 2], POLICIES[:, 1]], 1)], dim=1)
"""18 policies of two steps and two control factors; every pair of first actions begins three of them."""


def draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def posterior(batch: int, seed: int = 0) -> Tensor:
    return torch.softmax(2 * torch.randn(batch, 18, generator=draw(seed), dtype=torch.double), dim=1)


def test_marginals_are_sums_over_the_policies_that_begin_with_the_action() -> None:
    q_pi = posterior(4)

    marginals = action_marginals(q_pi, POLICIES, N_ACTIONS)

    for control, n in enumerate(N_ACTIONS):
        for action in range(n):
            begin = [p for p in range(18) if POLICIES[p, 0, control] == action]
            assert_close(marginals[control][:, action], q_pi[:, begin].sum(1))


def test_marginals_of_a_later_step_read_that_step() -> None:
    q_pi = posterior(1)

    late = action_marginals(q_pi, POLICIES, N_ACTIONS, step=1)[0]

    assert_close(late[0, 2], q_pi[0, POLICIES[:, 1, 0] == 2].sum())


def test_joint_marginals_are_sums_over_the_policies_that_begin_with_all_of_an_action() -> None:
    q_pi = posterior(4)

    joint = joint_action_marginals(q_pi, POLICIES, N_ACTIONS)

    for number, (a, b) in enumerate(torch.cartesian_prod(torch.arange(3), torch.arange(2)).tolist()):
        begin = (POLICIES[:, 0] == torch.tensor([a, b])).all(1)
        assert_close(joint[:, number], q_pi[:, begin].sum(1))
    for control, marginal in enumerate(action_marginals(q_pi, POLICIES, N_ACTIONS)):
        assert_close(joint.view(4, 3, 2).sum(2 - control), marginal)


def test_controls_that_belong_together_are_taken_apart_only_by_marginals() -> None:
    # Both at 0 is the likeliest combination, but 1 is the likelier action of the second control.
    policies = torch.tensor([[0, 0], [1, 1], [0, 1]]).reshape(3, 1, 2)
    q_pi = torch.tensor([[0.4, 0.3, 0.3]])

    assert sample_action(q_pi, policies, (2, 2), sampling="joint").tolist() == [[0, 0]]
    assert sample_action(q_pi, policies, (2, 2), sampling="marginal").tolist() == [[0, 1]]


def test_the_most_probable_policy_need_not_begin_with_the_most_probable_action() -> None:
    policies = torch.tensor([0, 1, 1]).reshape(3, 1, 1)
    q_pi = torch.tensor([[0.4, 0.3, 0.3]])

    assert sample_action(q_pi, policies, (2,), sampling="full").tolist() == [[0]]
    assert sample_action(q_pi, policies, (2,), sampling="marginal").tolist() == [[1]]


@samplings
def test_among_equals_the_first_is_chosen_also_when_sums_differ_in_their_last_digit(
    sampling: Sampling,
) -> None:
    policies = torch.tensor([1, 0, 1, 0, 1, 0, 0, 1]).reshape(8, 1, 1)
    q_pi = torch.tensor([[0.1, 0.3, 0.2, 0.1, 0.15, 0.05, 0.05, 0.05]])
    q_pi[0, policies[:, 0, 0] == 1] += 1e-8
    if sampling == "full":
        policies, q_pi = torch.tensor([0, 1]).reshape(2, 1, 1), torch.tensor([[0.5 - 1e-8, 0.5]])

    assert sample_action(q_pi, policies, (2,), sampling=sampling).tolist() == [[0]]


def test_control_factors_are_drawn_independently() -> None:
    # Two uniform factors of three actions agree in one draw of three, not in every draw.
    policies = torch.cartesian_prod(torch.arange(3), torch.arange(3))[:, None]
    q_pi = torch.full((20_000, 9), 1 / 9)

    action = sample_action(q_pi, policies, (3, 3), alpha=1.0, generator=draw(0))

    joint = torch.bincount(action[:, 0] * 3 + action[:, 1], minlength=9) / len(action)
    assert_close(joint, torch.full((9,), 1 / 9), atol=0.01, rtol=0)


@samplings
def test_rows_of_a_batch_are_drawn_independently(sampling: Sampling) -> None:
    policies = torch.arange(2).reshape(2, 1, 1)
    uniform = torch.full((2, 2), 0.5)
    generator = draw(1)

    pairs = [
        sample_action(uniform, policies, (2,), alpha=1.0, sampling=sampling, generator=generator)[:, 0]
        for _ in range(2000)
    ]

    agree = torch.stack(pairs).diff(dim=1).eq(0).float().mean()
    assert_close(agree, torch.tensor(0.5), atol=0.04, rtol=0)


@samplings
def test_the_same_seed_draws_the_same_actions_and_another_seed_others(sampling: Sampling) -> None:
    q_pi = posterior(50)

    first, again, other = (
        sample_action(q_pi, POLICIES, N_ACTIONS, alpha=1.0, sampling=sampling, generator=draw(seed))
        for seed in (3, 3, 4)
    )

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@samplings
@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_draws_come_as_often_as_their_log_probability_says(sampling: Sampling, alpha: float) -> None:
    q_pi = posterior(1, seed=5)
    every = torch.cartesian_prod(torch.arange(3), torch.arange(2))

    log_prob = action_log_prob(
        every, q_pi.log().expand(6, 18), POLICIES, N_ACTIONS, alpha=alpha, sampling=sampling
    )
    action = sample_action(
        q_pi.expand(40_000, 18), POLICIES, N_ACTIONS, alpha=alpha, sampling=sampling, generator=draw(6)
    )

    assert_close(log_prob.exp().sum(), torch.tensor(1.0, dtype=torch.double))
    often = torch.bincount(action[:, 0] * 2 + action[:, 1], minlength=6) / len(action)
    assert_close(often.double(), log_prob.exp(), atol=0.012, rtol=0)


@samplings
def test_a_growing_alpha_ends_at_the_deterministic_choice(sampling: Sampling) -> None:
    q_pi = posterior(30, seed=2)

    sharp = sample_action(q_pi, POLICIES, N_ACTIONS, alpha=1e6, sampling=sampling, generator=draw(0))

    assert torch.equal(sharp, sample_action(q_pi, POLICIES, N_ACTIONS, alpha=math.inf, sampling=sampling))


def test_alpha_may_differ_from_agent_to_agent() -> None:
    q_pi = torch.tensor([[0.9, 0.1]]).expand(20_000, 2)
    alpha = torch.tensor([0.0, 2.0]).repeat(10_000)

    action = sample_action(q_pi, torch.arange(2).reshape(2, 1, 1), (2,), alpha=alpha, generator=draw(0))

    assert_close(action[::2].float().mean(), torch.tensor(0.5), atol=0.02, rtol=0)
    assert_close(action[1::2].float().mean(), torch.tensor(0.01 / 0.82), atol=0.005, rtol=0)


@samplings
def test_an_action_that_no_policy_begins_with_is_never_done(sampling: Sampling) -> None:
    policies = torch.tensor([0, 2]).reshape(2, 1, 1)
    q_pi = torch.full((500, 2), 0.5)

    action = sample_action(q_pi, policies, (3,), alpha=0.0, sampling=sampling, generator=draw(0))
    log_prob = action_log_prob(
        torch.tensor([[1], [2]]), q_pi[:2].log(), policies, (3,), alpha=0.0, sampling=sampling
    )

    assert set(action.flatten().tolist()) == {0, 2}
    assert_close(log_prob, torch.tensor([-torch.inf, math.log(0.5)]))


@samplings
def test_log_probabilities_survive_where_probabilities_underflow(sampling: Sampling) -> None:
    G = torch.tensor([[0.0, 20.0]], requires_grad=True)
    policies = torch.arange(2).reshape(2, 1, 1)

    log_prob = action_log_prob(torch.tensor([[1]]), -16 * G, policies, (2,), sampling=sampling)
    (slope,) = torch.autograd.grad(log_prob.sum(), G)

    assert torch.softmax(-16 * G, dim=1)[0, 1] == 0
    assert_close(log_prob, torch.tensor([-320.0]))
    assert_close(slope, torch.tensor([[16.0, -16.0]]))


@samplings
def test_log_probabilities_have_right_gradients(sampling: Sampling) -> None:
    action = torch.tensor([[2, 1], [0, 0]])

    def log_prob(log_q_pi: Tensor, alpha: Tensor) -> Tensor:
        return action_log_prob(action, log_q_pi, POLICIES, N_ACTIONS, alpha=alpha, sampling=sampling)

    inputs = (
        posterior(2).log().requires_grad_(),
        torch.tensor([0.7, 1.9], dtype=torch.double, requires_grad=True),
    )
    assert torch.autograd.gradcheck(log_prob, inputs)


def test_a_deterministic_choice_has_no_log_probability() -> None:
    with pytest.raises(ValueError, match="finite alpha"):
        action_log_prob(torch.tensor([[0, 0]]), posterior(1).log(), POLICIES, N_ACTIONS, alpha=math.inf)


def test_policies_and_controls_must_match() -> None:
    with pytest.raises(ValueError, match="2 control factors and n_actions names 1"):
        sample_action(posterior(1), POLICIES, (3,))


def test_a_negative_alpha_is_refused() -> None:
    with pytest.raises(ValueError, match="alpha must not be negative, got -1"):
        sample_action(posterior(1), POLICIES, N_ACTIONS, alpha=-1.0)
