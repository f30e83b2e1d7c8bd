"""A model is checked where it comes in, by index or by name, and its small tools do what they say."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Dirichlet
from torch.distributions import kl_divergence as torch_kl
from torch.testing import assert_close

from arr_coc.agent import Axes, GenerativeModel, Given, infer_states, named, predict_states
from arr_coc.agent.maths import (
    contract,
    dirichlet_expected_log,
    dirichlet_kl,
    entropy,
    kl_divergence,
    log_stable,
    normalised,
    product,
)
from tests.agent_models import COUPLED, TWO, columns

HALF = torch.full((2, 2), 0.5)


def fields(**changes: Any) -> dict[str, Any]:
    """A small valid model: two factors, two modalities, two controls."""
    ok: dict[str, Any] = {
        "A": [torch.full((4, 3, 2), 0.25), torch.full((5, 3, 2), 0.2)],
        "B": [torch.full((3, 3, 2), 1 / 3), torch.full((2, 2, 4), 0.5)],
        "C": [torch.zeros(4), torch.zeros(7, 5)],
        "D": [torch.full((3,), 1 / 3), HALF[0]],
    }
    return ok | changes


UNEVEN = torch.full((3, 3, 2), 1 / 3)
UNEVEN[0, 1, 1] = 0.5
NEGATIVE = torch.tensor([1.5, -0.5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"A": []}, "A is empty"),
        (
            {"A": [torch.ones(4, 3, 2, dtype=torch.long)] * 2},
            "A[0] must be a floating point tensor, got torch.int64",
        ),
        ({"C": [torch.zeros(4)]}, "C has 1 modalities and A has 2"),
        ({"D": [HALF[0]]}, "D has 1 factors and B has 2"),
        ({"D": [HALF[0], HALF[0]]}, "axis 1 of A[0] (states of factor 0) must be 2 long, got 3"),
        ({"D": [torch.full((3,), 1 / 3), NEGATIVE]}, "D[1] must hold probabilities, got -0.5"),
        (
            {"B": [torch.full((3, 3, 2), 1 / 3), torch.full((2, 3, 4), 0.5)]},
            "axis 1 of B[1] (previous states of factor 1)",
        ),
        ({"B": [UNEVEN, HALF[:, :, None]]}, "B[0] must sum to 1 along axis 0; B[0][:, 1, 1] sums to 1.16667"),
        ({"B": [torch.full((3, 3), 1 / 3), HALF[:, :, None]]}, "B[0] must have 3 axes, got 2"),
        (
            {"C": [torch.zeros(4), torch.zeros(4)]},
            "axis 0 of C[1] (outcomes of modality 1) must be 5 long, got 4",
        ),
        ({"C": [torch.full((4,), -torch.inf), torch.zeros(5)]}, "C[0] must be finite, got -inf at [0]: give"),
        ({"pE": torch.tensor([1.0, -2.0])}, "pE[0] must hold counts, got -2.0"),
        ({"pE": torch.ones(2, 3)}, "pE must have 1 axes, got 2: (2, 3)"),
        ({"A_factors": [(0, 1)]}, "A_factors must have 2 entries"),
        ({"A_factors": [(0, 1), (0, 2)]}, "A_factors[1] must be distinct indices below 2, got (0, 2)"),
        (
            {"B_controls": [(0,), (0,)]},
            "axis 2 of B[1] (actions of control 0) must be 2 long as in B[0], got 4",
        ),
        ({"B_controls": [(0,), (2,)]}, "the controls 0, 1, ... without a gap, got [0, 2]"),
        ({"E": torch.tensor([0.5, 0.6])}, "E must sum to 1 along axis 0; E[:] sums to 1.1"),
        (
            {"pD": [torch.ones(3), torch.ones(3)]},
            "pD must have the shapes of D, [(3,), (2,)], got [(3,), (3,)]",
        ),
        ({"pD": [torch.ones(3), -torch.ones(2)]}, "pD[1] must hold counts, got -1.0"),
        ({"D": [torch.full((3,), 1 / 3), HALF[0].double()]}, "must share dtype and device"),
    ],
)
def test_an_error_says_which_tensor_which_axis_and_what_was_expected(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        GenerativeModel(**fields(**changes))


def test_sums_are_checked_in_the_precision_of_the_tensor() -> None:
    draw = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        A = columns(1000, 4, draw=draw, dtype=dtype)
        if dtype is not torch.bfloat16:
            GenerativeModel(A=A, B=torch.eye(4, dtype=dtype)[..., None], C=torch.zeros(1000, dtype=dtype))
    with pytest.raises(ValueError, match=r"A\[0\] must sum to 1"):
        GenerativeModel(A=0.999 * HALF, B=HALF[..., None], C=torch.zeros(2))


def test_sizes_are_read_off_the_tensors() -> None:
    model = COUPLED.model()
    assert (model.n_states, model.n_obs, model.n_actions) == ((3, 2, 2), (4, 3), (3, 2))
    assert (model.n_factors, model.n_modalities, model.n_controls, model.batch) == (3, 2, 2, None)
    own = model.expand(7)
    assert (own.n_states, own.n_obs, own.n_actions, own.batch) == ((3, 2, 2), (4, 3), (3, 2), 7)
    assert own.A[0].untyped_storage().data_ptr() == model.A[0].untyped_storage().data_ptr()
    with pytest.raises(ValueError, match="already one for each of 7 agents"):
        own.expand(2)


def test_defaults_are_a_uniform_start_all_factors_seen_and_a_control_for_each() -> None:
    model = GenerativeModel(**fields(D=None))
    assert_close(model.D, (torch.full((3,), 1 / 3), HALF[0]))
    assert model.A_factors == ((0, 1), (0, 1))
    assert model.B_factors == model.B_controls == ((0,), (1,))


def test_a_model_for_each_agent_is_checked_like_a_shared_one() -> None:
    own = TWO.model().expand(2)
    GenerativeModel(A=own.A, B=own.B, C=own.C, D=own.D, pA=own.pA)
    with pytest.raises(ValueError, match=r"axis 0 of A\[0\] must be the batch, 2 as in D, got 3"):
        GenerativeModel(A=[a.repeat(2, 1, 1, 1)[:3] for a in own.A], B=own.B, C=own.C, D=own.D)
    with pytest.raises(ValueError, match=r"A\[0\]\[1, :, 0, 0\] sums to"):
        GenerativeModel(A=[torch.stack([a[0], 2 * a[0]]) for a in own.A], B=own.B, C=own.C, D=own.D)


def test_a_model_moves_between_precisions_and_keeps_its_links() -> None:
    model = COUPLED.model().to(dtype=torch.float32)
    assert model.dtype == torch.float32
    assert model.device.type == "cpu"
    assert model.pA is not None
    assert model.pA[0].dtype == torch.float32
    assert model.B_factors == COUPLED.B_factors
    with pytest.raises(TypeError, match="has no F"):
        model.replace(F=1)


def test_what_is_kept_is_made_once_and_never_of_what_is_trained() -> None:
    model, made = TWO.model(), []
    for _ in range(2):
        model.keep("x", model.A, lambda: made.append(1))
    assert len(made) == 1
    trained = model.replace(A=tuple(a.clone().requires_grad_() for a in model.A))
    for _ in range(2):
        with torch.no_grad():
            trained.keep("x", trained.A, lambda: made.append(1))
    assert len(made) == 3
    with torch.inference_mode():
        kept = model.keep("y", model.A, lambda: model.A[0].log())
    assert not kept.is_inference()


AXES = Axes(
    states={"place": ["left", "right"], "coin": ["fair", "trick"]},
    observations={"sight": ["left", "right"], "toss": ["heads", "tails", "none"]},
    actions={"move": ["stay", "swap"]},
)


def by_name(**changes: Any) -> GenerativeModel:
    """Two places that are seen, and a coin that can be tossed at the right one."""
    stay, swap = torch.eye(2), torch.eye(2).flip(0)
    tosses = {("none", "left", c): 1.0 for c in ("fair", "trick")}
    tosses |= {
        ("heads", "right", "fair"): 0.5,
        ("tails", "right", "fair"): 0.5,
        ("heads", "right", "trick"): 1.0,
    }
    given: dict[str, Any] = {
        "A": {"sight": Given(torch.eye(2), ["place"]), "toss": Given(tosses, ["place", "coin"])},
        "B": {
            "place": Given(torch.stack([stay, swap], dim=-1), ["place"], ["move"]),
            "coin": Given({("fair", "fair"): 1.0, ("trick", "trick"): 1.0}, ["coin"]),
        },
        "C": {"toss": {"heads": 2.0}},
        "D": {"place": {"left": 1.0}},
    }
    return named(AXES, **(given | changes))


def test_a_model_by_name_is_the_model_by_index() -> None:
    model = by_name()
    assert (model.A_factors, model.B_factors, model.B_controls) == (((0,), (0, 1)), ((0,), (1,)), ((0,), ()))
    assert model.A[1][:, 1].tolist() == [[0.5, 1.0], [0.5, 0.0], [0.0, 0.0]]
    assert_close(model.C, (torch.zeros(2), torch.tensor([2.0, 0.0, 0.0])))
    assert_close(model.D, (torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])))
    there = predict_states(model, tuple(d[None] for d in model.D), AXES.act(move="swap"))
    qs = infer_states(model, AXES.observe(toss="heads"), there)
    believed = AXES.beliefs([q[0] for q in qs])
    assert believed["place"]["right"] == pytest.approx(1.0)
    assert believed["coin"]["trick"] == pytest.approx(2 / 3)
    assert AXES.action_names(torch.tensor([1])) == {"move": "swap"}
    assert (AXES.state("coin", "trick"), AXES.observation("toss", "none")) == (1, 2)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (
            lambda: AXES.state("coin", "tricky"),
            KeyError,
            "no state of 'coin' called 'tricky'; did you mean 'trick'?",
        ),
        (lambda: AXES.observe(tos="heads"), KeyError, "no modality called 'tos'; did you mean 'toss'?"),
        (lambda: AXES.act(), ValueError, "an action needs every control, 'move' is missing"),
        (lambda: Axes({"x": ["a", "a"]}, {}, {}), ValueError, "states of 'x' must have different names"),
        (
            lambda: by_name(A={"sight": Given(HALF, ["place"])}),
            ValueError,
            "A must have a table for each of ['sight', 'toss']",
        ),
        (lambda: by_name(C={"tos": {}}), KeyError, "no axis of C called 'tos'"),
        (lambda: by_name(D={"coin": {"head": 1.0}}), KeyError, "no state of 'coin' called 'head'"),
        (
            lambda: by_name(B={"place": Given(HALF, ["place"], ["move"]), "coin": Given(HALF, ["coin"])}),
            ValueError,
            "B of 'place' must be (2, 2, 2) over",
        ),
        (
            lambda: by_name(B={"place": Given({"left": 1.0}, ["place"]), "coin": Given(HALF, ["coin"])}),
            ValueError,
            "B of 'place' needs 2 names for a value",
        ),
    ],
)
def test_a_wrong_name_is_named_with_the_way_out(act: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        act()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double) + 0.05


def test_entropies_and_divergences_are_those_of_torchs_distributions() -> None:
    p, q = random(3, 5).softmax(-1), random(3, 5, seed=1).softmax(-1)
    assert_close(entropy(p), Categorical(p).entropy())
    assert_close(entropy(p.T, dim=0), entropy(p))
    assert_close(kl_divergence(p, q), torch_kl(Categorical(p), Categorical(q)))
    a, b = 5 * random(3, 4), 5 * random(3, 4, seed=1)
    assert_close(dirichlet_kl(a, b, dim=1), torch_kl(Dirichlet(a), Dirichlet(b)))
    assert_close(dirichlet_kl(a.T, b.T), torch_kl(Dirichlet(a), Dirichlet(b)))


def test_zeros_cost_nothing_and_stay_finite() -> None:
    certain = torch.tensor([1.0, 0.0])
    assert entropy(certain) == 0
    assert kl_divergence(certain, HALF[0]).item() == pytest.approx(0.6931472)
    assert kl_divergence(HALF[0], certain).isfinite()
    assert log_stable(torch.zeros(1, dtype=torch.half)).isfinite()
    assert_close(
        dirichlet_kl(torch.tensor([3.0, 2.0, 0.0]), torch.tensor([1.0, 1.0, 0.0])),
        dirichlet_kl(torch.tensor([3.0, 2.0]), torch.ones(2)),
    )
    assert_close(normalised(torch.tensor([[0.0, 1.0], [0.0, 3.0]])), torch.tensor([[0.5, 0.25], [0.5, 0.75]]))


def test_expected_logarithm_of_a_dirichlet_is_the_derivative_of_its_log_normaliser() -> None:
    counts = (5 * random(4)).requires_grad_()
    (slope,) = torch.autograd.grad(counts.lgamma().sum() - counts.sum().lgamma(), counts)
    assert_close(dirichlet_expected_log(counts.detach()), slope)


@pytest.mark.parametrize("batched", [False, True])
def test_contraction_averages_over_the_factors_that_are_not_kept(batched: bool) -> None:
    qs = (random(2, 3), random(2, 4, seed=1), random(2, 5, seed=2))
    shared = random(6, 5, 3, 4)  # (event, states of factors 2, 0, 1)
    tensor = shared.expand(2, 6, 5, 3, 4) if batched else shared
    full = torch.einsum("ecab,nc,na,nb->ne", shared, qs[2], qs[0], qs[1])
    assert_close(contract(tensor, (2, 0, 1), qs, batched=batched), full)
    kept = torch.einsum("ecab,na->necb", shared, qs[0])
    assert_close(contract(tensor, (2, 0, 1), qs, keep=(1, 2), batched=batched), kept)
    per_policy = tuple(torch.stack([q, q.flip(1)], dim=1) for q in qs)
    both = contract(tensor, (2, 0, 1), per_policy, batched=batched)
    assert_close(both[:, 0], full)
    assert_close(product(qs[:2]).view(2, 3, 4), qs[0][:, :, None] * qs[1][:, None, :])


def test_gradients_of_the_maths_are_those_of_finite_differences() -> None:
    p, q = random(2, 3), random(2, 3, seed=1)

    def run(p: Tensor, q: Tensor) -> tuple[Tensor, ...]:
        return (
            log_stable(p),
            entropy(p),
            kl_divergence(p, q),
            normalised(p, 1),
            dirichlet_expected_log(p, 1),
            dirichlet_kl(p, q, 1),
            contract(p, (0,), (q,)),
            product((p, q)),
        )

    assert torch.autograd.gradcheck(run, [p.requires_grad_(), q.requires_grad_()])
    zero = torch.zeros(1, requires_grad=True)
    (slope,) = torch.autograd.grad(entropy(zero), zero)
    assert slope.isfinite()
