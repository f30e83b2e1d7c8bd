"""Laws that every planner of policies keeps: permutations, rows, duplicates, merging."""

import pytest
import torch
from torch.testing import assert_close

from arr_coc.agent.inductive import Intention
from arr_coc.agent.merge import merged, merged_beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.planning import Plan, expected_free_energy, infer_policies
from arr_coc.agent.policies import all_policies
from tests.agent_models import beliefs, model_of
from tests.planning_models import drawn

EXACT = {"rtol": 0.0, "atol": 1e-12}


def test_permuting_policies_permutes_results() -> None:
    model, qs = model_of(3, (3, 2), (3,), (2, 2)), beliefs(3, (3, 2))
    policies = all_policies((2, 2), 2)
    order = torch.randperm(len(policies), generator=torch.Generator().manual_seed(0))

    plain, moved = (infer_policies(Plan.of(model, p), qs, 2.0) for p in (policies, policies[order]))

    assert_close(moved.G, plain.G[:, order], **EXACT)
    assert_close(moved.q_pi, plain.q_pi[:, order], **EXACT)


def test_permuting_states_and_outcomes_changes_nothing() -> None:
    model, qs = model_of(4, (4,), (3,), (2,)), beliefs(4, (4,))
    s, o = torch.tensor([2, 0, 3, 1]), torch.tensor([1, 2, 0])
    moved = model.replace(
        A=(model.A[0][o][:, s],), B=(model.B[0][s][:, s],), C=(model.C[0][o],), D=(model.D[0][s],)
    )

    assert_close(
        infer_policies(moved, (qs[0][:, s],), policies=3).G, infer_policies(model, qs, policies=3).G, **EXACT
    )


@pytest.mark.parametrize("seed", range(10))
def test_a_row_of_a_batch_is_what_it_is_alone(seed: int) -> None:
    case = drawn(seed)
    plan = Plan.of(case.model, case.policies)

    together = infer_policies(plan, case.qs, torch.tensor([1.0, 3.0], dtype=torch.float64))
    alone = infer_policies(plan, tuple(q[1:] for q in case.qs), 3.0)

    assert_close(together.G[1:], alone.G, **EXACT)
    assert_close(together.q_pi[1:], alone.q_pi, **EXACT)


@pytest.mark.parametrize("seed", range(10))
def test_agents_with_models_of_their_own_plan_as_each_would_alone(seed: int) -> None:
    first, second = (drawn(seed).model, _another(drawn(seed).model))
    stacked = {
        name: tuple(map(torch.stack, zip(value, second.tensors()[name], strict=True)))
        for name, value in first.tensors().items()
    }
    both = first.expand(2).replace(**stacked)
    case = drawn(seed)

    together = infer_policies(Plan.of(both, case.policies), case.qs)

    for i, model in enumerate((first, second)):
        alone = infer_policies(Plan.of(model, case.policies), tuple(q[i : i + 1] for q in case.qs))
        assert_close(together.G[i : i + 1], alone.G, **EXACT)


@pytest.mark.parametrize("own_aims", [True, False])
@pytest.mark.parametrize("coupled", [True, False])
def test_agents_with_models_of_their_own_pursue_intentions_as_each_would_alone(
    own_aims: bool, coupled: bool
) -> None:
    parents = ((0, 1), (1,)) if coupled else None
    models = [model_of(seed, (4, 3), (3, 2), (2, 3), B_factors=parents) for seed in (0, 1, 2)]
    both = (
        models[0]
        .expand(3)
        .replace(
            **{
                name: tuple(map(torch.stack, zip(*(m.tensors()[name] for m in models), strict=True)))
                for name in models[0].tensors()
            }
        )
    )
    qs = beliefs(0, (4, 3), batch=3)
    aims = [(torch.eye(4, dtype=torch.float64)[i], torch.eye(3, dtype=torch.float64)[i]) for i in range(3)]
    aims = aims if own_aims else aims[:1] * 3
    stacked = tuple(torch.stack(aim) for aim in zip(*aims, strict=True)) if own_aims else aims[0]
    plan = Plan.of(both, 2, intention=Intention(stacked, depth=3, threshold=0.3), detail=True)

    together = expected_free_energy(plan, qs)

    assert together.inductive.abs().max() > 0
    for i, (model, aim) in enumerate(zip(models, aims, strict=True)):
        alone = Plan.of(model, 2, intention=Intention(aim, depth=3, threshold=0.3), detail=True)
        told = expected_free_energy(alone, tuple(q[i : i + 1] for q in qs))
        assert_close(together.inductive[i : i + 1], told.inductive, **EXACT)
        assert_close(together.G[i : i + 1], told.G, **EXACT)


