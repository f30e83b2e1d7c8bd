"""Action: from a posterior over policies to what is done now, and how probable it was.

`sampling="marginal"` sums the policies that begin with the same action, for every control factor by itself;
`"joint"` sums those that begin with the same actions of all control factors, as SPM; `"full"` takes the first
action of one policy. `alpha` is the precision: probabilities are raised to it and
normalised again, 1 samples them as they are, and infinity takes the most probable one, the first of equals.
"""

import math
from collections.abc import Sequence
from math import prod
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Sampling = Literal["marginal", "joint", "full"]
PerPolicy = Float[Tensor, "batch policies"]
Policies = Int[Tensor, "policies horizon controls"]
Precision = float | Float[Tensor, ""] | Float[Tensor, " batch"]


def action_marginals(
    q_pi: PerPolicy, policies: Policies, n_actions: Sequence[int], step: int = 0
) -> tuple[Float[Tensor, "batch _"], ...]:
    """Probability of every action at a step of the policies, one tensor (batch, actions) a control factor."""
    _check(policies, n_actions)
    return tuple(
        q_pi.new_zeros(len(q_pi), n).index_add(1, policies[:, step, c], q_pi) for c, n in enumerate(n_actions)
    )


def joint_action_marginals(
    q_pi: PerPolicy, policies: Policies, n_actions: Sequence[int], step: int = 0
) -> Float[Tensor, "batch actions"]:
    """Probability of every combination of actions at a step of the policies, the last control fastest."""
    _check(policies, n_actions)
    return q_pi.new_zeros(len(q_pi), prod(n_actions)).index_add(1, _ravel(policies[:, step], n_actions), q_pi)


def sample_action(
    q_pi: PerPolicy,
    policies: Policies,
    n_actions: Sequence[int],
    *,
    alpha: Precision = math.inf,
    sampling: Sampling = "marginal",
    generator: torch.Generator | None = None,
) -> Int[Tensor, "batch controls"]:
    """What each agent does now. Rows are drawn independently; with `marginal` control factors are, too."""
    _check(policies, n_actions)
    if sampling == "full":
        return policies[_draw(q_pi, alpha, generator), 0]
    if sampling == "joint":
        drawn = _draw(joint_action_marginals(q_pi, policies, n_actions), alpha, generator)
        return torch.stack(torch.unravel_index(drawn, tuple(n_actions)), dim=1)
    marginals = action_marginals(q_pi, policies, n_actions)
    return torch.stack([_draw(p, alpha, generator) for p in marginals], dim=1)


def action_log_prob(
    action: Int[Tensor, "batch controls"],
    log_q_pi: PerPolicy,
    policies: Policies,
    n_actions: Sequence[int],
    *,
    alpha: Precision = 1.0,
    sampling: Sampling = "marginal",
) -> Float[Tensor, " batch"]:
    """Log-probability that `sample_action` does this; what recorded behaviour is fitted with.

    `log_q_pi` may be off by a constant, so that log_E - gamma * G will do: nothing underflows on the way.
    Raises ValueError for an infinite `alpha`, which has no gradient and no probability but 0 and 1.
    """
    _check(policies, n_actions)
    precision = _column(alpha, log_q_pi)
    if not torch.isfinite(precision).all():
        raise ValueError(
            "an action chosen with alpha = infinity has no density: give a finite alpha to fit behaviour"
        )
    if sampling == "full":
        tempered = torch.log_softmax(precision * log_q_pi, dim=1)
        agrees = (policies[:, 0] == action[:, None]).all(2)  # (batch, policies)
        return tempered.masked_fill(~agrees, -torch.inf).logsumexp(1)
    if sampling == "joint":
        choices = [(_ravel(policies[:, 0], n_actions), prod(n_actions), _ravel(action, n_actions))]
    else:
        choices = [(policies[:, 0, c], n, action[:, c]) for c, n in enumerate(n_actions)]
    total = log_q_pi.new_zeros(len(log_q_pi))
    for first, n, done in choices:
        marginal = _group_logsumexp(log_q_pi, first, n)
        # An action that no policy has keeps its -inf; zero precision must not turn that into 0 * -inf.
        tempered = torch.where(torch.isneginf(marginal), marginal, precision * _finite(marginal))
        total = total + torch.log_softmax(tempered, dim=1).gather(1, done[:, None])[:, 0]
    return total


def check_actions(actions: Int[Tensor, "rows controls"], batch: int, n_actions: Sequence[int]) -> None:
    """Raise ValueError for actions that do not exist, or are not one for each of `batch` agents."""
    if actions.shape != (batch, len(n_actions)):
        raise ValueError(
            f"actions must be of shape (batch, controls) = {(batch, len(n_actions))}, "
            f"got {tuple(actions.shape)}"
        )
    most = torch.as_tensor(n_actions, device=actions.device)
    if ((actions < 0) | (actions >= most)).any():
        raise ValueError(
            f"actions must lie between 0 and {tuple(n - 1 for n in n_actions)}, got {actions.tolist()}"
        )


def _ravel(actions: Int[Tensor, "rows controls"], n_actions: Sequence[int]) -> Int[Tensor, " rows"]:
    """The number of each combination of actions, in the order of counting."""
    number = actions.new_zeros(len(actions))
    for c, n in enumerate(n_actions):
        number = number * n + actions[:, c]
    return number


def _draw(
    p: Float[Tensor, "batch choices"], alpha: Precision, generator: torch.Generator | None
) -> Int[Tensor, " batch"]:
    precision = _column(alpha, p)
    # Sums of equal terms differ in their last digits; what lies within rounding of the best counts as equal.
    near = p >= p.amax(1, keepdim=True) * (1 - 64 * torch.finfo(p.dtype).eps)
    first = near.byte().argmax(1)
    if torch.isinf(precision).all():
        return first
    if torch.isinf(precision).any():
        raise ValueError("alpha is infinite for some rows only: choose one kind of action selection for all")
    possible = p > 0
    tempered = (precision * torch.where(possible, p, 1.0).log()).masked_fill(~possible, -torch.inf)
    return torch.multinomial(torch.softmax(tempered, dim=1), 1, generator=generator)[:, 0]


def _group_logsumexp(
    x: PerPolicy, group: Int[Tensor, " policies"], groups: int
) -> Float[Tensor, "batch groups"]:
    """Log-sum-exp of the policies of each group, -inf for a group that has none or has only -inf."""
    index = group.expand_as(x)
    floor = x.new_full((len(x), groups), -torch.inf)
    top = _finite(floor.scatter_reduce(1, index, x.detach(), "amax"))
    total = torch.zeros_like(top).index_add(1, group, (x - top.gather(1, index)).exp())
    some = total > 0
    return torch.where(some, top + torch.where(some, total, 1.0).log(), -torch.inf)


def _finite(x: Tensor) -> Tensor:
    return torch.where(torch.isneginf(x), 0.0, x)


def _column(alpha: Precision, like: Tensor) -> Float[Tensor, "rows 1"]:
    column = torch.as_tensor(alpha, dtype=like.dtype, device=like.device).reshape(-1, 1)
    if not (column >= 0).all():
        raise ValueError(f"alpha must not be negative, got {alpha}")
    return column


def _check(policies: Policies, n_actions: Sequence[int]) -> None:
    if policies.shape[2] != len(n_actions):
        raise ValueError(
            f"policies have {policies.shape[2]} control factors and n_actions names {len(n_actions)}: "
            "give policies of shape (policies, horizon, controls)"
        )
