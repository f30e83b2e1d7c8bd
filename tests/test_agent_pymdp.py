"""pymdp as an independent oracle of perception and learning, and its defects, which ours must not have."""

from collections.abc import Sequence
from string import ascii_lowercase

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.evidence import log_likelihood
from arr_coc.agent.inference import free_energy, infer_posterior
from arr_coc.agent.learning import count_outcomes, count_transitions
from arr_coc.agent.maths import Beliefs, log_stable
from arr_coc.agent.mean_field import sweep
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.sequence import independent_pairs
from tests.agent_models import World

jax = pytest.importorskip("jax", reason="pymdp needs jax, which has no wheel for every platform")
algos = pytest.importorskip("pymdp.algos", reason="pymdp has no wheel for this Python")
learning = pytest.importorskip("pymdp.learning", reason="pymdp has no wheel for this Python")
maths = pytest.importorskip("pymdp.maths", reason="pymdp has no wheel for this Python")
jnp = jax.numpy

SIZES = [
    World(states=(5,), obs=(4,), actions=(1,)),
    World(states=(3, 2), obs=(4,), actions=(1, 1)),
    World(states=(2, 3, 2), obs=(4, 3, 3), actions=(1, 1, 1), A_factors=((0, 1), (1, 2), (2,))),
    World(states=(2, 3, 2, 2), obs=(3, 4, 2), actions=(1, 1, 1, 1)),
    World(
        states=(2, 3, 2, 2), obs=(3, 4, 2, 3), actions=(1,) * 4, A_factors=((0, 1), (1, 2), (2, 3), (0, 3))
    ),
]
EACH = 100
"""Models of each size: 500 in all."""


def many(world: World) -> tuple[GenerativeModel, tuple[Tensor, ...], Beliefs]:
    """A batch of agents, each with its own random model, its observation and its prior."""
    world = world.with_dtype(torch.float32)
    models = [world.model(seed) for seed in range(EACH)]
    stacked = {
        name: tuple(map(torch.stack, zip(*(getattr(m, name) for m in models), strict=True)))
        for name in "ABCD"
    }
    return (
        GenerativeModel(**stacked, A_factors=world.A_factors),
        world.observations(EACH),
        world.beliefs(EACH),
    )


def of_pymdp(model: GenerativeModel, obs: Sequence[Tensor], prior: Beliefs, iterations: int = 16) -> Beliefs:
    """Posteriors of pymdp's fixed-point iteration, agent by agent."""

    def one(A: list[object], o: list[object], d: list[object]) -> list[object]:
        factors = [list(f) for f in model.A_factors]
        result: list[object] = algos.run_factorized_fpi(
            A, o, d, factors, num_iter=iterations, distr_obs=False
        )
        return result

    arrays = ([jnp.asarray(x.numpy()) for x in xs] for xs in (model.A, obs, prior))
    return tuple(torch.tensor(np.asarray(q)) for q in jax.jit(jax.vmap(one))(*arrays))


def residual(model: GenerativeModel, obs: Sequence[Tensor], prior: Beliefs, qs: Beliefs) -> Tensor:
    """How far beliefs are from what all factors' updates at once, written out densely, make of them."""
    names = ascii_lowercase[: model.n_factors]
    each, log_l = torch.arange(len(obs[0])), torch.zeros(())
    for a, o, factors in zip(model.A, obs, model.A_factors, strict=True):
        shape = [n if f in factors else 1 for f, n in enumerate(model.n_states)]
        log_l = log_l + a[each, o].log().reshape(len(o), *shape)
    log_l = log_l.expand(-1, *model.n_states)
    worst = torch.zeros(len(each))
    for f, own in enumerate(names):
        others = [f"z{n}" for n in names if n != own]
        message = torch.einsum(
            f"{','.join(['z' + names, *others])}->z{own}", log_l, *(q for g, q in enumerate(qs) if g != f)
        )
        worst = worst.maximum((qs[f] - (message + prior[f].log()).softmax(1)).abs().amax(1))
    return worst


