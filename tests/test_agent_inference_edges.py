"""Perception at its edges: the impossible, the certain, the large, other precisions, gradients, compilers."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.evidence import check_observations
from arr_coc.agent.inference import infer_posterior, infer_states
from arr_coc.agent.model import GenerativeModel
from tests.agent_models import COUPLED, ONE, TWO, WORLDS, World

METHODS = ("exact", "mean_field")
every_method = pytest.mark.parametrize("method", METHODS)
every_world = pytest.mark.parametrize("world", WORLDS.values(), ids=list(WORLDS))


@every_method
def test_an_impossible_observation_is_a_surprise_and_not_a_nan(method: str) -> None:
    A = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    model = GenerativeModel(A=A, B=torch.eye(2)[:, :, None], C=torch.zeros(2), D=torch.tensor([0.25, 0.75]))
    posterior = infer_posterior(model, (torch.tensor([1]),), method=method)
    assert_close(posterior.qs[0], model.D[0][None])
    assert posterior.F.isfinite().all()
    assert posterior.F > 30
    assert_close(infer_states(model, (torch.tensor([1]),))[0], model.D[0][None])


def test_a_certain_prior_is_not_moved_by_evidence() -> None:
    model, obs = TWO.model(), TWO.observations(1)
    prior = (torch.tensor([[0.0, 1.0, 0.0]]).double(), torch.tensor([[1.0, 0.0]]).double())
    for method in METHODS:
        assert_close(infer_states(model, obs, prior, method), prior)


def test_large_joints_are_left_to_mean_field_unless_evidence_over_them_is_there() -> None:
    # Two chains of modalities link 5 factors of 10 states: 10^5 joint states, but no tensor larger than 10^2.
    n = 5
    world = World(
        states=(10,) * n,
        obs=(3,) * (n - 1),
        actions=(1,) * n,
        A_factors=tuple((f, f + 1) for f in range(n - 1)),
    )
    model, obs, prior = world.model(), world.observations(2), world.beliefs(2)
    assert_close(infer_states(model, obs, prior), infer_states(model, obs, prior, "mean_field"))
    exact = infer_posterior(model, obs, prior, "exact")
    assert (infer_posterior(model, obs, prior).F >= exact.F).all()
    small = infer_posterior(TWO.model(), TWO.observations(2))
    assert_close(small.F, infer_posterior(TWO.model(), TWO.observations(2), method="exact").F)


def test_rows_that_have_arrived_stop_and_others_go_on() -> None:
    model, obs, prior = TWO.model(), TWO.observations(20), TWO.beliefs(20)
    loose = infer_posterior(model, obs, prior, "mean_field", iterations=100, tolerance=1e-2)
    tight = infer_posterior(model, obs, prior, "mean_field", iterations=100, tolerance=1e-13)
    every = infer_posterior(model, obs, prior, "mean_field", iterations=100, tolerance=0.0)
    assert (loose.F >= tight.F - 1e-12).all()
    assert (loose.F > tight.F + 1e-9).any()
    assert_close(tight.F, every.F)


def test_inference_leaves_the_model_as_it_was() -> None:
    # pymdp's mask overwrites A; a masked observation there makes the agent forget how to see.
    model = COUPLED.model()
    before = [t.clone() for t in (*model.A, *model.B, *model.D)]
    infer_states(model, (torch.tensor([-1, 0]), None), COUPLED.beliefs(2))
    after = (*model.A, *model.B, *model.D)
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_float32_agrees_with_float64() -> None:
    for world in WORLDS.values():
        obs = world.observations(5)
        for method in METHODS:
            double = infer_posterior(world.model(), obs, world.beliefs(5), method)
            single = world.with_dtype(torch.float32)
            got = infer_posterior(single.model(), obs, single.beliefs(5), method)
            assert_close(got.F, double.F.float(), atol=1e-4, rtol=1e-4)
            assert_close(got.qs, tuple(q.float() for q in double.qs), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("obs", "message"),
    [
        ((torch.tensor([0]),), "2 modalities, got 1"),
        ((torch.tensor([1], dtype=torch.int16), None), r"obs\[0\] must be int32, int64 or floating point"),
        ((torch.tensor([4]), None), r"obs\[0\] must be in 0..3, or -1"),
        ((torch.tensor([-2]), None), r"obs\[0\] must be in 0..3, or -1"),
        ((None, torch.tensor([[0.5, 0.5]])), r"obs\[1\] must have 3 weights"),
        ((None, torch.tensor([[-0.5, 0.5, 1.0]])), r"obs\[1\] must have weights of at least 0"),
    ],
)
def test_observations_that_are_none_are_named(obs: tuple[Tensor | None, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_observations(TWO.model(), obs)


@every_method
@every_world
def test_gradients_of_inference_are_those_of_finite_differences(world: World, method: str) -> None:
    model, obs = world.model(), world.observations(2)
    soft = torch.rand(2, world.obs[0], dtype=torch.double, generator=torch.Generator().manual_seed(0)) + 0.1

    def run(prior_logits: Tensor, weights: Tensor, *logits: Tensor) -> tuple[Tensor, ...]:
        A = tuple(x.softmax(0) for x in logits)
        learned = model.replace(A=A, _kept={})
        prior = (prior_logits.softmax(-1), *world.beliefs(2)[1:])
        p = infer_posterior(learned, (weights, *obs[1:]), prior, method, iterations=3, tolerance=0.0)
        return (*p.qs, p.F, p.accuracy)

    inputs = (world.beliefs(2)[0].log(), soft, *(a.log() for a in model.A))
    assert torch.autograd.gradcheck(run, [x.clone().requires_grad_() for x in inputs], fast_mode=True)


def test_gradients_reach_the_parameters_of_a_model_step_after_step() -> None:
    # Nothing is kept of tensors that are being trained: neither a stale ln A nor a graph walked twice.
    logits = torch.zeros(2, 2, requires_grad=True)
    obs = (torch.tensor([0, 0, 0, 1]),)
    losses = []
    for _ in range(3):
        model = GenerativeModel(A=logits.softmax(0), B=torch.eye(2)[:, :, None], C=torch.zeros(2))
        loss = infer_posterior(model, obs).F.sum() + infer_posterior(model, obs).F.sum()
        (gradient,) = torch.autograd.grad(loss, logits)
        losses.append(loss.item())
        with torch.no_grad():
            logits -= 0.5 * gradient
    assert losses[0] > losses[1] > losses[2]


COMPILED = """
import torch
from arr_coc.agent.inference import infer_states
from arr_coc.agent.model import GenerativeModel
torch.set_num_threads(1)
draw = torch.Generator().manual_seed(0)
A = torch.rand(4, 3, 2, generator=draw).softmax(0)
model = GenerativeModel(A=A, B=[torch.eye(3)[..., None], torch.eye(2)[..., None]], C=torch.zeros(4))
def step(o, p, q):
    return infer_states(model, (o,), (p, q), "mean_field", iterations=4, tolerance=0.0)
