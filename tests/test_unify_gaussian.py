"""Linear-Gaussian beliefs beside the joint Gaussian of all states and observations, conditioned at once."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.unify.gaussian import (
    GaussianBeliefs,
    descend,
    error_gradient,
    filter_by_errors,
    gaussian_information,
    kalman_filter,
    least_free_energy,
    path_energy,
    rts_smoother,
)
from arr_coc.agent.unify.problems import LinearGaussian, source

Infer = Callable[[LinearGaussian, Tensor], GaussianBeliefs]
EXACT = {"rtol": 0.0, "atol": 1e-8}
STEPS = 6


def seen(seed: int) -> tuple[LinearGaussian, Tensor]:
    g = source(seed)
    world = LinearGaussian.drawn(g)
    return world, world.sample(g, STEPS)


def conditioned(world: LinearGaussian, y: Tensor, until: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and covariance of all states given the first `until` observations, and -ln p of those.

    All states are a linear map of the first one and the noises; so is what is seen of them.
    """
    n, steps = len(world.mean), len(y)
    step = torch.eye(steps * n, dtype=y.dtype)
    for t in range(1, steps):
        step[t * n : (t + 1) * n, (t - 1) * n : t * n] = -world.transition
    by_noise = torch.linalg.inv(step)
    noises = torch.block_diag(world.covariance, *[world.transition_noise] * (steps - 1))
    prior = by_noise @ noises @ by_noise.T
    mean = by_noise @ torch.cat([world.mean, y.new_zeros((steps - 1) * n)])
    H = torch.block_diag(*[world.observation] * steps)[: until * y.shape[1]]
    S = H @ prior @ H.T + torch.block_diag(*[world.observation_noise] * until)
    error = y[:until].flatten() - H @ mean
    gain = prior @ H.T @ torch.linalg.inv(S)
    surprise = (error @ torch.linalg.inv(S) @ error + torch.logdet(2 * torch.pi * S)) / 2
    return mean + gain @ error, prior - gain @ H @ prior, surprise


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("smoother", [rts_smoother, least_free_energy])
def test_a_smoother_is_the_joint_gaussian_conditioned_on_all_that_was_seen(
    smoother: Infer, seed: int
) -> None:
    world, y = seen(seed)
    mean, covariance, surprise = conditioned(world, y, STEPS)

    told = smoother(world, y)

    assert_close(told.mean.flatten(), mean, **EXACT)
    assert_close(
        torch.block_diag(*told.covariance), covariance * (torch.block_diag(*told.covariance) != 0), **EXACT
    )
    assert_close(told.F, surprise, **EXACT)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("filtered", [kalman_filter, filter_by_errors])
def test_a_filter_is_it_conditioned_on_what_was_seen_until_then(filtered: Infer, seed: int) -> None:
    world, y = seen(seed)
    n = len(world.mean)

    told = filtered(world, y)

    for t in range(STEPS):
        mean, covariance, surprise = conditioned(world, y, t + 1)
        here = slice(t * n, (t + 1) * n)
        assert_close(told.mean[t], mean[here], **EXACT)
        assert_close(told.covariance[t], covariance[here, here], **EXACT)
        assert_close(told.F[: t + 1].sum(), surprise, **EXACT)


def test_prediction_errors_are_the_gradient_of_the_free_energy() -> None:
    world, y = seen(4)
    path = torch.randn(STEPS, 3, generator=source(0), dtype=torch.double, requires_grad=True)

    (gradient,) = torch.autograd.grad(path_energy(world, path, y), path)

    assert_close(error_gradient(world, path.detach(), y), gradient, **EXACT)


def test_descent_ends_where_a_linear_system_is_solved() -> None:
    root = torch.randn(12, 12, generator=source(1), dtype=torch.double)
    matrix, aim = root @ root.T + torch.eye(12, dtype=torch.double), root[0]

    found = descend(lambda x: matrix @ x - aim, torch.zeros(12, dtype=torch.double))

    assert_close(found, torch.linalg.solve(matrix, aim), **EXACT)


def test_information_is_what_is_known_more_whatever_is_believed() -> None:
    world, y = seen(5)
    told = gaussian_information(world, world.covariance)

    for shift in (0.0, 3.0):
        other = LinearGaussian(
            world.transition, world.observation, world.transition_noise, world.observation_noise,
            world.mean + shift, world.covariance,
        )  # fmt: skip
        after = kalman_filter(other, y[:1]).covariance[0]
        assert_close(told, (torch.logdet(world.covariance) - torch.logdet(after)) / 2, **EXACT)
