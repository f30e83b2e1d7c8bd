"""Linear-Gaussian worlds: beliefs by descent on prediction errors, and by Kalman's and Rauch's recursions.

The free energy of a path x with a Gaussian belief around it is half the sum of its squared prediction errors,

    e_y(t) = y(t) - H x(t),   e_x(0) = x(0) - mean,   e_x(t) = x(t) - F x(t-1)

each weighted by the precision of its noise, and terms of the belief's covariance alone. So its least is where
the weighted errors balance, and the covariance is the inverse curvature there.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.unify.problems import LinearGaussian


class GaussianBeliefs(NamedTuple):
    """Beliefs about the state at every time."""

    mean: Float[Tensor, "time states"]
    covariance: Float[Tensor, "time states states"]
    F: Float[Tensor, " time"] | Float[Tensor, ""]
    """Free energy in nats, -ln p: of each observation given those before, or of all together."""


def kalman_filter(world: LinearGaussian, y: Float[Tensor, "time obs"]) -> GaussianBeliefs:
    """Given what was seen until then, by Kalman's gains, https://doi.org/10.1115/1.3662552."""
    mean, P, out = world.mean, world.covariance, []
    for t, seen in enumerate(y):
        if t:
            mean, P = _predicted(world, mean, P)
        S = world.observation @ P @ world.observation.T + world.observation_noise
        gain = torch.linalg.solve(S, world.observation @ P).T
        error = seen - world.observation @ mean
        surprise = (error @ torch.linalg.solve(S, error) + torch.logdet(2 * torch.pi * S)) / 2
        mean, P = mean + gain @ error, P - gain @ S @ gain.T
        out.append((mean, P, surprise))
    return GaussianBeliefs(*(torch.stack(part) for part in zip(*out, strict=True)))


def rts_smoother(world: LinearGaussian, y: Float[Tensor, "time obs"]) -> GaussianBeliefs:
    """Given all that was seen: Rauch, Tung and Striebel, https://doi.org/10.2514/3.3166."""
    filtered = kalman_filter(world, y)
    mean, P = filtered.mean[-1], filtered.covariance[-1]
    out = [(mean, P)]
    for t in reversed(range(len(y) - 1)):
        ahead, spread = _predicted(world, filtered.mean[t], filtered.covariance[t])
        back = torch.linalg.solve(spread, world.transition @ filtered.covariance[t]).T
        mean = filtered.mean[t] + back @ (mean - ahead)
        P = filtered.covariance[t] + back @ (P - spread) @ back.T
        out.insert(0, (mean, P))
    means, covariances = (torch.stack(part) for part in zip(*out, strict=True))
    return GaussianBeliefs(means, covariances, filtered.F.sum())


def least_free_energy(world: LinearGaussian, y: Float[Tensor, "time obs"]) -> GaussianBeliefs:
    """Given all that was seen, by descent on the free energy of the whole path; F is -ln p(y)."""
    steps, n = len(y), len(world.mean)

    def gradient(x: Tensor) -> Tensor:
        return error_gradient(world, x.view(steps, n), y).flatten()

    zero = y.new_zeros(steps * n)
    path = descend(gradient, zero).view(steps, n)
    # The gradient is linear: its curvature is what it answers to one state at a time.
    curvature = torch.stack([gradient(x) for x in torch.eye(len(zero), dtype=y.dtype)]) - gradient(zero)
    covariance = torch.linalg.inv(curvature)
    F = path_energy(world, path, y) - torch.logdet(2 * torch.pi * covariance) / 2
    blocks = [covariance[i : i + n, i : i + n] for i in range(0, len(zero), n)]
    return GaussianBeliefs(path, torch.stack(blocks), F)


def filter_by_errors(world: LinearGaussian, y: Float[Tensor, "time obs"]) -> GaussianBeliefs:
    """Given what was seen until then: at every step, least free energy under the prior that was predicted."""
    mean, P, out = world.mean, world.covariance, []
    for t, seen in enumerate(y):
        if t:
            mean, P = _predicted(world, mean, P)
        now = LinearGaussian(
            world.transition, world.observation, world.transition_noise, world.observation_noise, mean, P
        )
        found = least_free_energy(now, seen[None])
        mean, P = found.mean[0], found.covariance[0]
        out.append((mean, P, found.F))
    return GaussianBeliefs(*(torch.stack(part) for part in zip(*out, strict=True)))


def path_energy(
    world: LinearGaussian, path: Float[Tensor, "time states"], y: Float[Tensor, "time obs"]
) -> Float[Tensor, ""]:
    """-ln p(path, y): half the squared prediction errors by precision, and the constants."""
    total = path.new_zeros(())
    for error, noise in _errors(world, path, y):
        squares = (error * torch.linalg.solve(noise, error.T).T).sum()
        total = total + (squares + len(error) * torch.logdet(2 * torch.pi * noise)) / 2
    return total


def error_gradient(
    world: LinearGaussian, path: Float[Tensor, "time states"], y: Float[Tensor, "time obs"]
) -> Float[Tensor, "time states"]:
    """dF/dx: the weighted errors that a state makes, less those that it explains; local to its neighbours."""
    sensory, first, later = (torch.linalg.solve(noise, e.T).T for e, noise in _errors(world, path, y))
    explained = torch.cat([later @ world.transition, torch.zeros_like(first)])
    gradient: Tensor = torch.cat([first, later]) - explained - sensory @ world.observation
    return gradient


def descend(
    gradient: Callable[[Float[Tensor, " n"]], Float[Tensor, " n"]],
    start: Float[Tensor, " n"],
    tolerance: float = 1e-13,
) -> Float[Tensor, " n"]:
    """Where a linear gradient vanishes, by conjugate gradients, which ask for nothing but the gradient."""
    x, at_zero = start, gradient(torch.zeros_like(start))
    downhill = -gradient(x)
    direction, size = downhill, downhill @ downhill
    enough = tolerance**2 * max(float(size), 1.0)
    for _ in range(4 * len(start)):
        if size <= enough:
            break
        curved = gradient(direction) - at_zero
        step = size / (direction @ curved)
        x, downhill = x + step * direction, downhill - step * curved
        before, size = size, downhill @ downhill
        direction = downhill + size / before * direction
    return x


def gaussian_information(
    world: LinearGaussian, covariance: Float[Tensor, "states states"]
) -> Float[Tensor, ""]:
    """I(x; y) of one observation in nats, ln det S / R / 2: of no belief's mean, so of no action."""
    S = world.observation @ covariance @ world.observation.T + world.observation_noise
    gain: Tensor = torch.logdet(S) - torch.logdet(world.observation_noise)
    return gain / 2


def _errors(world: LinearGaussian, path: Tensor, y: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
    return (
        (y - path @ world.observation.T, world.observation_noise),
        (path[:1] - world.mean, world.covariance),
        (path[1:] - path[:-1] @ world.transition.T, world.transition_noise),
    )


def _predicted(world: LinearGaussian, mean: Tensor, P: Tensor) -> tuple[Tensor, Tensor]:
    return (
        world.transition @ mean,
        world.transition @ P @ world.transition.T + world.transition_noise,
    )
