"""Fit agents to recorded behaviour: the parameters under which what was done is most probable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.agent import Agent
from arr_coc.agent.rollout import behaviour_log_likelihood


@dataclass(frozen=True)
class Fit:
    """Where the likelihood of behaviour is highest, and how sharply it falls off there."""

    parameters: Float[Tensor, " parameters"]
    """Those of the maximum."""
    log_likelihood: Float[Tensor, ""]
    """Of all that was done, in nats; with a prior, and its logarithm."""
    covariance: Float[Tensor, "parameters parameters"]
    """The inverse of the curvature at the maximum: the roots of its diagonal are standard errors."""

    @property
    def standard_errors(self) -> Float[Tensor, " parameters"]:
        """Of each parameter, as if the likelihood were Gaussian."""
        return self.covariance.diagonal().sqrt()


def fit_behaviour(
    agent_of: Callable[[Float[Tensor, " parameters"]], Agent],
    start: Float[Tensor, " parameters"],
    observations: Sequence[Int[Tensor, "batch observations"]],
    actions: Int[Tensor, "batch steps controls"],
    log_prior: Callable[[Float[Tensor, " parameters"]], Float[Tensor, ""]] | None = None,
    iterations: int = 100,
) -> Fit:
    """Maximum likelihood by L-BFGS, or with a prior the maximum a posteriori and Laplace's approximation.

    `agent_of` makes agents of parameters, with a finite `alpha`; a parameter that must be positive is best
    given by its logarithm. `start` is where the search begins, in the precision it shall have. Observations
    and actions are as in `behaviour_log_likelihood`. Raises ValueError where behaviour has no finite
    likelihood under the parameters met, or does not determine them: the curvature has no inverse.
    """

    def loss(parameters: Tensor) -> Tensor:
        nats = behaviour_log_likelihood(agent_of(parameters), observations, actions).sum()
        return -nats if log_prior is None else -nats - log_prior(parameters)

    found = start.detach().clone().requires_grad_()
    # One call makes all iterations; it stops by itself once the slope is that of rounding.
    optimizer = torch.optim.LBFGS(
        [found],
        max_iter=iterations,
        tolerance_grad=1e-9,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        value = loss(found)
        if not bool(value.isfinite()):
            raise ValueError(f"behaviour has no finite likelihood at parameters {found.detach().tolist()}")
        (found.grad,) = torch.autograd.grad(value, found)
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    best = found.detach()
    curvature: Tensor = torch.autograd.functional.hessian(loss, best)  # type: ignore[no-untyped-call]
    covariance, singular = torch.linalg.inv_ex(curvature)
    # Where behaviour says nothing of a parameter, what curvature there is comes of rounding.
    flat = torch.linalg.eigvalsh(curvature)[0] <= torch.finfo(best.dtype).eps ** 0.5
    if bool(singular) or bool(flat):
        raise ValueError(
            f"this behaviour does not determine the parameters, found {best.tolist()}: give a log_prior, "
            "or fit fewer"
        )
    return Fit(best, -loss(best).detach(), covariance)
