"""Counting against counting by hand; precision and reduction against their definitions."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence
from torch.testing import assert_close

from arr_coc.agent.learning import (
    count_outcomes,
    count_transitions,
    parameter_divergence,
    update_A,
    update_B,
    update_D,
    update_E,
)
from arr_coc.agent.maths import normalised
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.precision import SMALLEST_RATE, infer_precision
from arr_coc.agent.reduction import log_evidence_gain, prune, reduced_posterior
from arr_coc.agent.sequence import independent_pairs, smooth_states
from tests.agent_models import COUPLED, ONE, TWO, WORLDS, World

every_world = pytest.mark.parametrize("world", WORLDS.values(), ids=list(WORLDS))


def lived(
    world: World, batch: int = 3, time: int = 4
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
    """Certain states, what was seen of them and what was done."""
    draw = torch.Generator().manual_seed(5)
    states = tuple(torch.randint(n, (batch, time), generator=draw) for n in world.states)
    qs = tuple(torch.eye(n, dtype=torch.double)[s] for n, s in zip(world.states, states, strict=True))
    return qs, world.observations(batch, time), world.moves(batch, time - 1)


@every_world
def test_certain_states_are_counted_one_by_one(world: World) -> None:
    model, (qs, obs, actions) = world.model(), lived(world)
    obs[0][1, 2] = -1
    A, B = [torch.zeros_like(a) for a in model.A], [torch.zeros_like(b) for b in model.B]
    for row in range(3):
        for t in range(4):
            s = [int(q[row, t].argmax()) for q in qs]
            for m, factors in enumerate(model.A_factors):
                if obs[m][row, t] >= 0:
                    A[m][(int(obs[m][row, t]), *(s[f] for f in factors))] += 1
            for f in range(model.n_factors if t else 0):
                before = [int(qs[g][row, t - 1].argmax()) for g in model.B_factors[f]]
                chosen = [int(actions[row, t - 1, c]) for c in model.B_controls[f]]
                B[f][(s[f], *before, *chosen)] += 1
    assert_close(count_outcomes(model, obs, qs), tuple(A))
    assert_close(count_transitions(model, independent_pairs(model, qs), actions), tuple(B))


@every_world
def test_a_model_for_each_agent_counts_for_each_what_a_shared_one_counts_for_all(world: World) -> None:
    model, (qs, obs, actions) = world.model(), lived(world)
    obs = (torch.nn.functional.one_hot(obs[0], world.obs[0]).double(), *obs[1:])
    pairs = independent_pairs(model, qs)
    own = model.expand(3)
    together = [*count_outcomes(model, obs, qs), *count_transitions(model, pairs, actions)]
    each = [*count_outcomes(own, obs, qs), *count_transitions(own, pairs, actions)]
    assert [e.shape for e in each] == [(3, *t.shape) for t in together]
    assert_close([e.sum(0) for e in each], together)


def test_counts_grow_by_rate_times_what_was_seen_and_fade_by_forgetting() -> None:
    model, (qs, obs, actions) = TWO.model(), lived(TWO)
    seen = count_outcomes(model, obs, qs)
    learned = update_A(model, obs, qs, rate=0.5, forgetting=0.1)
    assert model.pA is not None
    assert learned.pA is not None
    for new, old, s, mean in zip(learned.pA, model.pA, seen, learned.A, strict=True):
        assert_close(new, 0.9 * old + 0.5 * s)
        assert_close(mean, new / new.sum(0))
    smoothed = smooth_states(model, obs, actions)
    moved = update_B(model, smoothed.pairs, actions, rate=2.0)
    assert model.pB is not None
    assert moved.pB is not None
    total = sum(p.sum() for p in moved.pB) - sum(p.sum() for p in model.pB)
    assert_close(total, torch.tensor(2.0 * 2 * 3 * 3, dtype=torch.double))  # rate, factors, rows, steps
    assert_close(moved.B, tuple(p / p.sum(0) for p in moved.pB))


def test_starts_and_habits_are_learned_too() -> None:
    habits = torch.tensor([0.5, 0.25, 0.25], dtype=torch.double)
    model = TWO.model().replace(pE=4 * habits, E=habits)
    qs, q_pi = TWO.beliefs(2), torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]).double()
    started = update_D(model, qs)
    assert model.pD is not None
    assert started.pD is not None
    assert_close(started.pD, tuple(p + q.sum(0) for p, q in zip(model.pD, qs, strict=True)))
    assert_close(started.D, tuple(p / p.sum() for p in started.pD))
    used = update_E(model, q_pi, forgetting=0.5, weight=torch.tensor([1.0, 0.0]).double())
    assert used.pE is not None
    assert_close(used.pE, 2 * habits + q_pi[0])
    assert_close(used.E, used.pE / used.pE.sum())


@every_world
def test_what_was_not_observed_teaches_nothing(world: World) -> None:
    # pymdp's learning of A is not masked (its issue 433).
    model, (qs, obs, actions) = world.model(), lived(world)
    weight = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.double).expand(3, -1)
    blank = tuple(torch.where(weight.bool(), o, -1) for o in obs)
    none = tuple(torch.full_like(o, -1) for o in obs)
    short = update_A(model, tuple(o[:, :2] for o in obs), tuple(q[:, :2] for q in qs))
    assert_close(update_A(model, blank, qs).A, short.A)
    assert_close(update_A(model, obs, qs, weight=weight).A, short.A)
    assert_close(update_A(model, none, qs).pA, model.pA)
    assert_close(update_A(model, (None,) * len(obs), qs).pA, model.pA)
    pairs = independent_pairs(model, qs)
    steps = torch.tensor([1.0, 0.0, 0.0], dtype=torch.double).expand(3, -1)
    masked = update_B(model, pairs, actions, weight=steps)
    assert_close(masked.B, update_B(model, tuple(p[:, :1] for p in pairs), actions[:, :1]).B)


def test_a_certainty_is_not_unlearned() -> None:
    certain = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    model = GenerativeModel(
        A=normalised(certain), B=torch.eye(2), C=torch.zeros(2), B_controls=[()], pA=certain
    )
    learned = update_A(model, (torch.tensor([[0, 0, 1]]),), (torch.full((1, 3, 2), 0.5),))
    assert learned.pA is not None
    assert_close(learned.pA[0], torch.tensor([[4.0, 0.0], [0.0, 1.5]]))


def test_learning_one_long_episode_is_learning_its_halves_in_turn() -> None:
    model, (qs, obs, _) = COUPLED.model(), lived(COUPLED)
    first = update_A(model, tuple(o[:, :2] for o in obs), tuple(q[:, :2] for q in qs))
    halves = update_A(first, tuple(o[:, 2:] for o in obs), tuple(q[:, 2:] for q in qs))
    assert_close(halves.A, update_A(model, obs, qs).A)


def test_with_much_experience_the_model_becomes_the_world() -> None:
    truth = ONE.model(seed=8)
    draw = torch.Generator().manual_seed(0)
    states = torch.randint(4, (1, 20_000), generator=draw)
    seen = torch.multinomial(truth.A[0].T[states[0]], 1, generator=draw).T
    naive = replace_counts(truth, torch.ones_like(truth.A[0]))
    learned = update_A(naive, (seen,), (torch.eye(4, dtype=torch.double)[states],))
    assert_close(learned.A[0], truth.A[0], atol=0.02, rtol=0)


def replace_counts(model: GenerativeModel, counts: Tensor) -> GenerativeModel:
    return model.replace(pA=(counts,), A=(normalised(counts),))


def test_the_old_model_is_not_changed_by_learning() -> None:
    model, (qs, obs, _) = TWO.model(), lived(TWO)
    assert model.pA is not None
    before = [p.clone() for p in (*model.pA, *model.A)]
    update_A(model, obs, qs)
    assert all(torch.equal(a, b) for a, b in zip(before, (*model.pA, *model.A), strict=True))


def test_divergence_of_parameters_is_that_of_their_dirichlet_distributions() -> None:
    model, (qs, obs, _) = TWO.model(), lived(TWO)
    learned = update_A(model, obs, qs)
    assert model.pA is not None
    assert learned.pA is not None
    expected = tuple(
        kl_divergence(Dirichlet(new.movedim(0, -1)), Dirichlet(old.movedim(0, -1))).sum()
        for new, old in zip(learned.pA, model.pA, strict=True)
    )
    assert_close(parameter_divergence(learned.pA, model.pA), expected)
    own_new, own_old = (tuple(p.expand(3, *p.shape) for p in x) for x in (learned.pA, model.pA))
    assert_close(parameter_divergence(own_new, own_old, batched=True), tuple(e.expand(3) for e in expected))


@pytest.mark.parametrize(
    ("settings_", "message"),
    [({"rate": -1.0}, "rate must be at least 0"), ({"forgetting": 1.0}, r"forgetting must lie in \[0, 1\)")],
)
def test_settings_of_learning_are_checked(settings_: dict[str, float], message: str) -> None:
    qs, obs, _ = lived(TWO)
    with pytest.raises(ValueError, match=message):
        update_A(TWO.model(), obs, qs, **settings_)


def test_learning_without_counts_says_so() -> None:
    qs, obs, _ = lived(TWO)
    with pytest.raises(ValueError, match="the model has no pA: give it Dirichlet counts to learn A"):
        update_A(TWO.model().replace(pA=None), obs, qs)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), beta=st.floats(0.3, 3))
def test_precision_settles_at_the_minimum_of_its_free_energy(seed: int, beta: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    G, F = (torch.rand(3, 5, generator=draw, dtype=torch.double) for _ in range(2))
    log_E = torch.rand(5, generator=draw, dtype=torch.double).log_softmax(0)
    settled = infer_precision(G, F, log_E, prior_beta=beta, iterations=200)
    wanted = log_E - settled.gamma[:, None] * G
    q_pi, p_pi = (wanted - F).softmax(1), wanted.softmax(1)
    assert_close(settled.q_pi, q_pi)
    assert_close(settled.beta, beta + ((q_pi - p_pi) * G).sum(1))
    # dF/dbeta of the policies' part: -ln of what the evidence leaves of the expected policies.
    gamma = settled.gamma.clone().requires_grad_()
    wanted = log_E - gamma[:, None] * G
    evidence = (wanted - F).logsumexp(1) - wanted.logsumexp(1)
    (slope,) = torch.autograd.grad(evidence.sum(), gamma)
    assert_close(slope, beta - settled.beta)


def test_precision_rises_when_the_evidence_agrees_with_what_was_expected() -> None:
    G = torch.tensor([[0.0, 2.0]])
    for F, sign in ((G, 1), (G.flip(1), -1), (None, 0), (torch.ones(1, 2), 0)):
        gamma = infer_precision(G, F).gamma
        assert torch.equal((gamma - 1).round(decimals=5).sign(), torch.tensor([float(sign)]))
    assert infer_precision(100 * G, 100 * G, iterations=64).gamma <= 1 / SMALLEST_RATE


def test_evidence_of_a_reduced_prior_is_that_of_the_data_under_it() -> None:
    prior, counts = torch.tensor([1.0, 2.0, 0.5]).double(), torch.tensor([4.0, 1.0, 0.0]).double()
    reduced = torch.tensor([3.0, 1.0, 0.25]).double()

    def log_probability_of_the_data(p: Tensor) -> Tensor:
        order = [0, 0, 1, 0, 0]
        total, p = torch.tensor(0.0).double(), p.clone()
        for o in order:
            total = total + (p[o] / p.sum()).log()
            p[o] += 1
        return total

    gain = log_evidence_gain(prior + counts, prior, reduced)
    assert_close(gain, log_probability_of_the_data(reduced) - log_probability_of_the_data(prior))
    assert_close(reduced_posterior(prior + counts, prior, reduced), reduced + counts)


def test_a_reduced_prior_that_rules_out_what_was_seen_has_no_evidence() -> None:
    prior, counts = torch.ones(3), torch.tensor([5.0, 2.0, 0.0])
    assert log_evidence_gain(prior + counts, prior, torch.tensor([1.0, 0.0, 1.0])) == -torch.inf
    never = log_evidence_gain(prior + counts, prior, torch.tensor([1.0, 1.0, 0.0]))
    # Without the third outcome: 7 draws from Dir(1, 1) instead of Dir(1, 1, 1).
    assert_close(never, torch.tensor(36.0 / 8.0).log())
    assert log_evidence_gain(prior, prior + counts, prior).isnan()


def test_pruning_shrinks_what_never_happens_and_leaves_what_does() -> None:
    prior = torch.ones(4, 2)
    counts = torch.tensor([[300.0, 30.0], [0.0, 30.0], [0.0, 30.0], [90.0, 30.0]])
    pruned = prune(prior + counts, prior)
    assert pruned.shrunk.tolist() == [[False, False], [True, False], [True, False], [False, False]]
    assert_close(pruned.posterior, pruned.prior + counts)
    assert_close(pruned.gain, log_evidence_gain(prior + counts, prior, pruned.prior))
    other_axis = prune((prior + counts).T, prior.T, dim=1)
    assert torch.equal(other_axis.shrunk, pruned.shrunk.T)


def test_gradients_of_learning_are_those_of_finite_differences() -> None:
    model, (_, obs, actions) = replace(TWO).model(), lived(TWO)
    draw = torch.Generator().manual_seed(2)
    logits = tuple(torch.randn(3, 4, n, generator=draw, dtype=torch.double) for n in TWO.states)
    soft = torch.rand(3, 4, TWO.obs[0], generator=draw, dtype=torch.double)
    G, F = (torch.rand(2, 5, generator=draw, dtype=torch.double) for _ in range(2))

    def run(a: Tensor, b: Tensor, weights: Tensor, g: Tensor, f: Tensor, e: Tensor) -> tuple[Tensor, ...]:
        qs = (a.softmax(-1), b.softmax(-1))
        learned = update_A(model, (weights, obs[1]), qs, 0.7, 0.1)
        learned = update_B(learned, independent_pairs(learned, qs), actions, 0.7, 0.1)
        learned = update_D(learned, tuple(q[:, 0] for q in qs)).replace(pE=torch.ones_like(g[0]))
        precision = infer_precision(g, f, e.log_softmax(0), iterations=4)
        learned = update_E(learned, precision.q_pi)
        assert learned.pA is not None
        assert model.pA is not None
        assert learned.E is not None
        gain = log_evidence_gain(learned.pA[0], model.pA[0], model.pA[0] * 0.9)
        divergence = parameter_divergence(learned.pA, model.pA)
        return (*learned.A, *learned.B, *learned.D, learned.E, precision.path, gain, *divergence)

    inputs = [x.requires_grad_() for x in (*logits, soft, G, F, torch.zeros(5, dtype=torch.double))]
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)
