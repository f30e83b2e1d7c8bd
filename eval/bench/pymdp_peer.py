"""pymdp on the agent's problems, compiled by its own means, on one thread."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from arr_coc.eval.bench.agent_cases import Problem

Call = Callable[[], Any]
LARGE = 2**26
"""Bytes of constants from which closing over the agent is left out."""


class Peer:
    """Its `Agent`, of one problem and batch. Raises ValueError if pymdp is not installed."""

    def __init__(self, problem: Problem, batch: int, seed: int, gamma: float) -> None:
        # Read when XLA starts: one thread, as ours.
        os.environ.setdefault(
            "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        )
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        try:
            import equinox
            import jax
            from pymdp.agent import Agent  # type: ignore[import-untyped]
        except ImportError as error:
            raise ValueError("the peer of this bench is missing: pip install 'arr-coc[bench]'") from error
        model = problem.model(seed)
        every = [list(range(len(problem.states)))] * len(problem.outcomes)
        agent = Agent(
            A=_arrays(model.A), B=_arrays(model.B), C=[_log_softmax(c) for c in _arrays(model.C)],
            D=_arrays(model.D), A_dependencies=every, num_controls=list(problem.actions),
            policies=jax.numpy.asarray(problem.policies(seed).numpy()), gamma=gamma, batch_size=batch,
            num_iter=16,
        )  # fmt: skip
        qs = [jax.numpy.asarray(q.numpy())[:, None] for q in problem.beliefs(batch, seed)]
        obs = [jax.numpy.asarray(o.numpy())[:, None] for o in problem.observations(batch, seed)]
        prior = agent.D
        closed = jax.jit(lambda qs: agent.infer_policies(qs))
        closed_states = jax.jit(lambda obs, prior: agent.infer_states(obs, prior))
        given = equinox.filter_jit(lambda agent, qs: agent.infer_policies(qs))
        given_states = equinox.filter_jit(lambda agent, obs, prior: agent.infer_states(obs, prior))
        wait = jax.block_until_ready
        # Closed over, the agent's tensors are constants, which XLA folds: for minutes where they are large.
        small = sum(x.nbytes for x in (*agent.A, *agent.B)) < LARGE
        self.planning: dict[str, Call] = {
            "as argument": lambda: wait(given(agent, qs)),
            **({"closed over": lambda: wait(closed(qs))} if small else {}),
        }
        """Posterior over policies, and minus G."""
        self.perception: dict[str, Call] = {
            "as argument": lambda: wait(given_states(agent, obs, prior)),
            **({"closed over": lambda: wait(closed_states(obs, prior))} if small else {}),
        }
        """Beliefs after an observation: 16 iterations of its fixed point."""


def _arrays(tensors: tuple[Tensor, ...]) -> list[Any]:
    import jax

    return [jax.numpy.asarray(t.numpy()) for t in tensors]


def _log_softmax(c: Any) -> Any:
    return c - np.logaddexp.reduce(np.asarray(c))
