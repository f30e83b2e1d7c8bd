"""Planning as torch code: gradients, chunks, compilation, autocast, devices of sharing, policies."""

import subprocess
import sys

import pytest
import torch
from torch.testing import assert_close

from arr_coc.agent.inductive import Intention, inductive_cost, reachability
from arr_coc.agent.merge import merged, merged_beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.novelty import dirichlet_information
from arr_coc.agent.planning import Plan, expected_free_energy, infer_policies, policy_posterior
from arr_coc.agent.policies import all_policies, repeated_policies, resolve
from arr_coc.agent.product import product
from arr_coc.agent.sharing import share
from tests.agent_models import beliefs, model_of
from tests.planning_models import drawn

EXACT = {"rtol": 0.0, "atol": 1e-12}


@pytest.mark.parametrize("information", ["joint", "per_modality"])
@pytest.mark.parametrize("chunk", [2**20, 8])
def test_planning_has_gradients_for_every_tensor_of_the_model(information: str, chunk: int) -> None:
    shape = ((0, 1), (0,))
    model = model_of(0, (3, 2), (2, 2), (2, 2), shape, counts="AB")
    free = (*model.A, *model.B, *model.C, *beliefs(0, (3, 2), batch=1))

    def of(*logits: torch.Tensor) -> tuple[torch.Tensor, ...]:
        A, B = (tuple(torch.softmax(x, 0) for x in logits[i : i + 2]) for i in (0, 2))
        given = model.replace(A=A, B=B, C=logits[4:6], pA=tuple(a * 4 for a in A), pB=tuple(b * 3 for b in B))
        plan = Plan.of(given, 2, information=information, chunk=chunk)
        return tuple(infer_policies(plan, tuple(torch.softmax(x, 1) for x in logits[6:]), 1.5))

    inputs = tuple((x if 4 <= i < 6 else x.log()).detach().requires_grad_() for i, x in enumerate(free))
    assert torch.autograd.gradcheck(of, inputs)


def test_free_functions_have_gradients() -> None:
    g = torch.Generator().manual_seed(0)
    counts = (torch.rand(3, 4, generator=g, dtype=torch.float64) + 0.5).requires_grad_()
    G = torch.randn(2, 5, generator=g, dtype=torch.float64, requires_grad=True)
    F = torch.randn(2, 5, generator=g, dtype=torch.float64, requires_grad=True)
    gamma = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    x, w = (torch.randn(3, 4, generator=g, dtype=torch.float64, requires_grad=True) for _ in range(2))
    qs = tuple(q.requires_grad_() for q in beliefs(0, (2, 3)))

    assert torch.autograd.gradcheck(lambda a: dirichlet_information(a, a / a.sum(0)), (counts,))
    assert torch.autograd.gradcheck(lambda G, gamma, F: policy_posterior(G, gamma, None, F), (G, gamma, F))
    assert torch.autograd.gradcheck(product, (x, w))
    assert torch.autograd.gradcheck(lambda *q: merged_beliefs(q), qs)
    model = model_of(0, (2, 3), (2,), (2, 1))
    inputs = tuple(b.clone().requires_grad_() for b in model.B)
    assert torch.autograd.gradcheck(lambda *B: merged(_unchecked(model, B)).B[0], inputs)


def test_every_term_has_gradients() -> None:
    model, qs = model_of(1, (3,), (2,), (2,), counts="AB"), beliefs(1, (3,), batch=1)
    plan = Plan.of(model, 2, detail=True)

    def of(q: torch.Tensor) -> tuple[torch.Tensor, ...]:
        told = expected_free_energy(plan, (torch.softmax(q, 1),))
        return told.utility, told.risk, told.ambiguity, told.information_A, told.information_B, told.G

    assert torch.autograd.gradcheck(of, (qs[0].log().requires_grad_(),))


@pytest.mark.parametrize("seed", range(12))
def test_chunks_change_nothing(seed: int) -> None:
    case = drawn(seed)

    whole, chunked = (
        infer_policies(Plan.of(case.model, case.policies, chunk=c), case.qs).G for c in (2**20, 1)
    )

    assert_close(chunked, whole, **EXACT)


@pytest.mark.parametrize("times", [None, 3])
def test_the_last_two_steps_are_the_same_by_one_product_and_by_two(times: int | None) -> None:
    model, qs = model_of(8, (4,), (5,), (3,), preferred_times=times), beliefs(8, (4,))
    one = Plan.of(model, 3)
    two = Plan.of(model, 3, chunk=2 * 9 * len(one.tables.both[0]) - 1)  # by one entry too many to hold

    assert len(one.tables.both[0]) == (1 + 3) * (5 + (times or 1))
    assert_close(infer_policies(one, qs), infer_policies(two, qs), **EXACT)