given = torch.tensor([3, 1]), torch.rand(2, 3, generator=draw).softmax(1), torch.rand(2, 2).softmax(1)
compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
torch.testing.assert_close(compiled(*given), step(*given))
"""


def test_mean_field_of_a_fixed_number_of_sweeps_compiles_to_one_graph() -> None:
    # In a process of its own: the shape checks that are on in tests do not compile.
    run = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("seen", [-1, 0, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_agent_alone_believes_what_it_believes_in_a_batch(seen: int, dtype: torch.dtype) -> None:
    model, prior = ONE.model().to(dtype=dtype), ONE.beliefs(2)[0].to(dtype)
    prior = torch.cat([prior, torch.eye(len(prior[0]), dtype=dtype)])  # also certain ones: ln 0

    alone = [infer_states(model, (torch.tensor([seen]),), (p[None],))[0] for p in prior]

    together = infer_states(model, (torch.full((len(prior),), seen),), (prior,))[0]
    assert_close(torch.cat(alone), together)
    each = torch.func.vmap(lambda o, p: infer_states(model, (o[None],), (p[None],))[0][0])
    assert_close(each(torch.full((len(prior),), seen), prior), together)


def test_one_agent_alone_has_the_gradients_of_bayes_rule_at_certainty_too() -> None:
    model, o = ONE.model(), (torch.tensor([1]),)
    prior = torch.eye(ONE.states[0], dtype=torch.double)[:1].requires_grad_()
    pair = torch.cat([prior, prior]).detach().requires_grad_()

    infer_states(model, o, (prior,))[0][0, 1].backward()
    infer_states(model, (torch.tensor([1, 1]),), (pair,))[0][0, 1].backward()

    assert prior.grad is not None
    assert pair.grad is not None
    assert prior.grad.isfinite().all()
    assert_close(prior.grad[0], pair.grad[0])


def test_one_agent_alone_that_saw_what_there_is_not_gets_an_error() -> None:
    for seen in (-2, 5):
        with pytest.raises(IndexError):
            infer_states(ONE.model(), (torch.tensor([seen]),), ONE.beliefs(1))
