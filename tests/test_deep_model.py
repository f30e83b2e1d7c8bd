"""The deep generative model: free energy of a step, the prior it is measured from, and what is imagined."""

import math

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from arr_coc.agent.deep import (
    DeepModel,
    Epistemic,
    Gaussian,
    GaussianPreference,
    ModelShape,
    Plans,
    Rules,
    expected_free_energy,
    imagine,
    kl_divergence,
    nll,
)

SEEN = ModelShape(obs_dim=2, n_actions=3, hidden=8, members=4)
HIDDEN = ModelShape(obs_dim=2, n_actions=3, state_dim=3, hidden=8, members=4)


def _model(shape: ModelShape) -> DeepModel:
    luck = torch.Generator().manual_seed(0)
    model = DeepModel(shape, luck)
    obs = torch.randn(64, 2, generator=luck) * torch.tensor([3.0, 0.1]) + 5
    model.standardise(obs, obs + 0.1 * torch.randn(64, 2, generator=luck))
    return model


def _steps(batch: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    luck = torch.Generator().manual_seed(1)
    obs = torch.randn(4, batch, 2, generator=luck) + 5
    action = torch.randint(3, (4, batch), generator=luck)
    return obs, action, obs + 0.1 * torch.randn(4, batch, 2, generator=luck)


def test_free_energy_of_a_seen_state_is_the_surprise_of_what_was_seen() -> None:
    model, (obs, action, after) = _model(SEEN), _steps()
    F = model.free_energy(obs, action, after, torch.Generator().manual_seed(0)).total
    state = model.recognise(obs).sample(torch.Generator().manual_seed(0))
    predicted = model.see(model.predict(state, functional.one_hot(action, 3).float()))
    # The state's own width, a hundredth of a step, is all that is between them.
    assert_close(F, nll(after, predicted), atol=0.01, rtol=0.01)


def test_free_energy_of_a_hidden_state_bounds_the_surprise_of_what_was_seen() -> None:
    model, (obs, action, after) = _model(HIDDEN), _steps(batch=1)
    luck, n = torch.Generator().manual_seed(0), 4000
    many = [x[:1, :1].expand(4, n, *x.shape[2:]) for x in (obs, action, after)]
    F = model.free_energy(*many, luck).total.mean(1)
    state = model.recognise(many[0]).sample(luck)
    drawn = model.predict(state, functional.one_hot(many[1], 3).float()).sample(luck)
    surprise = math.log(n) - (-nll(many[2], model.decode(drawn))).logsumexp(1)
    assert (surprise - 0.05 < F).all()


def test_the_prior_of_a_state_is_what_was_predicted_of_it() -> None:
    model, (obs, action, after) = _model(HIDDEN), _steps()
    luck = torch.Generator().manual_seed(0)
    found = model.free_energy(obs, action, after, luck)
    state = model.recognise(obs).sample(torch.Generator().manual_seed(0))
    prior = model.predict(state, functional.one_hot(action, 3).float())
    assert_close(found.complexity, kl_divergence(model.recognise(after), prior))
    with torch.no_grad():  # another action is another prior, and another complexity
        other = model.free_energy(obs, (action + 1) % 3, after, torch.Generator().manual_seed(0))
    assert (found.complexity - other.complexity).abs().min() > 1e-6


def test_only_the_first_state_of_an_episode_is_measured_from_the_standard_normal() -> None:
    model, (obs, _, _) = _model(HIDDEN), _steps()
    luck = torch.Generator().manual_seed(0)
    q = model.recognise(obs)
    standard = Gaussian(torch.zeros_like(q.mean), torch.zeros_like(q.mean))
    expected = kl_divergence(q, standard) + nll(obs, model.decode(q.sample(torch.Generator().manual_seed(0))))
    assert_close(model.initial_free_energy(obs, luck), expected)


def test_a_member_learns_from_its_own_rows_only() -> None:
    model, (obs, action, after) = _model(SEEN), _steps()
    model.free_energy(obs, action, after).total[1].sum().backward()
    assert model.transition.last.grad is not None
    assert (model.transition.last.grad[1] != 0).any()
    assert (model.transition.last.grad[[0, 2, 3]] == 0).all()


def test_free_energy_of_a_step_does_not_depend_on_its_batch() -> None:
    model, (obs, action, after) = _model(SEEN), _steps()
    model.step_std.fill_(1e-6)  # a state as good as a point: no luck in it
    whole = model.free_energy(obs, action, after).complexity
    part = model.free_energy(obs[:, 2:4], action[:, 2:4], after[:, 2:4]).complexity
    assert_close(whole[:, 2:4], part, rtol=1e-3, atol=0)


@pytest.mark.parametrize("shape", [SEEN, HIDDEN], ids=["seen", "hidden"])
def test_under_autocast_networks_are_halved_and_densities_are_not(shape: ModelShape) -> None:
    model, (obs, action, after) = _model(shape), _steps()
    with torch.autocast("cpu", torch.bfloat16):
        found = model.free_energy(obs, action, after, torch.Generator().manual_seed(0))
        plans = Plans(functional.one_hot(action.T, 3).float())
        ahead = imagine(model, model.recognise(obs[0, :4]).mean, plans, 3).states
    assert found.total.dtype == ahead.mean.dtype == ahead.log_var.dtype == torch.float32
    assert found.total.isfinite().all()
    exact = model.free_energy(obs, action, after, torch.Generator().manual_seed(0)).total
    assert_close(found.total, exact, rtol=0.1, atol=0.5)


def test_imagining_step_by_step_is_predicting_again_and_again() -> None:
    model, luck = _model(HIDDEN), torch.Generator().manual_seed(0)
    actions = functional.one_hot(torch.randint(3, (5, 2), generator=luck), 3).float()
    start = torch.randn(2, 3, generator=luck)
    found = imagine(model, start, Plans(actions), 5).states
    state = start.expand(4, 2, 3)
    for t in range(5):
        ahead = model.predict(state, actions[t].expand(4, 2, 3))
        assert_close(found.mean[t], ahead.mean)
        assert_close(found.log_var[t], ahead.log_var)
        state = ahead.mean


def test_a_rule_that_never_looks_is_a_plan() -> None:
    model, start = _model(SEEN), torch.randn(2, 2, generator=torch.Generator().manual_seed(0))
    weights = torch.zeros(2, 3, 3)
    weights[0, 1, -1] = weights[1, 2, -1] = 1.0
    always = functional.one_hot(torch.tensor([[1, 2]] * 4), 3).float()
    by_rule, by_plan = imagine(model, start, Rules(weights), 4), imagine(model, start, Plans(always), 4)
    assert torch.equal(by_rule.inputs, by_plan.inputs)


@pytest.mark.parametrize("shape", [SEEN, HIDDEN], ids=["seen", "hidden"])
def test_expected_free_energy_is_minus_its_three_terms_and_off_means_off(shape: ModelShape) -> None:
    model, luck = _model(shape), torch.Generator().manual_seed(0)
    start = torch.randn(6, model.dims, generator=luck)
    plans = Plans(functional.one_hot(torch.randint(3, (5, 6), generator=luck), 3).float())
    want = GaussianPreference((5.0, 5.0), (1.0, 2.0))
    both = expected_free_energy(model, want, start, plans, 5, Epistemic(state=0.5, parameters=2.0))
    assert_close(both.G, -both.utility - 0.5 * both.state_gain - 2.0 * both.parameter_gain)
    assert (both.parameter_gain >= 0).all()
    assert (both.parameter_gain <= 5 * math.log(4) + 1e-5).all()
    off = expected_free_energy(model, want, start, plans, 5, Epistemic(state=0.0, parameters=0.0))
    assert torch.equal(off.G, -off.utility)
    assert_close(off.utility, both.utility)


def test_members_of_one_opinion_have_nothing_to_learn() -> None:
    model, luck = _model(SEEN), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.transition.parameters():
            parameter.copy_(parameter[:1].expand_as(parameter))
    plans = Plans(functional.one_hot(torch.randint(3, (5, 6), generator=luck), 3).float())
    want, start = GaussianPreference((5.0, 5.0), (1.0, 2.0)), torch.randn(6, 2, generator=luck)
    found = expected_free_energy(model, want, start, plans, 5, Epistemic())
    assert_close(found.parameter_gain, torch.zeros(6), atol=1e-5, rtol=0)
    assert_close(found.G, -found.utility, atol=1e-5, rtol=1e-6)