def test_duplicating_a_deterministic_modality_adds_no_information() -> None:
    certain = torch.eye(3, dtype=torch.float64)
    model = model_of(5, (3,), (3,), (2,)).replace(A=(certain,))
    flat = torch.zeros(3, dtype=torch.float64)
    twice = GenerativeModel(A=(certain, certain), B=model.B, C=(model.C[0], flat))
    qs = beliefs(5, (3,))

    once, joint, apart = (
        expected_free_energy(Plan.of(m, 2, information=i, detail=True), qs).state_information
        for m, i in ((model, "joint"), (twice, "joint"), (twice, "per_modality"))
    )

    assert_close(joint, once, **EXACT)
    assert_close(apart, 2 * once, **EXACT)


def test_a_modality_that_tells_nothing_changes_no_posterior() -> None:
    model, qs = model_of(6, (3,), (3,), (3,)), beliefs(6, (3,))
    noise = torch.full((4, 3), 0.25, dtype=torch.float64)
    more = GenerativeModel(A=(*model.A, noise), B=model.B, C=(*model.C, torch.zeros(4, dtype=torch.float64)))

    plain, noisy = (infer_policies(m, qs, 2.0, policies=2) for m in (model, more))

    assert_close(noisy.q_pi, plain.q_pi, **EXACT)


def test_merging_factors_and_modalities_changes_nothing_with_joint_information() -> None:
    model, qs = model_of(7, (3, 2), (3, 2), (2, 2)), beliefs(7, (3, 2))
    one = merged(model)
    outcome = (one.A[0][:, None] * one.A[1]).flatten(0, 1)
    logs = [torch.log_softmax(c, 0) for c in model.C]
    flat = GenerativeModel(A=(outcome,), B=one.B, C=((logs[0][:, None] + logs[1]).flatten(),))

    assert_close(
        infer_policies(flat, (merged_beliefs(qs),), policies=3).G,
        infer_policies(model, qs, policies=3).G,
        **EXACT,
    )


def test_merged_factors_predict_coupled_transitions_exactly_where_marginals_do_not() -> None:
    # Two factors that copy each other stay equal; a product of marginals forgets that (pymdp issue 437).
    copy = torch.eye(2, dtype=torch.float64)[:, None, :, None].expand(2, 2, 2, 1)  # next of 0: previous of 1
    other = copy.transpose(1, 2)  # next of 1: previous of 0
    same = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]], dtype=torch.float64)
    model = GenerativeModel(
        A=(same,), B=(copy, other), C=(torch.zeros(2, dtype=torch.float64),), B_factors=((0, 1), (0, 1))
    )
    joint = torch.tensor([[0.5, 0.0, 0.0, 0.5]], dtype=torch.float64)

    told = expected_free_energy(Plan.of(merged(model), 2, detail=True), (joint,))

    assert_close(told.outcome_entropy, torch.zeros_like(told.outcome_entropy), **EXACT)


def _another(model: GenerativeModel) -> GenerativeModel:
    """Another model of the same shape: distributions reversed along their first axis."""
    tensors = model.tensors()
    return model.replace(**{name: tuple(t.flip(0) for t in value) for name, value in tensors.items()})
