"""Fitting behaviour: against the closed form of a choice between two, and what cannot be fitted."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.agent import Agent
from arr_coc.agent.fit import fit_behaviour
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.planner import Exhaustive
from arr_coc.agent.rollout import rollout
from arr_coc.agent.worlds.imagined import Imagined
from tests.lives import draw

double = torch.double
WANTED = torch.tensor([0.0, 0.7], dtype=double)
TIMES, TAKEN = 50, 34
"""How many agents chose once, and how many of them took the second action."""
SEEN = (torch.zeros(TIMES, 1, dtype=torch.long),)
DONE = (torch.arange(TIMES) < TAKEN).long()[:, None, None]


def chooser(C: Tensor, gamma: Tensor | float, batch: int = TIMES) -> Agent:
    """Action k leads to outcome k, for sure."""
    go = torch.eye(2, dtype=double)[:, None, :].repeat(1, 2, 1)
    model = GenerativeModel(A=torch.eye(2, dtype=double), B=go, C=C)
    return Agent(model, Exhaustive(1, gamma=gamma), batch=batch, alpha=1.0)


def test_a_precision_is_fitted_to_its_closed_form_with_its_standard_error() -> None:
    fit = fit_behaviour(lambda p: chooser(WANTED, p[0]), torch.ones(1, dtype=double), SEEN, DONE)

    # P(second) = sigmoid(0.7 gamma): a logistic regression of one slope.
    p = TAKEN / TIMES
    assert float(fit.parameters) == pytest.approx(math.log(p / (1 - p)) / 0.7, abs=1e-7)
    assert float(fit.standard_errors) == pytest.approx(1 / (0.7 * math.sqrt(TIMES * p * (1 - p))), rel=1e-6)
    assert float(fit.log_likelihood) == pytest.approx(TAKEN * math.log(p) + (TIMES - TAKEN) * math.log(1 - p))


def test_a_prior_pulls_towards_itself_by_what_it_says() -> None:
    def log_prior(p: Tensor) -> Tensor:
        return -0.5 * ((p - 1.0) / 0.1).square().sum()

    fit = fit_behaviour(lambda p: chooser(WANTED, p[0]), torch.zeros(1, dtype=double), SEEN, DONE, log_prior)

    # At the maximum the slopes of likelihood and prior cancel.
    gamma = float(fit.parameters)
    slope = 0.7 * (TAKEN - TIMES / (1 + math.exp(-0.7 * gamma)))
    assert slope == pytest.approx((gamma - 1.0) / 0.01, abs=1e-5)


def test_preferences_and_precision_are_recovered_within_their_errors() -> None:
    go = torch.eye(3, dtype=double)[:, None, :].repeat(1, 3, 1)
    flip = 0.8 * torch.eye(3, dtype=double) + 0.2 / 3

    def agent_of(p: Tensor, batch: int = 600) -> Agent:
        C = torch.cat([p[:2], p.new_zeros(1)])
        return Agent(
            GenerativeModel(A=flip, B=go, C=C), Exhaustive(1, gamma=2.0), batch=batch, alpha=p[2].exp(),
            generator=draw(1),
        )  # fmt: skip

    truth = torch.tensor([0.6, -0.4, 0.3], dtype=double)
    world = Imagined(agent_of(truth).model)
    record = rollout(agent_of(truth), world, steps=4, generator=draw(0))
    held = torch.tensor([2], dtype=torch.long)  # preference and precision are told apart by a prior on one

    def log_prior(p: Tensor) -> Tensor:
        return -0.5 * ((p[held] - 0.3) / 0.05).square().sum()

    fit = fit_behaviour(
        agent_of, torch.zeros(3, dtype=double), record.observations, record.actions, log_prior
    )

    assert ((fit.parameters - truth).abs() < 3 * fit.standard_errors).all()
    assert fit.standard_errors.max() < 0.15


def test_what_behaviour_does_not_determine_is_said() -> None:
    # Preference and precision only count as their product.
    def agent_of(p: Tensor) -> Agent:
        return chooser(torch.stack([p.new_zeros(()), p[0]]), p[1])

    with pytest.raises(ValueError, match="this behaviour does not determine the parameters"):
        fit_behaviour(agent_of, torch.ones(2, dtype=double), SEEN, DONE)


def test_fitting_does_not_change_where_it_started() -> None:
    start = torch.ones(1, dtype=double)

    fit = fit_behaviour(lambda p: chooser(WANTED, p[0]), start, SEEN, DONE)

    assert_close(start, torch.ones(1, dtype=double))
    assert not fit.parameters.requires_grad
