"""The numbers that SPM12's spm_MDP_VB_X stored, reproduced: beliefs, F, learning, precision, reduction.

The files are no part of the project: where they are absent, these tests are skipped.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.learning import parameter_divergence, update_A, update_B, update_D, update_E
from arr_coc.agent.marginal import first_guess, marginal_messages, softened
from arr_coc.agent.maths import contract, dirichlet_expected_log, dirichlet_kl, normalised, product
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.precision import infer_precision
from arr_coc.agent.reduction import log_evidence_gain
from arr_coc.agent.sequence import Trajectory, independent_pairs

STORED = Path(__file__).resolve().parents[2] / "shared" / "data" / "spm"
pytestmark = pytest.mark.skipif(
    not STORED.is_dir(), reason="SPM's stored outputs are not at ../shared/data/spm"
)
EXACT = {"atol": 1e-10, "rtol": 0.0}
SHIFT = 1 / 32
"""What SPM adds to the counts within the psi function of spm_KL_dir."""


def tensor(x: Any) -> Tensor:
    return torch.tensor(np.asarray(x, dtype=float))


def cell(x: Any) -> list[Tensor]:
    return [tensor(v) for v in x.ravel()]


@dataclass(frozen=True)
class Run:
    """One stored run: the model it was given, what happened, and what SPM made of it."""

    model: GenerativeModel
    policies: Tensor
    """(policies, steps, controls)."""
    outcomes: Tensor
    """(modalities, time)."""
    M: Any
    """The stored output."""

    @property
    def time(self) -> int:
        return self.outcomes.shape[1]

    def perceived(self) -> tuple[Trajectory, Tensor]:
        """Beliefs at the end under each policy, and F of each policy at each time."""
        n = len(self.policies)
        qs = first_guess(tuple(d.expand(n, -1) for d in self.model.D), self.time)
        F = []
        for now in range(self.time):
            seen = torch.where(torch.arange(self.time) <= now, self.outcomes, -1)
            window = marginal_messages(
                self.model, [o.expand(n, -1) for o in seen], self.policies, qs=softened(qs)
            )
            qs = window.qs
            F.append(window.F)
        return qs, torch.stack(F, dim=1)


def stored(name: str) -> Run:
    loadmat = pytest.importorskip("scipy.io", reason="scipy reads the stored files").loadmat
    data = loadmat(STORED / f"{name}.mat")
    given, M = data["in"][0, 0], data["M"][0, 0]
    counts: dict[str, Any] = {}
    if "a" in given.dtype.names:
        counts = {"pA": cell(given["a"]), "pB": cell(given["b"]), "pD": [d.ravel() for d in cell(given["d"])]}
        counts["pE"] = tensor(given["e"]).ravel()
    V = torch.tensor(given["V"].astype(int) - 1)
    E = counts.get("pE", tensor(given["E"]).ravel())
    model = GenerativeModel(
        A=[normalised(a) for a in counts.get("pA", cell(given["A"]))],
        B=[normalised(b) for b in counts.get("pB", cell(given["B"]))],
        C=[c.T for c in cell(given["C"])],
        D=[normalised(d) for d in counts.get("pD", [d.ravel() for d in cell(given["D"])])],
        E=normalised(E),
        **counts,
    )
    policies = (V if V.ndim == 3 else V[:, :, None]).permute(1, 0, 2)
    return Run(model, policies, torch.tensor(M["o"].astype(int) - 1), M)


@pytest.mark.parametrize("name", ["x_1f1m", "x_2f2m", "x_learn"])
def test_beliefs_and_evidence_of_every_policy_are_spms(name: str) -> None:
    run = stored(name)
    qs, F = run.perceived()
    assert_close(-F, tensor(run.M["F"]), **EXACT)
    for q, Q, X in zip(qs, cell(run.M["Q"]), cell(run.M["X"]), strict=True):
        assert_close(q.permute(2, 1, 0), Q, **EXACT)
        q_pi = tensor(run.M["R"])[:, -1]
        assert_close(torch.einsum("p,pts->st", q_pi, q)[:, -1], X[:, -1], **EXACT)


def test_precision_over_policies_and_their_posterior_are_spms() -> None:
    run = stored("x_learn")
    assert run.model.E is not None
    _, F = run.perceived()
    G, beta, path = -tensor(run.M["G"]), None, []
    for t in range(run.time):
        settled = infer_precision(G[None, :, t], F[None, :, t], run.model.E.log(), beta=beta)
        beta = settled.beta
        path.append(settled.path[0])
        assert_close(settled.q_pi[0], tensor(run.M["R"])[:, t], **EXACT)
        assert_close(settled.gamma, tensor(run.M["w"])[0, t : t + 1], **EXACT)
    assert_close(torch.cat(path), tensor(run.M["wn"]).ravel(), **EXACT)


@pytest.mark.parametrize("name", ["x_1f1m", "x_2f2m"])
def test_the_posterior_over_policies_at_a_fixed_precision_is_spms(name: str) -> None:
    run = stored(name)
    assert run.model.E is not None
    _, F = run.perceived()
    q_pi = (run.model.E.log()[:, None] + tensor(run.M["G"]) - F).softmax(0)
    assert_close(q_pi, tensor(run.M["R"]), **EXACT)


def test_learning_is_spms() -> None:
    run = stored("x_learn")
    model, rate = run.model, 0.7
    qs, _ = run.perceived()
    q_pi = tensor(run.M["R"])
    average = tuple(x.T[None] for x in cell(run.M["X"]))
    learned = update_A(model, [o[None] for o in run.outcomes], average, rate=rate)
    learned = update_B(learned, independent_pairs(model, qs), run.policies, rate=rate, weight=q_pi[:, 1:])
    # SPM learns the initial states at full rate.
    learned = update_D(learned, tuple(x[:, 0] for x in average))
    learned = update_E(learned, q_pi[None, :, -1], rate=rate)
    assert learned.pA is not None
    assert learned.pB is not None
    assert learned.pD is not None
    assert learned.pE is not None
    assert_close(list(learned.pA), cell(run.M["a"]), **EXACT)
    assert_close(list(learned.pB), cell(run.M["b"]), **EXACT)
    assert_close(list(learned.pD), [d.ravel() for d in cell(run.M["d"])], **EXACT)
    assert_close(learned.pE, tensor(run.M["e"]).ravel(), **EXACT)
    for name, new, old in (
        ("Fa", learned.pA, model.pA),
        ("Fb", learned.pB, model.pB),
        ("Fd", learned.pD, model.pD),
        ("Fe", (learned.pE,), (model.pE,)),
    ):
        kl = torch.stack([spm_divergence(n, o) for n, o in zip(new, old, strict=True)])
        assert_close(-kl, tensor(run.M[name]).ravel(), **EXACT)
        # The exact divergence is what SPM's would be without the shift.
        exact = torch.stack(parameter_divergence(new, old))
        assert_close(exact, kl - torch.stack([shift(n, o) for n, o in zip(new, old, strict=True)]), **EXACT)


def shift(q: Tensor, p: Tensor) -> Tensor:
    """What SPM's shift within psi adds to the divergence of Dirichlet distributions."""
    return ((q - p) * (dirichlet_expected_log(q + SHIFT) - dirichlet_expected_log(q))).sum()


