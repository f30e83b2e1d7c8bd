"""The guide's policies, numbers and code beside the right ones: what theirs gives, what is true and ours.

The numbers are those of the list in arr_coc.agent.guide. `guide_...` is the guide's formula.
"""

import math

import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent import maths
from arr_coc.agent.action import action_marginals, sample_action
from arr_coc.agent.agent import Agent
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.planner import Exhaustive
from arr_coc.agent.planning import Plan, infer_policies
from arr_coc.agent.policies import all_policies
from arr_coc.agent.predict import predict_obs
from tests.guide_models import believes, blurred, double, draw, parts, table


def test_14_drawing_a_policy_and_taking_the_likeliest_action_are_two_things() -> None:
    policies = torch.tensor([0, 1, 1]).reshape(3, 1, 1)
    q_pi = torch.tensor([[0.4, 0.3, 0.3]]).expand(5000, 3)

    drawn = sample_action(q_pi, policies, (2,), alpha=1.0, sampling="full", generator=draw(0))
    likeliest = sample_action(q_pi, policies, (2,), sampling="marginal")

    assert_close(drawn.float().mean(), torch.tensor(0.6), atol=0.03, rtol=0)
    assert set(likeliest.flatten().tolist()) == {1}


def test_15_the_loops_over_policies_come_to_the_same_sums() -> None:
    model = blurred(table(3, 4, seed=0), [torch.randn(3, generator=draw(1), dtype=double)], seed=2)
    policies = all_policies(model.n_actions, 3)
    plan = Plan.of(model, 3)
    q_pi, G = infer_policies(plan, (model.D[0][None],))

    loop = torch.zeros(3, dtype=double)
    for p in range(len(policies)):
        q, total = model.D[0], torch.zeros((), dtype=double)
        for action in policies[p, :, 0].tolist():
            q = model.B[0][:, :, action] @ q
            risk, ambiguity, _, _ = parts(model.A[0], model.C[0], q)
            total = total + risk + ambiguity
        assert_close(G[0, p], total)
        loop[policies[p, 0, 0]] += q_pi[0, p]

    assert_close(action_marginals(q_pi, policies, model.n_actions)[0][0], loop)


# Numbers and code


def test_16_beliefs_begin_with_the_tensors_of_the_model_in_use() -> None:
    moved = believes(table(3, 4, seed=0), [table(4, seed=1)]).to(dtype=torch.float32)

    agent = Agent(moved, Exhaustive(1))

    assert agent.qs[0].dtype == torch.float32
    assert torch.equal(agent.qs[0][0], moved.D[0])


def test_17_half_precision_has_no_1e_16() -> None:
    p = torch.tensor([1.0, 0.0], dtype=torch.half)

    theirs = -(p * (p + 1e-16).log()).sum()

    assert theirs.isnan()
    assert_close(maths.entropy(p), torch.tensor(0.0, dtype=torch.half))
    assert_close(maths.kl_divergence(p, p), torch.tensor(0.0, dtype=torch.half))


def test_18_entropies_and_divergences_keep_the_batch() -> None:
    q, p = table(3, 5, seed=0).T, table(3, 5, seed=1).T

    theirs = (q * (q.log() - p.log())).sum()

    assert theirs.shape == ()
    assert_close(
        maths.kl_divergence(q, p), torch.stack([(a * (a / b).log()).sum() for a, b in zip(q, p, strict=True)])
    )
    assert maths.entropy(q).shape == (5,)


def test_19_a_modality_may_depend_on_every_factor() -> None:
    A, D = table(3, 2, 4, seed=0), [table(2, seed=1), table(4, seed=2)]

    (qo,) = predict_obs(believes(A, D), tuple(d[None] for d in D))

    assert_close(qo[0], torch.einsum("oij,i,j->o", A, *D))


def test_20_a_softmax_of_probabilities_makes_certainty_look_like_noise() -> None:
    certain = torch.zeros(100, dtype=double)
    certain[0] = 1.0

    theirs = torch.softmax(certain, dim=0)

    assert_close(theirs[0].item(), 0.0267, atol=5e-5, rtol=0)
    assert_close(maths.entropy(theirs).item(), 4.595, atol=5e-4, rtol=0)
    assert_close(math.log(100), 4.605, atol=5e-4, rtol=0)
    assert_close(maths.entropy(certain).item(), 0.0)


def test_21_preferences_far_apart_stay_finite() -> None:
    C = torch.tensor([0.0, -200.0])
    model = GenerativeModel(A=torch.eye(2), B=torch.eye(2)[:, None, :].repeat(1, 2, 1), C=C)

    theirs = torch.softmax(C, 0).log()

    assert theirs[1] == -torch.inf
    assert_close(infer_policies(model, (model.D[0][None],)).G, torch.tensor([[0.0, 200.0]]))


def test_22_a_result_is_not_overwritten_by_the_next_call() -> None:
    model = blurred(table(3, 4, seed=0), [torch.randn(3, generator=draw(1), dtype=double)], seed=2)
    plan = Plan.of(model, 2)
    first = infer_policies(plan, (model.D[0][None],)).G
    kept = first.clone()

    other = infer_policies(plan, (table(4, seed=9)[None],)).G

    assert torch.equal(first, kept)
    assert not torch.equal(first, other)


def test_23_chunks_change_neither_values_nor_slopes() -> None:
    A, B = table(3, 4, seed=0).requires_grad_(), table(4, 4, 3, seed=1).requires_grad_()
    C, D = torch.randn(3, generator=draw(2), dtype=double), table(4, seed=3)

    def slopes(chunk: int) -> tuple[Tensor, ...]:
        plan = Plan.of(GenerativeModel(A=A, B=B, C=C, D=D), 4, chunk=chunk)
        G = infer_policies(plan, (D[None],)).G
        return (G, *torch.autograd.grad((G * torch.linspace(-1, 1, G.shape[1], dtype=double)).sum(), (A, B)))

    assert_close(slopes(chunk=16), slopes(chunk=2**24))
