"""Message passing over a window of time: what is believed now of the past, the present and the future.

All steps of the window are inferred together, under actions that are given: those taken, or those of a policy
(then policies are the batch, and observations to come are -1). `smooth_states` is the exact counterpart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.evidence import Observation, Soft, Term, log_likelihood
from arr_coc.agent.inference import start
from arr_coc.agent.maths import Beliefs, log_stable
from arr_coc.agent.mean_field import ascend, complexity_and_accuracy
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.predict import predict_states, transition
from arr_coc.agent.sequence import Trajectory, in_time


@dataclass(frozen=True)
class Window:
    """Beliefs over a window, and their free energy."""

    qs: Trajectory
    """The marginal of each factor and step."""
    F: Float[Tensor, " batch"]
    """Free energy of the whole window, in nats."""


def variational_messages(
    model: GenerativeModel,
    obs: Sequence[Observation],
    actions: Int[Tensor, "batch steps controls"],
    prior: Beliefs | None = None,
    qs: Trajectory | None = None,
    iterations: int = 16,
    tolerance: float = 1e-6,
    soft: Soft = "expected_log",
) -> Window:
    """Variational message passing: mean field over time and factors, with expectations of ln A and ln B.

    One node a factor and step, visited in order of time from beliefs `qs` (default: `predicted`), so F falls
    at every update and stays above -ln p(o_1, ..., o_T). The rest is as in `filter_states`.
    """
    prior, qs = begun(model, actions, prior, qs, lambda prior: predicted(model, actions, prior))
    terms, nodes = unrolled(model, obs, actions, prior, soft)
    beliefs = ascend(terms, nodes, _as_nodes(qs), iterations, tolerance)
    complexity, accuracy = complexity_and_accuracy(terms, beliefs, nodes)
    n = model.n_factors
    return Window(in_time([beliefs[i : i + n] for i in range(0, len(beliefs), n)]), complexity - accuracy)


def window_free_energy(
    model: GenerativeModel,
    obs: Sequence[Observation],
    actions: Int[Tensor, "batch steps controls"],
    qs: Trajectory,
    prior: Beliefs | None = None,
    soft: Soft = "expected_log",
) -> Float[Tensor, " batch"]:
    """F of any beliefs over a window, independent between factors and steps: above -ln p(o_1, ..., o_T)."""
    prior = start(model, len(actions)) if prior is None else prior
    terms, nodes = unrolled(model, obs, actions, prior, soft)
    complexity, accuracy = complexity_and_accuracy(terms, _as_nodes(qs), nodes)
    return complexity - accuracy


def begun(
    model: GenerativeModel,
    actions: Int[Tensor, "batch steps controls"],
    prior: Beliefs | None,
    qs: Trajectory | None,
    guess: Callable[[Beliefs], Trajectory],
) -> tuple[Beliefs, Trajectory]:
    """What a scheme starts from: the prior and the beliefs given; where none are, D and what it guesses."""
    prior = start(model, len(actions)) if prior is None else prior
    return prior, guess(prior) if qs is None else qs


def predicted(
    model: GenerativeModel, actions: Int[Tensor, "batch steps controls"], prior: Beliefs
) -> Trajectory:
    """What follows from the prior of the first step if nothing is observed."""
    steps = [prior]
    for action in actions.unbind(1):
        steps.append(predict_states(model, steps[-1], action))
    return in_time(steps)


def unrolled(
    model: GenerativeModel,
    obs: Sequence[Observation],
    actions: Int[Tensor, "batch steps controls"],
    prior: Beliefs,
    soft: Soft = "expected_log",
) -> tuple[list[Term], Beliefs]:
    """The window as one model with a node for each factor and step: terms of ln A and ln B, and the priors.

    Node t * n_factors + f is factor f at step t. After the first step its prior is 1: B is in the terms.
    """
    n, steps = model.n_factors, actions.shape[1]
    terms = [
        Term(tuple(t * n + f for f in term.factors), term.log[:, t])
        for term in log_likelihood(model, obs, soft)
        for t in range(steps + 1)
    ]
    for t in range(steps):
        for f, parents in enumerate(model.B_factors):
            order = sorted(range(len(parents)), key=parents.__getitem__)
            log = log_stable(transition(model, f, actions[:, t])).permute(0, *(2 + i for i in order), 1)
            terms.append(Term((*(t * n + parents[i] for i in order), (t + 1) * n + f), log))
    later = [torch.ones_like(p) for p in prior]
    return terms, (*prior, *later * steps)


def _as_nodes(qs: Trajectory) -> Beliefs:
    return tuple(q[:, t] for t in range(qs[0].shape[1]) for q in qs)
