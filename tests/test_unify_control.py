"""Control as inference: losses, soft values and dynamic programming beside what is known of them."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.unify.control import (
    Losses,
    Networks,
    Transitions,
    control_as_inference_losses,
    guide_loss,
    soft_actor_critic_losses,
)
from arr_coc.agent.unify.dynamic_programming import conditional_plans, value_iteration
from arr_coc.agent.unify.problems import partly_seen, source
from arr_coc.agent.unify.soft import efe_as_soft_q, posterior_fixed_point, soft_value_iteration

Loss = Callable[[Transitions, Networks, float, float], Losses]
EXACT = {"rtol": 0.0, "atol": 1e-10}
BOTH = [soft_actor_critic_losses, control_as_inference_losses]
ALPHA = 0.5


def table(seed: int, states: int = 2, actions: int = 3) -> Tensor:
    """A network of states that are one-hot: its rows."""
    return torch.randn(states, actions, generator=source(seed), dtype=torch.double).requires_grad_()


def learner(actor: Tensor, critic: Tensor, target: Tensor) -> tuple[Transitions, Networks]:
    """Three steps in a world of two states; the last step ends it."""
    states = torch.eye(2, dtype=torch.double)
    batch = Transitions(
        states[[0, 1, 0]], torch.tensor([2, 0, 1]), torch.tensor([1.0, -1.0, 0.5]).double(),
        states[[1, 0, 0]], torch.tensor([False, False, True]),
    )  # fmt: skip
    log_temperature = torch.tensor(ALPHA, dtype=torch.double).log().requires_grad_()
    return batch, Networks(lambda s: s @ actor, lambda s: s @ critic, lambda s: s @ target, log_temperature)


@pytest.mark.parametrize("losses", BOTH)
def test_a_policy_that_is_the_posterior_has_nothing_left_to_learn(losses: Loss) -> None:
    critic = table(1)
    actor = (critic.detach() / ALPHA + 3.0).requires_grad_()
    batch, nets = learner(actor, critic, critic)

    (gradient,) = torch.autograd.grad(losses(batch, nets, 0.9, 1.0).policy, actor)

    assert_close(gradient, torch.zeros_like(gradient), **EXACT)


@pytest.mark.parametrize("losses", BOTH)
def test_each_loss_trains_its_own_part_only(losses: Loss) -> None:
    actor, critic, target = table(1), table(2), table(3)
    batch, nets = learner(actor, critic, target)
    parts = [actor, critic, nets.log_temperature, target]

    for i, loss in enumerate(losses(batch, nets, 0.9, 1.0)):
        found = torch.autograd.grad(loss, parts, allow_unused=True, retain_graph=True)
        assert [g is not None and bool(g.abs().max() > 0) for g in found] == [j == i for j in range(4)]


@pytest.mark.parametrize("losses", BOTH)
def test_the_critic_learns_reward_and_soft_value_and_nothing_after_the_end(losses: Loss) -> None:
    actor, critic, target = table(1), table(2), table(3)
    batch, nets = learner(actor, critic, target)
    pi = torch.softmax(actor, 1)
    value = (pi * (target - ALPHA * pi.log())).sum(1)
    goals = torch.stack([1.0 + 0.9 * value[1], -1.0 + 0.9 * value[0], torch.tensor(0.5).double()])
    now = torch.stack([critic[0, 2], critic[1, 0], critic[0, 1]])

    told = losses(batch, nets, 0.9, 1.0).critic

    assert_close(told, ((now - goals) ** 2).mean() / 2, **EXACT)


@pytest.mark.parametrize("losses", BOTH)
@pytest.mark.parametrize(("asked", "sign"), [(0.1, 1.0), (5.0, -1.0)])
def test_temperature_falls_where_the_policy_is_more_random_than_asked_for(
    losses: Loss, asked: float, sign: float
) -> None:
    batch, nets = learner(torch.zeros(2, 3).double().requires_grad_(), table(2), table(3))

    (gradient,) = torch.autograd.grad(losses(batch, nets, 0.9, asked).temperature, nets.log_temperature)

    assert gradient * sign > 0


def test_the_guides_loss_unteaches_what_was_done_and_raises_values_without_an_aim() -> None:
    actor, critic = table(1), table(2)
    batch, nets = learner(actor, critic, critic)

    of_actor, of_critic = torch.autograd.grad(guide_loss(batch, nets), [actor, critic])

    def likelihood(logits: Tensor) -> Tensor:
        taken = torch.log_softmax(batch.states @ logits, 1).gather(1, batch.actions[:, None])
        return taken.mean()

    assert likelihood(actor - 0.01 * of_actor) < likelihood(actor)
    richer = replace(batch, rewards=batch.rewards + 7.0)
    assert torch.equal(torch.autograd.grad(guide_loss(richer, nets), critic)[0], of_critic)
    assert (of_critic <= 0).all()  # a step down it raises every value that was looked at
    assert of_critic.sum() == -1


def test_an_efe_of_soft_q_is_minus_both_and_knows_its_temperature() -> None:
    q, bonus = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.0])

    told = efe_as_soft_q(q, bonus, temperature=0.25)

    assert_close(told.G, torch.tensor([-1.5, -2.0]))
    assert_close(told.q_pi, torch.softmax(torch.tensor([6.0, 8.0]), 0))
    assert_close(told.F, -torch.logsumexp(torch.tensor([6.0, 8.0]), 0) / 4)
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        efe_as_soft_q(q, bonus, temperature=0.0)


def test_soft_values_are_those_of_the_best_and_more_by_the_freedom_to_choose() -> None:
    model = partly_seen(source(0), states=4, actions=3)
    B, reward = model.B[0], torch.randn(4, generator=source(1), dtype=torch.double)

    hard, cold, warm = (
        value_iteration(B, reward, 3),
        soft_value_iteration(B, reward, 1e4, 3),
        soft_value_iteration(B, reward, 2.0, 3),
    )

    assert_close(cold, hard, rtol=0.0, atol=2 * torch.tensor(3.0).log().item() / 1e4)
    assert (warm >= hard - 1e-12).all()
    assert (warm <= hard + 2 * torch.tensor(3.0).log() / 2.0).all()  # two choices of three are to come


def test_a_sure_precision_makes_the_posterior_the_best_policy() -> None:
    model = partly_seen(source(2), states=4, actions=3)
    reward = torch.randn(4, generator=source(3), dtype=torch.double)
    q = torch.zeros(4, 3, dtype=torch.double)
    for _ in range(400):
        q = torch.einsum("nsa,n->sa", model.B[0], reward + 0.9 * q.amax(1))

    pi = posterior_fixed_point(model.B[0], reward, gamma=500.0, discount=0.9)

    assert torch.equal(pi.argmax(1), q.argmax(1))


def test_conditional_plans_are_one_for_every_way_to_answer_every_outcome() -> None:
    model = partly_seen(source(4))  # two actions, two outcomes
    plans = conditional_plans(model, 2)
    income = torch.log_softmax(model.C[0], 0) @ model.A[0]  # of each state one is in

    assert plans.shape == (2, 4, 3)  # which of two actions after which of two outcomes
    blind = torch.einsum("n,nsa->as", income, model.B[0])
    # Plans that do the same whatever is seen are action sequences.
    for first in range(2):
        for second in range(2):
            fixed = blind[first] + blind[second] @ model.B[0][..., first]
            assert ((plans[first] - fixed).abs().amax(1) < 1e-12).sum() == 1
