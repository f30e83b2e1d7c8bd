"""Filtering, smoothing and message passing over a window, against every path enumerated."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.inference import infer_posterior
from arr_coc.agent.marginal import marginal_messages
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.predict import predict_obs, predict_states, transition
from arr_coc.agent.sequence import (
    SMOOTHER_LIMIT,
    Trajectory,
    filter_states,
    independent_pairs,
    joint_transition,
    smooth_states,
)
from arr_coc.agent.window import predicted, variational_messages, window_free_energy
from tests.agent_models import COUPLED, ONE, TWO, WORLDS, World, paths

every_world = pytest.mark.parametrize("world", WORLDS.values(), ids=list(WORLDS))
TIME = 3


def episode(world: World, batch: int = 2) -> tuple[GenerativeModel, tuple[Tensor, ...], Tensor]:
    """A model, what was seen and what was done; the first row missed one observation."""
    obs = world.observations(batch, TIME)
    obs[0][0, 1] = -1
    return world.model(3), obs, world.moves(batch, TIME - 1)


@every_world
def test_smoothing_is_the_marginal_of_every_path(world: World) -> None:
    model, obs, actions = episode(world, batch=1)
    prior = world.beliefs(1)
    path, p = paths(model, obs, actions, 0, prior)
    evidence = p.sum()
    qs = [torch.zeros(TIME, n, dtype=torch.double) for n in model.n_states]
    pairs = [
        torch.zeros(TIME - 1, n, *(model.n_states[g] for g in parents), dtype=torch.double)
        for n, parents in zip(model.n_states, model.B_factors, strict=True)
    ]
    for t in range(TIME):
        for f, parents in enumerate(model.B_factors):
            qs[f][t].index_put_((path[:, t, f],), p / evidence, accumulate=True)
            if t:
                now_and_before = (path[:, t, f], *(path[:, t - 1, g] for g in parents))
                pairs[f][t - 1].index_put_(now_and_before, p / evidence, accumulate=True)
    smoothed = smooth_states(model, obs, actions, prior)
    assert_close(smoothed.F[0], -evidence.log())
    assert_close(smoothed.qs, tuple(q[None] for q in qs))
    assert_close(smoothed.pairs, tuple(p[None] for p in pairs))


def test_with_one_factor_the_filter_is_the_forward_algorithm_and_its_surprises_add_up() -> None:
    model, obs, actions = episode(ONE)
    filtered, smoothed = filter_states(model, obs, actions), smooth_states(model, obs, actions)
    assert_close(filtered.F.sum(1), smoothed.F)
    assert_close(filtered.qs[0][:, -1], smoothed.qs[0][:, -1])
    assert_close(filtered.prior[0][:, 0], model.D[0].expand(2, -1))
    now = infer_posterior(model, (obs[0][:, 1],), (filtered.prior[0][:, 1],))
    assert_close(filtered.qs[0][:, 1], now.qs[0])


@every_world
def test_smoothing_lowers_the_free_energy_of_filtering_and_stays_above_the_evidence(world: World) -> None:
    model, obs, actions = episode(world, batch=4)
    filtered, exact = filter_states(model, obs, actions), smooth_states(model, obs, actions)
    before = window_free_energy(model, obs, actions, filtered.qs)
    after = variational_messages(model, obs, actions, qs=filtered.qs, iterations=30)
    assert (before + 1e-12 >= after.F).all()
    assert (before - 1e-3 > after.F).any()
    assert (after.F >= exact.F - 1e-12).all()
    assert_close(after.F, window_free_energy(model, obs, actions, after.qs))


@every_world
def test_free_energy_of_variational_messages_falls_sweep_by_sweep(world: World) -> None:
    model, obs, actions = episode(world)
    F = [variational_messages(model, obs, actions, iterations=i, tolerance=0.0).F for i in range(8)]
    start = predicted(model, actions, tuple(d.expand(2, -1) for d in model.D))
    assert_close(F[0], window_free_energy(model, obs, actions, start))
    assert (torch.stack(F).diff(dim=0) <= 1e-12).all()


def test_without_transitions_a_window_is_one_observation() -> None:
    model, prior = TWO.model(), TWO.beliefs(3)
    obs, nothing = TWO.observations(3, 1), torch.zeros(3, 0, 2, dtype=torch.long)
    now = tuple(o[:, 0] for o in obs)
    exact = infer_posterior(model, now, prior, "exact")
    assert_close(smooth_states(model, obs, nothing, prior).F, exact.F)
    assert smooth_states(model, obs, nothing, prior).pairs[0].shape == (3, 0, 3, 3)
    mean_field = infer_posterior(model, now, prior, "mean_field", iterations=50, tolerance=0.0)
    window = variational_messages(model, obs, nothing, prior, iterations=50, tolerance=0.0)
    assert_close(window.F, mean_field.F)
    assert_close(tuple(q[:, 0] for q in window.qs), mean_field.qs)


def test_when_the_world_is_known_all_schemes_know_it() -> None:
    # Deterministic and fully seen: the product of marginals is the truth, and so every scheme must find it.
    shift = torch.eye(4, dtype=torch.double).roll(1, 0)[:, :, None]
    model = GenerativeModel(
        A=torch.eye(4, dtype=torch.double), B=shift, C=torch.zeros(4).double(), D=torch.eye(4).double()[0]
    )
    obs, actions = (torch.tensor([[0, -1, 2, -1]]),), torch.zeros(1, 3, 1, dtype=torch.long)
    truth: Trajectory = (torch.eye(4, dtype=torch.double)[None],)
    assert_close(smooth_states(model, obs, actions).qs, truth)
    assert_close(smooth_states(model, obs, actions).F, torch.zeros(1).double())
    assert_close(filter_states(model, obs, actions).qs, truth)
    assert_close(variational_messages(model, obs, actions).qs, truth, atol=1e-6, rtol=0)
    assert_close(marginal_messages(model, obs, actions, iterations=64).qs, truth, atol=1e-6, rtol=0)


def test_marginal_messages_settle_where_past_and_future_have_equal_say() -> None:
    model, obs, actions = episode(replace(TWO, A_factors=((0,), (1,))))
    window = marginal_messages(model, obs, actions, iterations=200)
    q, b, o, t = window.qs[0], model.B[0], obs[0], 1
    forward = (b[:, :, actions[1, 0, 0]] @ q[1, 0]).log()
    back = b[:, :, actions[1, 1, 0]].T
    backward = ((back / back.sum(0)) @ q[1, 2]).log()
    expected = (model.A[0][o[1, t]].log() + (forward + backward) / 2).softmax(0)
    assert_close(q[1, t], expected)


@every_world
def test_a_model_for_each_agent_and_a_shared_one_agree_over_time(world: World) -> None:
    model, obs, actions = episode(world)
    own = model.expand(2)
    assert_close(filter_states(own, obs, actions).F, filter_states(model, obs, actions).F)
    assert_close(smooth_states(own, obs, actions).pairs, smooth_states(model, obs, actions).pairs)
    assert_close(variational_messages(own, obs, actions).qs, variational_messages(model, obs, actions).qs)
    if world is not COUPLED:
        assert_close(marginal_messages(own, obs, actions).F, marginal_messages(model, obs, actions).F)


@every_world
def test_over_time_too_weights_may_stand_for_an_index_and_none_for_never_observed(world: World) -> None:
    model, obs, actions = episode(world)
    weights = (*obs[:-1], torch.eye(world.obs[-1], dtype=torch.double)[obs[-1].clamp_min(0)])
    seen = (*obs[:-1], obs[-1].clamp_min(0))
    never = (*obs[:-1], torch.full_like(obs[-1], -1))
    schemes = [filter_states, smooth_states, variational_messages]
    for scheme in schemes + [marginal_messages] * (world is not COUPLED):
        for own in (model, model.expand(2)):
            assert_close(scheme(own, weights, actions).qs, scheme(own, seen, actions).qs)
            assert_close(scheme(own, (*obs[:-1], None), actions).F, scheme(own, never, actions).F)


@every_world
def test_a_row_of_a_window_is_what_it_is_alone(world: World) -> None:
    model, obs, actions = episode(world, batch=3)
    schemes = [smooth_states, variational_messages] + [marginal_messages] * (world is not COUPLED)
    for scheme in schemes:
        together = scheme(model, obs, actions)
        alone = scheme(model, tuple(o[1:2] for o in obs), actions[1:2])
        assert_close(tuple(q[1:2] for q in together.qs), alone.qs)
        assert_close(together.F[1:2], alone.F)


def test_coupled_factors_are_predicted_from_the_joint_of_their_parents() -> None:
    model, qs, action = COUPLED.model(), COUPLED.beliefs(4), COUPLED.moves(4)
    joint = torch.einsum("na,nb,nc->nabc", *qs).flatten(1)
    expected = (joint_transition(model, action) @ joint[:, :, None])[:, :, 0].view(4, *model.n_states)
    for own in (model, model.expand(4)):
        for f, q in enumerate(predict_states(own, qs, action)):
            assert_close(q, expected.sum([1 + g for g in range(3) if g != f]))


def test_observations_are_predicted_from_the_factors_of_their_modality() -> None:
    model, qs = COUPLED.model(), COUPLED.beliefs(4)
    for own in (model, model.expand(4)):
        seen, heard = predict_obs(own, qs)
        assert_close(seen, torch.einsum("oac,na,nc->no", model.A[0], qs[0], qs[2]))
        assert_close(heard, qs[1] @ model.A[1].T)


def test_transitions_are_those_of_the_action_taken() -> None:
    model, action = COUPLED.model(), torch.tensor([[2, 1], [0, 0]])
    for own in (model, model.expand(2)):
        assert_close(transition(own, 0, action)[0], model.B[0][..., 2, 1])
        assert_close(transition(own, 1, action)[1], model.B[1][..., 0])
        assert_close(transition(own, 2, action)[0], model.B[2])


def test_independent_pairs_have_the_marginals_they_are_made_of() -> None:
    model, actions = COUPLED.model(), COUPLED.moves(2, 2)
    qs = predicted(model, actions, COUPLED.beliefs(2))
    pair = independent_pairs(model, qs)[2]  # (batch, steps, next of 2, previous of 2, previous of 0)
    assert_close(pair.sum((3, 4)), qs[2][:, 1:])
    assert_close(pair.sum((2, 4)), qs[2][:, :-1])
    assert_close(pair.sum((2, 3)), qs[0][:, :-1])


def test_what_a_scheme_cannot_do_it_says() -> None:
    model, obs, actions = episode(COUPLED)
    with pytest.raises(ValueError, match="own past only"):
        marginal_messages(model, obs, actions)
    n = SMOOTHER_LIMIT + 1
    wide = GenerativeModel(A=torch.ones(1, n), B=torch.eye(n), C=torch.zeros(1), B_controls=[()])
    with pytest.raises(ValueError, match=f"at most {SMOOTHER_LIMIT} joint states, got {n}"):
        smooth_states(wide, (None,), torch.zeros(1, 1, 0, dtype=torch.long))


@every_world
def test_gradients_over_time_are_those_of_finite_differences(world: World) -> None:
    model, obs, actions = episode(world, batch=1)

    def run(*logits: Tensor) -> tuple[Tensor, ...]:
        n_A, n_B = model.n_modalities, model.n_factors
        learned = model.replace(
            A=tuple(x.softmax(0) for x in logits[:n_A]),
            B=tuple(x.softmax(0) for x in logits[n_A : n_A + n_B]),
        )
        prior = tuple(x.softmax(-1) for x in logits[n_A + n_B :])
        smoothed = smooth_states(learned, obs, actions, prior)
        filtered = filter_states(learned, obs, actions, prior)
        window = variational_messages(learned, obs, actions, prior, iterations=2, tolerance=0.0)
        first = tuple(q[:, 0] for q in filtered.qs)
        bound = window_free_energy(learned, obs, actions, filtered.qs, prior)
        out = [*predict_obs(learned, first), *predict_states(learned, first, actions[:, 0]), bound]
        out += [*smoothed.qs, *smoothed.pairs, smoothed.F, *filtered.qs, filtered.F, *window.qs, window.F]
        if world is not COUPLED:
            marginal = marginal_messages(learned, obs, actions, prior, iterations=2)
            out += [*marginal.qs, marginal.F]
        return tuple(out)

    inputs = [x.log().clone().requires_grad_() for x in (*model.A, *model.B, *world.beliefs(1))]
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)