def spm_divergence(q: Tensor, p: Tensor) -> Tensor:
    return dirichlet_kl(q, p).sum() + shift(q, p)


def test_primitives_are_spms() -> None:
    data = pytest.importorskip("scipy.io", reason="scipy reads the stored files").loadmat(
        STORED / "primitives.mat"
    )
    A, x = cell(data["A"])[0], [v.T for v in cell(data["x"])]
    assert_close(contract(A, (0, 1), x)[0], tensor(data["Y1"]).ravel(), **EXACT)
    assert_close(contract(A, (0, 1), x, keep=(0,))[0], tensor(data["Y2"]), **EXACT)
    assert_close(product(x).view(3, 2), tensor(data["X"]), **EXACT)
    q, p = tensor(data["q"]), tensor(data["p"])
    assert_close(dirichlet_expected_log(q), tensor(data["psi"]), **EXACT)
    assert_close(spm_divergence(q, p), tensor(data["KLdir"])[0, 0], **EXACT)


def test_evidence_of_a_reduced_model_is_spms() -> None:
    data = pytest.importorskip("scipy.io", reason="scipy reads the stored files").loadmat(
        STORED / "primitives.mat"
    )
    q, p, after = (tensor(data[name]) for name in ("q", "p", "sA"))
    reduced = after - q + p
    gain = log_evidence_gain(q, p, reduced)
    F = data["F"].ravel()
    # Two of the columns were given counts that no data lead to: SPM returns complex numbers, we no number.
    possible = torch.tensor(F.imag == 0)
    assert possible.tolist() == [False, True, False]
    assert_close(-gain[possible], tensor(F.real)[possible], **EXACT)
    assert gain[~possible].isnan().all()
