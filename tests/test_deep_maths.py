"""The deep agent's formulas against closed forms, torch's own densities, and numerical integrals."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.distributions import kl_divergence as torch_kl
from torch.testing import assert_close

from arr_coc.agent.deep import (
    Gaussian,
    GaussianPreference,
    LearnedPreference,
    StepPreference,
    categorical_risk,
    cross_entropy,
    kl_divergence,
    nll,
    parameter_information_gain,
    state_information_gain,
)


def _gaussian(*shape: int, seed: int = 0) -> Gaussian:
    luck = torch.Generator().manual_seed(seed)
    return Gaussian(torch.randn(shape, generator=luck), torch.randn(shape, generator=luck))


def _torch(q: Gaussian) -> Independent:
    return Independent(Normal(q.mean, (0.5 * q.log_var).exp()), 1)


def test_divergence_entropy_and_surprise_are_those_of_torch() -> None:
    q, p, x = _gaussian(7, 3), _gaussian(7, 3, seed=1), torch.randn(7, 3, generator=torch.Generator())
    assert_close(kl_divergence(q, p), torch_kl(_torch(q), _torch(p)))
    assert_close(q.entropy(), _torch(q).entropy())
    assert_close(nll(x, p), -_torch(p).log_prob(x))
    assert_close(cross_entropy(q, p), kl_divergence(q, p) + q.entropy())


def test_divergence_of_a_row_does_not_see_its_neighbours() -> None:
    q, p = _gaussian(6, 3), _gaussian(6, 3, seed=1)
    one = kl_divergence(Gaussian(q.mean[2:3], q.log_var[2:3]), Gaussian(p.mean[2:3], p.log_var[2:3]))
    assert_close(kl_divergence(q, p)[2:3], one)


def test_divergence_teaches_both_beliefs() -> None:
    q_mean, p_mean = torch.ones(1, 2, requires_grad=True), torch.zeros(1, 2, requires_grad=True)
    zero = torch.zeros(1, 2)
    kl_divergence(Gaussian(q_mean, zero), Gaussian(p_mean, zero)).sum().backward()
    assert_close(q_mean.grad, torch.ones(1, 2))
    assert_close(p_mean.grad, -torch.ones(1, 2))


def test_expected_gaussian_preference_is_the_mean_over_samples() -> None:
    preference = GaussianPreference(mean=(0.5, -1.0), std=(0.7, 2.0))
    seen = _gaussian(1, 2)
    many = Gaussian(seen.mean.expand(200_000, 2), seen.log_var.expand(200_000, 2))
    drawn = many.sample(torch.Generator().manual_seed(0))
    point = Gaussian(drawn, torch.full_like(drawn, -60.0))
    assert_close(preference.expected_log(seen)[0], preference.expected_log(point).mean(), atol=0.02, rtol=0)


def test_a_dimension_of_infinite_std_does_not_matter() -> None:
    preference = GaussianPreference(mean=(0.0, 0.0), std=(1.0, math.inf))
    a, b = torch.tensor([[1.0, 5.0]]), torch.tensor([[1.0, -90.0]])
    zero = torch.zeros(1, 2)
    assert_close(preference.expected_log(Gaussian(a, zero)), preference.expected_log(Gaussian(b, zero)))


def test_a_preference_needs_a_positive_std_for_every_mean() -> None:
    with pytest.raises(ValueError, match="positive"):
        GaussianPreference(mean=(0.0,), std=(0.0,))
    with pytest.raises(ValueError, match="every dimension"):
        GaussianPreference(mean=(0.0,), std=(1.0, 1.0))


def test_a_step_preference_is_worth_the_chance_of_being_there() -> None:
    preference = StepPreference(dim=1, at=0.5, nats=3.0)
    seen = Gaussian(torch.tensor([[9.0, 0.5], [9.0, -9.0], [9.0, 9.0]]), torch.zeros(3, 2))
    assert_close(preference.expected_log(seen), torch.tensor([1.5, 0.0, 3.0]), atol=1e-6, rtol=0)


def test_a_learned_preference_is_taught_by_reward_and_by_ends() -> None:
    preference, luck = LearnedPreference(1), torch.Generator().manual_seed(0)
    obs = torch.rand(512, 1, generator=luck) * 2 - 1
    reward, ended = obs[:, 0], (obs[:, 0] > 0.5).float()
    optimizer = torch.optim.Adam(preference.parameters(), lr=1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        preference.loss(obs, reward, ended).backward()
        optimizer.step()
    assert all(bool(p.grad.abs().sum() > 0) for p in preference.parameters() if p.grad is not None)
    path = Gaussian(torch.tensor([[0.9], [0.4], [-0.4]]), torch.full((3, 1), -9.0))
    alive, dead = (
        preference.expected_log(Gaussian(path.mean[1:], path.log_var[1:])),
        preference.expected_log(path),
    )
    assert_close(alive, torch.tensor([0.4, -0.4]), atol=0.15, rtol=0)
    # What follows an end is hardly ever reached.
    assert dead[1:].abs().max() < 0.1


def test_categorical_risk_is_the_divergence_of_what_is_predicted_from_what_is_wanted() -> None:
    luck = torch.Generator().manual_seed(0)
    predicted, wanted = torch.randn(5, 4, generator=luck).softmax(-1), torch.randn(4, generator=luck)
    expected = torch_kl(Categorical(predicted), Categorical(logits=wanted.expand(5, 4)))
    assert_close(categorical_risk(predicted, wanted), expected)
    reverse = torch_kl(Categorical(logits=wanted.expand(5, 4)), Categorical(predicted))
    assert (categorical_risk(predicted, wanted) - reverse).abs().max() > 0.05


def test_state_information_of_a_linear_gaussian_world_is_half_the_log_of_the_variances_ratio() -> None:
    prior, noise = torch.tensor([2.0, 0.5]), torch.tensor([1.0, 3.0])
    posterior = 1 / (1 / prior + 1 / noise)
    gain = state_information_gain(prior.log(), posterior.log())
    assert_close(gain, 0.5 * ((prior + noise).log() - noise.log()).sum())


def test_noise_that_all_members_expect_teaches_nothing_however_loud() -> None:
    mean = torch.randn(1, 4, 2, generator=torch.Generator().manual_seed(0)).expand(5, 4, 2)
    for log_var in (-6.0, 0.0, 6.0):
        gain = parameter_information_gain(Gaussian(mean, torch.full_like(mean, log_var)))
        assert_close(gain, torch.zeros(4), atol=1e-5, rtol=0)


@pytest.mark.parametrize("apart", [0.0, 0.3, 1.0, 3.0, 30.0])
def test_parameter_information_bounds_the_integral_and_never_promises_more_than_there_is(
    apart: float,
) -> None:
    members = 5
    mean = apart * torch.linspace(-1, 1, members, dtype=torch.float64)
    members_of = Normal(mean, torch.ones(members, dtype=torch.float64))
    mixture = MixtureSameFamily(Categorical(torch.ones(members)), members_of)
    x = torch.linspace(-45, 45, 200_001, dtype=torch.float64)
    log_p = mixture.log_prob(x)
    exact = torch.trapezoid(-log_p.exp() * log_p, x) - members_of.entropy().mean()
    gain = parameter_information_gain(Gaussian(mean[:, None, None], torch.zeros_like(mean)[:, None, None]))[0]
    assert gain >= exact - 1e-5
    assert gain <= math.log(members) + 1e-9
    if apart in (0.0, 30.0):
        assert_close(gain, exact, atol=1e-4, rtol=0)


def test_half_precision_is_left_at_the_border() -> None:
    q = Gaussian(torch.ones(2, 3, dtype=torch.bfloat16), torch.zeros(2, 3, dtype=torch.float16))
    assert q.mean.dtype == q.log_var.dtype == q.entropy().dtype == torch.float32