@pytest.mark.parametrize("world", SIZES, ids=lambda w: f"{w.states}-{w.obs}")
def test_posteriors_are_pymdps_where_it_converges_and_better_where_it_does_not(world: World) -> None:
    model, obs, prior = many(world)
    theirs = of_pymdp(model, obs, prior)
    arrived = residual(model, obs, prior, theirs) < 1e-6
    # Where pymdp arrived, its posterior is a fixed point of ours too.
    again = sweep(log_likelihood(model, obs), [log_stable(p) for p in prior], theirs)
    assert_close(tuple(q[arrived] for q in again), tuple(q[arrived] for q in theirs), atol=1e-5, rtol=0)
    # Ours arrives everywhere. From its own start it finds the same minimum, or one at least nearly as good.
    ours = infer_posterior(model, obs, prior, "mean_field", iterations=300, tolerance=0.0)
    assert residual(model, obs, prior, ours.qs).max() < 1e-4
    difference = torch.stack([(a - b).abs().amax(1) for a, b in zip(ours.qs, theirs, strict=True)]).amax(0)
    assert (difference[arrived] < 1e-5).float().mean() > (0.85 if len(world.states) > 1 else 0.999)
    # Ours by default, which is exact here, is never worse.
    default = infer_posterior(model, obs, prior)
    assert (default.F <= free_energy(model, obs, theirs, prior).F + 1e-4).all()


def test_pymdp_gets_worse_at_some_models_where_ours_does_not() -> None:
    model, obs, prior = many(SIZES[1])
    terms, log_prior = log_likelihood(model, obs), [log_stable(p) for p in prior]
    theirs = [free_energy(model, obs, of_pymdp(model, obs, prior, n), prior).F for n in (15, 16)]
    assert (theirs[1] > theirs[0] + 0.1).any()
    qs, F = prior, free_energy(model, obs, prior, prior).F
    for _ in range(16):
        qs = sweep(terms, log_prior, qs)
        now = free_energy(model, obs, qs, prior).F
        assert (now <= F + 1e-5).all()
        F = now


def test_free_energy_is_pymdps() -> None:
    model, obs, prior = (
        SIZES[2].with_dtype(torch.float32).model(),
        SIZES[2].observations(1),
        SIZES[2].beliefs(1),
    )
    qs = SIZES[2].beliefs(1, seed=1)
    ours = free_energy(model, obs, tuple(q.float() for q in qs), tuple(p.float() for p in prior))
    arrays = [[jnp.asarray(x[0].numpy()) for x in xs] for xs in (qs, prior, obs)]
    A = [jnp.asarray(a.numpy()) for a in model.A]

    def vfe(q: list[object], p: list[object], o: list[object]) -> object:
        deps = [list(f) for f in model.A_factors]
        return maths.calc_vfe(q, p, obs=o, A=A, A_dependencies=deps, distr_obs=False)[1]

    theirs = jax.jit(vfe)(*arrays)
    assert_close(ours.F, torch.tensor(np.asarray(theirs)).reshape(1), atol=1e-4, rtol=0)


def test_counts_are_pymdps() -> None:
    world = World(states=(3, 2), obs=(4, 3), actions=(3, 2), A_factors=((0, 1), (1,)))
    model, obs, actions = world.model(), world.observations(1, 6), world.moves(1, 5)
    qs = tuple(q.view(1, 6, -1) for q in world.beliefs(6))

    def counted() -> list[object]:
        beliefs = [jnp.asarray(q[0].numpy()) for q in qs]
        out = []
        for m, factors in enumerate(model.A_factors):
            seen = jnp.asarray(np.eye(world.obs[m])[obs[m][0].numpy()])
            zero = jnp.zeros(model.A[m].shape)
            out.append(learning.update_obs_likelihood_dirichlet_m(zero, seen, beliefs, list(factors))[0])
        for f, q in enumerate(beliefs):
            done = jnp.asarray(np.eye(world.actions[f])[actions[0, :, f].numpy()])
            zero = jnp.zeros(model.B[f].shape)
            out.append(learning.update_state_transition_dirichlet_f(zero, done, [q[1:], q[:-1]])[0])
        return out

    mine = [*count_outcomes(model, obs, qs), *count_transitions(model, independent_pairs(model, qs), actions)]
    for ours, theirs in zip(mine, jax.jit(counted)(), strict=True):
        assert_close(ours.float(), torch.tensor(np.asarray(theirs)), atol=1e-5, rtol=0)