@pytest.mark.parametrize("fused", [True, False])
def test_single_precision_is_the_double_one_rounded(fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Large enough for every kernel: oneDNN, a fused last step, and the plain one.
    monkeypatch.setattr("arr_coc.agent.tables.FUSED", 2**25 if fused else 0)
    double = model_of(2, (40,), (50,), (30,))
    single = double.to(dtype=torch.float32)
    qs = beliefs(2, (40,), batch=8)

    with torch.no_grad():
        exact, rounded = infer_policies(Plan.of(double, 2), qs).G, infer_policies(
            Plan.of(single.replace(), 2), tuple(q.float() for q in qs)
        ).G  # fmt: skip

    assert_close(rounded.double(), exact, rtol=0.0, atol=2e-5)


def test_it_compiles_as_one_graph_and_gives_the_same() -> None:
    # In a process of its own: the check of annotations that tests run under is not for a compiler to follow.
    done = subprocess.run(
        [sys.executable, "-m", "tests.compiled_planning"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout) < 1e-12


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_gives_finite_values_near_those_of_single_precision(dtype: torch.dtype) -> None:
    # Certain outcomes: x log(x + 1e-16) is nan in half precision.
    model = model_of(3, (4,), (4,), (3,), dtype=torch.float32)
    model = model.replace(A=(torch.eye(4),), C=(torch.zeros(4),))
    qs = (torch.eye(4)[:2],)

    with torch.autocast("cpu", dtype):
        told = infer_policies(model, qs, policies=2)

    assert told.G.dtype == torch.float32
    assert told.q_pi.isfinite().all()
    assert_close(told.G, infer_policies(model, qs, policies=2).G, rtol=0.02, atol=0.05)


def test_zero_probabilities_have_finite_gradients() -> None:
    A = torch.eye(3, dtype=torch.float64).requires_grad_()
    model = model_of(4, (3,), (3,), (2,))
    q = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)

    infer_policies(Plan.of(model.replace(A=(A,)), 2), (q,)).G.sum().backward()

    assert A.grad is not None
    assert q.grad is not None
    assert A.grad.isfinite().all()
    assert q.grad.isfinite().all()


def test_work_is_done_once_for_each_distinct_prefix() -> None:
    tree = share(all_policies((10,), 3), (10,), ((0,),), ((0,),), ((0,),))

    assert tree.beliefs == 10 + 100 + 1000
    assert [t[0].method for t in tree.transitions] == ["all"] * 3


def test_a_factor_is_predicted_once_for_each_prefix_of_its_own_actions() -> None:
    tree = share(all_policies((3, 2, 1), 3), (3, 2, 1), ((0,), (1,), (2,)), ((0,), (1,), (2,)), ((0, 1, 2),))

    assert tree.beliefs == (3 + 9 + 27) + (2 + 4 + 8) + 3
    assert tree.passive == (2,)


@pytest.mark.parametrize("method", ["grouped", "each"])
def test_sparse_sets_of_policies_take_the_form_that_wastes_no_work(method: str) -> None:
    many = 4000 if method == "grouped" else 200
    actions = (40,) if method == "grouped" else (400,)
    policies = torch.randint(actions[0], (many, 3), generator=torch.Generator().manual_seed(0))[..., None]
    model, qs = model_of(5, (3,), (3,), actions), beliefs(5, (3,))
    plan = Plan.of(model, policies)

    G = infer_policies(plan, qs).G

    assert plan.program.prefixes.transitions[-1][0].method == method
    some = policies[:50]
    alone = torch.cat([infer_policies(Plan.of(model, p[None]), qs).G for p in some], 1)
    assert_close(G[:, :50], alone, **EXACT)


def test_all_policies_count_with_the_last_action_fastest() -> None:
    policies = all_policies((2, 3), 2)

    assert policies.shape == (36, 2, 2)
    assert policies[:4].tolist() == [[[0, 0], [0, 0]], [[0, 0], [0, 1]], [[0, 0], [0, 2]], [[0, 0], [1, 0]]]
    assert repeated_policies((2, 3), 2)[1].tolist() == [[0, 1], [0, 1]]


def test_policies_may_be_given_counted_or_made_by_a_function() -> None:
    model = model_of(6, (3,), (3,), (2,))
    policies = all_policies((2,), 2)

    def held(model: GenerativeModel) -> torch.Tensor:
        return repeated_policies(model.n_actions, 2)

    assert torch.equal(resolve(model, 2), policies)
    assert torch.equal(resolve(model, policies), policies)
    assert resolve(model, held).tolist() == [[[0], [0]], [[1], [1]]]


def test_policies_that_do_not_fit_are_refused() -> None:
    model = model_of(6, (3,), (3,), (2,))
    with pytest.raises(ValueError, match=r"actions of control 0 must lie in 0\.\.1, got 0\.\.2"):
        resolve(model, torch.tensor([[[0]], [[2]]]))
    with pytest.raises(ValueError, match=r"policies must be \(policies, horizon, controls=1\)"):
        resolve(model, torch.zeros(3, 2, 2, dtype=torch.long))
    with pytest.raises(ValueError, match="too many"):
        all_policies((10,), 9)
    with pytest.raises(ValueError, match="controls must be below 2"):
        all_policies((2, 2), 1, controls=[2])


def test_inductive_costs_follow_the_most_likely_state() -> None:
    model = model_of(7, (3,), (3,), (2,))
    intention = Intention((torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64),), depth=2, threshold=0.0)

    (cost,) = inductive_cost(reachability(model, intention), (torch.eye(3, dtype=torch.float64),), 0.5)

    ln2 = 0.6931471805599453
    assert_close(cost, torch.tensor([[ln2, ln2, 0.0]] * 3, dtype=torch.float64), **EXACT)


def _unchecked(model: GenerativeModel, B: tuple[torch.Tensor, ...]) -> GenerativeModel:
    return model.replace(B=B)
