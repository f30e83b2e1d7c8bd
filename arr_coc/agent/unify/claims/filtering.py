"""Claims about perception: belief updating, Bayesian filtering, Kalman's filter, smoothing."""

import torch
from torch import Tensor

from arr_coc.agent.maths import log_stable
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.sequence import filter_states, smooth_states
from arr_coc.agent.unify.claims.claim import Claim
from arr_coc.agent.unify.filtering import all_paths, guide_filter
from arr_coc.agent.unify.gaussian import (
    filter_by_errors,
    gaussian_information,
    kalman_filter,
    least_free_energy,
    rts_smoother,
)
from arr_coc.agent.unify.problems import LinearGaussian, partly_seen, source
from arr_coc.agent.window import variational_messages

TIME = 5


def _life(seed: int) -> tuple[GenerativeModel, Tensor, Tensor]:
    g = source(seed)
    model = partly_seen(g)
    obs = torch.randint(model.n_obs[0], (TIME,), generator=g)
    return model, obs, torch.randint(model.n_actions[0], (TIME - 1,), generator=g)


def forward_gap(seed: int) -> float:
    """Beliefs that minimise F step by step and those of enumerated paths; sum of F and -ln p(o)."""
    model, obs, actions = _life(seed)
    told = filter_states(model, [obs[None]], actions[None, :, None])
    exact = [all_paths(model, obs[: t + 1], actions[:t]).marginals(3)[-1] for t in range(TIME)]
    surprise = -torch.logsumexp(all_paths(model, obs, actions).log_joint, 0)
    off = (told.qs[0][0] - torch.stack(exact)).abs().max()
    return float(torch.maximum(off, (told.F.sum() - surprise).abs()))


def guide_forward_gap(seed: int) -> float:
    """Beliefs by the guide's formula and those of enumerated paths."""
    model, obs, actions = _life(seed)
    exact = [all_paths(model, obs[: t + 1], actions[:t]).marginals(3)[-1] for t in range(TIME)]
    return float((guide_filter(model, obs, actions) - torch.stack(exact)).abs().max())


def backward_gap(seed: int) -> float:
    """Forward-backward and enumerated paths; the free energy of the chain it describes and -ln p(o)."""
    model, obs, actions = _life(seed)
    told = smooth_states(model, [obs[None]], actions[None, :, None])
    paths = all_paths(model, obs, actions)
    off = (told.qs[0][0] - paths.marginals(3)).abs().max()
    q, pairs, s = told.qs[0][0], told.pairs[0][0], paths.states
    log_q = log_stable(q[0])[s[:, 0]]
    for t in range(TIME - 1):
        log_q = log_q + (log_stable(pairs[t]) - log_stable(q[t]))[s[:, t + 1], s[:, t]]
    F = (log_q.exp() * (log_q - paths.log_joint)).sum()
    return float(torch.maximum(off, (F + torch.logsumexp(paths.log_joint, 0)).abs()))


def mean_field_gap(seed: int) -> float:
    """Marginals where every step is believed independent of the others, and those of enumerated paths."""
    model, obs, actions = _life(seed)
    told = variational_messages(model, [obs[None]], actions[None, :, None], iterations=64, tolerance=0.0)
    return float((told.qs[0][0] - all_paths(model, obs, actions).marginals(3)).abs().max())


def _seen(seed: int) -> tuple[LinearGaussian, Tensor]:
    g = source(seed)
    world = LinearGaussian.drawn(g, states=2 + seed % 3, obs=1 + seed % 2)
    return world, world.sample(g, 8)


def kalman_gap(seed: int) -> float:
    """Means, covariances and free energies of descent on prediction errors and of Kalman's filter."""
    world, y = _seen(seed)
    return _largest(filter_by_errors(world, y), kalman_filter(world, y))


def smoother_gap(seed: int) -> float:
    """Means, covariances and free energies of whole paths by descent and of the RTS smoother."""
    world, y = _seen(seed)
    return _largest(least_free_energy(world, y), rts_smoother(world, y))


def information_gap(seed: int) -> float:
    """ln det S / R / 2, ln det P- / P+ / 2, and E_y KL[q(x|y) || q(x)] after each of several actions."""
    g = source(seed)
    world = LinearGaussian.drawn(g)
    P, n = world.covariance, len(world.mean)
    told = gaussian_information(world, P)
    off = []
    for push in torch.randn(3, n, generator=g, dtype=P.dtype):
        now = LinearGaussian(
            world.transition, world.observation, world.transition_noise, world.observation_noise,
            world.mean + push, P,
        )  # fmt: skip
        S = world.observation @ P @ world.observation.T + world.observation_noise
        # KL is quadratic in y, so its mean is that over the points one root of S times sqrt(obs) away.
        away = len(S) ** 0.5 * torch.linalg.cholesky(S)
        expected = now.observation @ now.mean
        gains = []
        for y in torch.cat([expected + away.T, expected - away.T]):
            after = kalman_filter(now, y[None])
            one = torch.distributions.MultivariateNormal(after.mean[0], after.covariance[0])
            gains.append(
                torch.distributions.kl_divergence(one, torch.distributions.MultivariateNormal(now.mean, P))
            )
            off.append(told - (torch.logdet(P) - torch.logdet(after.covariance[0])) / 2)
        off.append(told - torch.stack(gains).mean())
    return float(torch.stack(off).abs().max())


def _largest(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


CLAIMS = (
    Claim(
        "Bayesian filter",
        "softmax(ln A'o + ln B Q(s)) is the Bayesian filter, the same in log space",
        "softmax(ln A[o] + ln(B Q)) is, and the sum of its free energies is -ln p(o_1 ... o_T)",
        forward_gap,
        1e-10,
        guide_forward_gap,
    ),
    Claim(
        "forward-backward",
        "State inference by free energy is filtering and smoothing",
        "a Markov chain of beliefs has least free energy at forward-backward's; mean field is elsewhere",
        backward_gap,
        1e-10,
        mean_field_gap,
        "beliefs about successive states may depend on each other",
    ),
    Claim(
        "Kalman filter",
        "Belief updating is the Kalman filter",
        "least weighted prediction errors: means, covariances and -ln p(y_t | before) of Kalman's filter",
        kalman_gap,
        1e-8,
    ),
    Claim(
        "RTS smoother",
        "Active inference's state estimation is Bayesian smoothing",
        "least prediction errors of the whole path: the Rauch-Tung-Striebel smoother, F = -ln p(y)",
        smoother_gap,
        1e-8,
    ),
    Claim(
        "Gaussian information",
        "Epistemic value is the information gain I(o; s | pi)",
        "in linear-Gaussian worlds it is ln det S / R / 2, the same whatever one does: it explores nothing",
        information_gap,
        1e-8,
    ),
)
