"""The numbers that SPM12's spm_MDP_VB_X stored, reproduced at every step: beliefs, F, G, policies, precision,
actions, learning, reduction."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.action import joint_action_marginals
from arr_coc.agent.following import Followed, follow_policies
from arr_coc.agent.learning import parameter_divergence, update_A, update_B, update_D, update_E
from arr_coc.agent.marginal import first_guess, marginal_messages, softened
from arr_coc.agent.maths import contract, dirichlet_expected_log, dirichlet_kl, product
from arr_coc.agent.precision import infer_precision
from arr_coc.agent.reduction import log_evidence_gain
from arr_coc.agent.sequence import independent_pairs
from arr_coc.agent.worth import Arithmetic
from tests.spm import EXACT, Run, cell, loaded, needs_files, run_of, tensor

pytestmark = needs_files
every_run = pytest.mark.parametrize("name", ["x_1f1m", "x_2f2m", "x_learn"])
SHIFT = 1 / 32
"""What SPM adds to the counts within the psi function of spm_KL_dir."""


def followed(run: Run, arithmetic: Arithmetic = "spm") -> tuple[Followed, ...]:
    """Ours of a stored run. Where counts are learned, SPM was told to infer the precision too."""
    seen = [o[None] for o in run.outcomes]
    precision = "fixed" if run.model.pA is None else "inferred"
    return follow_policies(run.model, seen, run.policies, precision=precision, arithmetic=arithmetic)


@every_run
def test_energies_of_every_policy_and_their_posterior_are_spms_at_every_step(name: str) -> None:
    run = run_of(name)

    ours = followed(run)

    assert len(ours) == run.time
    # SPM keeps -F and -G.
    assert_close(-torch.cat([now.F for now in ours]).T, run.stored("F"), **EXACT)
    assert_close(-torch.cat([now.G for now in ours]).T, run.stored("G"), **EXACT)
    assert_close(torch.cat([now.q_pi for now in ours]).T, run.stored("R"), **EXACT)
    assert_close(torch.cat([now.gamma for now in ours]), run.stored("w").ravel(), **EXACT)


@every_run
def test_beliefs_under_every_policy_and_their_average_are_spms_at_every_step(name: str) -> None:
    run = run_of(name)

    ours = followed(run)

    for f, (Q, X, xn) in enumerate(zip(*(cell(run.M[x]) for x in ("Q", "X", "xn")), strict=True)):
        assert_close(ours[-1].qs[f][0].permute(2, 1, 0), Q, **EXACT)
        assert_close(ours[-1].average[f][0].T, X, **EXACT)
        for t, now in enumerate(ours):
            # xn: (iterations, states, time believed of, time now), averaged over policies.
            assert_close(now.average[f][0].T, xn[-1, :, :, t], **EXACT)


@every_run
def test_beliefs_and_prediction_errors_are_spms_after_every_sweep(name: str) -> None:
    run = run_of(name)
    n, q_pi, times = len(run.policies), run.stored("R"), torch.arange(run.time)
    xn, vn = (cell(run.M[x]) for x in ("xn", "vn"))
    qs = first_guess(tuple(d.expand(n, -1) for d in run.model.D), run.time)
    for now in range(run.time):
        seen = [o.expand(n, -1) for o in torch.where(times <= now, run.outcomes, -1)]
        begin = before = softened(qs)
        for i in range(16):
            qs = marginal_messages(run.model, seen, run.policies, qs=begin, iterations=i + 1).qs
            for f, (new, old) in enumerate(zip(qs, before, strict=True)):
                average = torch.einsum("p,pts->st", q_pi[:, now], new)
                assert_close(average, xn[f][i, :, :, now], **EXACT)
                # A sweep adds a quarter of the error to ln q. SPM's logarithm is of q + 1e-16, ours is not.
                error = 4 * (new.log() - (old + 1e-16).log())
                error = torch.einsum("p,pts->st", q_pi[:, now], error - error.mean(2, keepdim=True))
                assert_close(error, vn[f][i, :, :, now], atol=1e-9, rtol=0.0)
            before = qs


def test_precision_and_policies_are_spms_after_every_iteration() -> None:
    run, beta = run_of("x_learn"), None
    un, wn = run.stored("un"), run.stored("wn").ravel()
    assert run.model.E is not None
    for t, now in enumerate(followed(run)):
        for i in range(16):
            found = infer_precision(now.G, now.F, run.model.E.log(), beta=beta, iterations=i + 1)
            assert_close(found.q_pi[0], un[:, 16 * t + i], **EXACT)
        beta = found.beta
        assert_close(now.path[0], wn[16 * t : 16 * t + 16], **EXACT)


@pytest.mark.parametrize("name", ["x_1f1m", "x_2f2m"])
def test_at_a_fixed_precision_no_iteration_changes_anything_as_in_spm(name: str) -> None:
    run = run_of(name)
    ours = torch.cat([now.q_pi for now in followed(run)]).T
    assert_close(ours.repeat_interleave(16, dim=1), run.stored("un"), **EXACT)
    assert_close(torch.ones(16 * run.time).double(), run.stored("wn").ravel(), **EXACT)


@every_run
def test_free_energy_of_policies_is_spms_at_every_step(name: str) -> None:
    run = run_of(name)
    assert run.model.E is not None
    for t, now in enumerate(followed(run)):
        # Its last gamma but one is that of the posterior.
        gamma = now.path[0, -2] if now.path.numel() else now.gamma[0]
        q, expected = now.q_pi[0], (run.model.E.log() - gamma * now.G[0]).softmax(0)
        H = -(q @ now.F[0]) - q @ (q.log() - expected.log())
        assert_close(H, run.stored("H")[0, t], **EXACT)


@every_run
def test_what_is_done_is_spms_at_every_step(name: str) -> None:
    run = run_of(name)
    n_actions = run.model.n_actions
    P, taken = run.stored("P"), run.stored("u").long() - 1  # (controls, steps)
    P = P.view(*n_actions, run.time - 1)
    for t, now in enumerate(followed(run)[:-1]):
        chances = joint_action_marginals(now.q_pi, run.policies, n_actions, step=t)
        chosen = torch.softmax(16 * chances[0].log(), 0).view(n_actions)
        assert_close(chosen, P[..., t], **EXACT)
        assert chosen[tuple(taken[:, t])] > 0


@every_run
def test_exact_arithmetic_is_near_spms(name: str) -> None:
    run = run_of(name)
    for ours, theirs in zip(followed(run, "exact"), followed(run), strict=True):
        assert torch.equal(ours.F, theirs.F)
        # To first order, information about parameters with counts near one is overstated by whole nats.
        near = 1e-6 if run.model.pA is None else 10.0
        assert 0 < (ours.G - theirs.G).abs().max() < near


def test_learning_is_spms() -> None:
    run = run_of("x_learn")
    model, rate = run.model, 0.7
    ours = followed(run)
    q_pi, average = run.stored("R"), ours[-1].average
    qs = tuple(q[0] for q in ours[-1].qs)
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
    data = loaded("primitives")
    A, x = cell(data["A"])[0], [v.T for v in cell(data["x"])]
    assert_close(contract(A, (0, 1), x)[0], tensor(data["Y1"]).ravel(), **EXACT)
    assert_close(contract(A, (0, 1), x, keep=(0,))[0], tensor(data["Y2"]), **EXACT)
    assert_close(product(x).view(3, 2), tensor(data["X"]), **EXACT)
    q, p = tensor(data["q"]), tensor(data["p"])
    assert_close(dirichlet_expected_log(q), tensor(data["psi"]), **EXACT)
    assert_close(spm_divergence(q, p), tensor(data["KLdir"])[0, 0], **EXACT)


def test_evidence_of_a_reduced_model_is_spms() -> None:
    data = loaded("primitives")
    q, p, after = (tensor(data[name]) for name in ("q", "p", "sA"))
    reduced = after - q + p
    gain = log_evidence_gain(q, p, reduced)
    F = data["F"].ravel()
    # Two of the columns were given counts that no data lead to: SPM returns complex numbers, we no number.
    possible = torch.tensor(F.imag == 0)
    assert possible.tolist() == [False, True, False]
    assert_close(-gain[possible], tensor(F.real)[possible], **EXACT)
    assert gain[~possible].isnan().all()
