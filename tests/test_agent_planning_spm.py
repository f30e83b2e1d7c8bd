"""SPM's own numbers: expected free energy and posterior over policies of fixed sequences, and its deep tree
search."""

from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.maths import Beliefs
from arr_coc.agent.merge import joint_likelihood, merged, merged_beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.planning import Plan, expected_free_energy, policy_posterior
from arr_coc.agent.sophisticated import Search, Tree, sophisticated_policies

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "spm"
EXACT = {"rtol": 0.0, "atol": 1e-10}

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"SPM's outputs are not at {FOLDER}")


def _load(name: str) -> tuple[Any, Any]:
    from scipy.io import loadmat

    file = loadmat(FOLDER / f"{name}.mat", squeeze_me=True, struct_as_record=False)
    return file["in"], file["M"]


def _tensors(value: Any) -> tuple[Tensor, ...]:
    cells = list(value) if value.dtype == object else [value]
    return tuple(torch.from_numpy(np.array(cell, dtype=float)) for cell in cells)


def _model(given: Any, beliefs_only: bool = False) -> GenerativeModel:
    """SPM's model; `beliefs_only`: nothing moves, so that G of one step is G of the beliefs given."""
    B = _tensors(given.B)
    if beliefs_only:
        B = tuple(torch.eye(len(b), dtype=b.dtype)[..., None] for b in B)
    C = tuple(torch.log_softmax(c.T, 1) for c in _tensors(given.C))
    return GenerativeModel(A=_tensors(given.A), B=B, C=C, D=_tensors(given.D))


@pytest.mark.parametrize("name", ["x_1f1m", "x_2f2m"])
def test_expected_free_energy_of_its_beliefs_under_every_policy_is_its_own(name: str) -> None:
    given, out = _load(name)
    last = int(given.T) - 1
    qs: Beliefs = tuple(q[:, last].T.contiguous() for q in _tensors(out.Q))  # (policies, states)

    model = _model(given, beliefs_only=True)

    utility = expected_free_energy(Plan.of(model, 1, time=last, detail=True), qs).utility
    one, joint = merged(model), merged_beliefs(qs)
    information = expected_free_energy(Plan.of(one, 1, time=last, detail=True), (joint,)).state_information[
        :, 0
    ]
    # SPM adds exp(-16) inside its logarithms and leaves out states that are no likelier.
    shift = _information(joint_likelihood(one), joint, exp(-16)) - _information(
        joint_likelihood(one), joint, 0.0
    )

    assert shift.abs().max() < 1e-6
    assert_close(
        utility[:, 0] + information + shift, torch.from_numpy(out.G)[:, last], **EXACT
    )  # SPM keeps -G


def _information(likelihood: Tensor, joint: Tensor, small: float) -> Tensor:
    weights = joint.where(joint > small, 0.0)
    seen = weights @ likelihood.T
    known = (likelihood * (likelihood + small).log()).sum(0)
    return weights @ known - (seen * (seen + small).log()).sum(1)


@pytest.mark.parametrize("name", ["x_1f1m", "x_2f2m"])
def test_its_posterior_over_policies_follows_from_its_energies_and_habits(name: str) -> None:
    given, out = _load(name)
    E, w = torch.from_numpy(given.E / given.E.sum()), torch.from_numpy(out.w)

    q_pi = policy_posterior(-torch.from_numpy(out.G).T, w, E.log(), -torch.from_numpy(out.F).T)

    assert_close(q_pi, torch.from_numpy(out.R).T, **EXACT)


def test_its_deep_search_gives_its_posterior_over_first_actions() -> None:
    # Branches on hidden states, counts what is pruned as costing nothing and actions as costing their
    # surprise.
    given, out = _load("xx_soph")
    one, seen = merged(_model(given)), out.o.astype(int) - 1
    q = one.D[0]

    for t in range(3):
        q = q * one.A[0][seen[0, t]] * one.A[1][seen[1, t]]
        q = q / q.sum()
        search = Search(
            3 - t, information="per_modality", branch="states", renormalise=False, habit_cost=True
        )
        told = sophisticated_policies(Tree.of(one, search, time=t + 1), (q[None],))
        assert_close(told.q_pi[0], torch.from_numpy(out.R)[:, t], **EXACT)
        actions = torch.softmax(given.alpha * told.q_pi[0].log(), 0)
        assert_close(actions.view(3, 2), torch.from_numpy(out.P)[..., t], **EXACT)
        joint = q.view(3, 2)
        for f, x in enumerate(_tensors(out.X)):
            assert_close(joint.sum(1 - f), x[:, t], **EXACT)
        q = one.B[0][:, :, int(out.v[t]) - 1] @ q


def test_its_primitives_are_ours() -> None:
    from scipy.io import loadmat

    file = loadmat(FOLDER / "primitives.mat", squeeze_me=True)
    A, qs = (tuple(torch.from_numpy(np.array(x, dtype=float)) for x in file[name]) for name in ("A", "x"))
    model = GenerativeModel(
        A=A,
        B=tuple(torch.eye(len(q), dtype=q.dtype)[..., None] for q in qs),
        C=tuple(a.new_zeros(len(a)) for a in A),
    )

    told = expected_free_energy(Plan.of(model, 1, detail=True), tuple(q[None] for q in qs))

    assert_close(told.state_information[0, 0], torch.tensor(file["G"], dtype=torch.float64), **EXACT)
