"""SPM's own numbers: its deep tree search, and the information gain that planning rests on."""

import torch
from torch.testing import assert_close

from arr_coc.agent.merge import merged
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.planning import Plan, expected_free_energy
from arr_coc.agent.sophisticated import Search, Tree, sophisticated_policies
from tests.spm import EXACT, cell, loaded, needs_files, tensor

pytestmark = needs_files


def test_its_deep_search_gives_its_posterior_over_first_actions() -> None:
    # Branches on hidden states, counts what is pruned as costing nothing and actions as costing their
    # surprise.
    data = loaded("xx_soph")
    given, M = data["in"][0, 0], data["M"][0, 0]
    C = [torch.log_softmax(c.T, 1) for c in cell(given["C"])]
    D = [d.ravel() for d in cell(given["D"])]
    one = merged(GenerativeModel(A=cell(given["A"]), B=cell(given["B"]), C=C, D=D))
    seen, taken = (torch.tensor(M[x].astype(int)) - 1 for x in ("o", "u"))
    R, P, w, X = tensor(M["R"]), tensor(M["P"]), tensor(M["w"])[0], cell(M["X"])
    q = one.D[0]

    for t in range(4):
        q = q * one.A[0][seen[0, t]] * one.A[1][seen[1, t]]
        q = q / q.sum()
        for f, x in enumerate(X):
            assert_close(q.view(3, 2).sum(1 - f), x[:, t], **EXACT)
        if t == 3:
            break
        search = Search(
            3 - t, information="per_modality", branch="states", renormalise=False, habit_cost=True
        )
        told = sophisticated_policies(Tree.of(one, search, time=t + 1), (q[None],)).q_pi[0]
        assert_close(told, R[:, t], **EXACT)
        assert_close((told * told.log()).sum(), w[t], **EXACT)
        actions = torch.softmax(float(given["alpha"][0, 0]) * told.log(), 0)
        assert_close(actions.view(3, 2), P[..., t], **EXACT)
        action = 2 * int(taken[0, t]) + int(taken[1, t])
        assert action == int(M["v"][0, t]) - 1
        q = one.B[0][:, :, action] @ q


def test_its_primitives_are_ours() -> None:
    data = loaded("primitives")
    A, qs = cell(data["A"]), tuple(q.T for q in cell(data["x"]))
    model = GenerativeModel(
        A=A,
        B=[torch.eye(q.shape[1], dtype=q.dtype)[..., None] for q in qs],
        C=[a.new_zeros(len(a)) for a in A],
    )

    told = expected_free_energy(Plan.of(model, 1, detail=True), qs)

    assert_close(told.state_information[0], tensor(data["G"])[0], **EXACT)
