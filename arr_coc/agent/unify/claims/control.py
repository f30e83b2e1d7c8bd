"""Claims about control as inference: soft actor-critic, soft Q-learning, the temperature, the entropy."""

import torch
from torch import Tensor, nn

from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import EFE, REWARD, Objective
from arr_coc.agent.planning import Plan, infer_policies
from arr_coc.agent.unify.claims.claim import Claim
from arr_coc.agent.unify.control import (
    Losses,
    Networks,
    Transitions,
    control_as_inference_losses,
    guide_loss,
    soft_actor_critic_losses,
)
from arr_coc.agent.unify.problems import DTYPE, distributions, partly_seen, source

FEATURES, ACTIONS, DISCOUNT = 3, 4, 0.95


def _learner(seed: int) -> tuple[Transitions, Networks, list[list[Tensor]]]:
    """Random experience and networks; parameters of actor, critic and temperature."""
    g = source(seed)

    def network() -> nn.Module:
        net = nn.Sequential(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Linear(8, ACTIONS)).double()
        for p in net.parameters():
            nn.init.normal_(p, generator=g)
        return net

    actor, critic, target = network(), network(), network()
    log_temperature = torch.randn((), generator=g, dtype=DTYPE).requires_grad_()
    n = 16
    batch = Transitions(
        states=torch.randn(n, FEATURES, generator=g, dtype=DTYPE),
        actions=torch.randint(ACTIONS, (n,), generator=g),
        rewards=torch.randn(n, generator=g, dtype=DTYPE),
        next_states=torch.randn(n, FEATURES, generator=g, dtype=DTYPE),
        ended=torch.rand(n, generator=g) < 0.2,
    )
    owned: list[list[Tensor]] = [
        list(actor.parameters()), list(critic.parameters()), [log_temperature]
    ]  # fmt: skip
    return batch, Networks(actor, critic, target, log_temperature), owned


def _gradient(loss: Tensor, parameters: list[Tensor]) -> Tensor:
    """All of it in one vector, zeros where the loss does not depend on a parameter."""
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return torch.cat(
        [
            torch.zeros_like(p).flatten() if g is None else g.flatten()
            for g, p in zip(found, parameters, strict=True)
        ]
    )


def _gradients(losses: Losses, owned: list[list[Tensor]]) -> list[Tensor]:
    return [_gradient(loss, parameters) for loss, parameters in zip(losses, owned, strict=True)]


def gradient_gap(seed: int) -> float:
    """Soft actor-critic and free energies of policies: the gradients of policy, critic and temperature."""
    batch, nets, owned = _learner(seed)
    sides = [
        _gradients(losses(batch, nets, DISCOUNT, 0.5), owned)
        for losses in (soft_actor_critic_losses, control_as_inference_losses)
    ]
    return max(float((a - b).abs().max()) for a, b in zip(*sides, strict=True))


def guide_gradient_gap(seed: int) -> float:
    """The policy's gradient under the guide's loss and under soft actor-critic's, relative to the latter."""
    batch, nets, owned = _learner(seed)
    right = _gradient(soft_actor_critic_losses(batch, nets, DISCOUNT, 0.5).policy, owned[0])
    return float((_gradient(guide_loss(batch, nets), owned[0]) - right).norm() / right.norm())


def guide_return_gradient(seed: int) -> float:
    """How the policy's gradient under the guide's loss changes when every value is another."""
    batch, nets, owned = _learner(seed)
    other = Networks(nets.actor, nets.target, nets.target, nets.log_temperature)
    one, two = (_gradient(guide_loss(batch, n), owned[0]) for n in (nets, other))
    return float((one - two).abs().max())


def return_gradient(seed: int) -> float:
    """How that under soft actor-critic's loss changes: what the guide's policy is never told."""
    batch, nets, owned = _learner(seed)
    other = Networks(nets.actor, nets.target, nets.target, nets.log_temperature)
    one, two = (
        _gradient(soft_actor_critic_losses(batch, n, DISCOUNT, 0.5).policy, owned[0]) for n in (nets, other)
    )
    return float((one - two).abs().max())


def _blinded(seed: int, objective: Objective) -> Tensor:
    """How the policy changes if a screen that tells the state, and is worth nothing, is switched off."""
    g = source(seed)
    base, screen = partly_seen(g), distributions(g, 3, 3)
    policies = []
    for shown in (screen, torch.full_like(screen, 1 / 3)):
        model = GenerativeModel(
            A=(base.A[0], shown), B=base.B, C=(base.C[0], torch.zeros(3, dtype=DTYPE)), D=base.D
        )
        policies.append(infer_policies(Plan.of(model, 1, objective), (base.D[0][None],), 4.0).q_pi)
    return (policies[0] - policies[1]).abs().max()


def blind_gap(seed: int) -> float:
    """How a policy of soft control changes when a screen that tells the state is switched off."""
    return float(_blinded(seed, REWARD))


def seeing_gap(seed: int) -> float:
    """How a policy of expected free energy changes then."""
    return float(_blinded(seed, EFE))


CLAIMS = (
    Claim(
        "control as inference",
        "-(E Q + T entropy) of given actions is soft actor-critic's loss and minimises G",
        "free energies of policies have the gradients of soft actor-critic: policy, critic, temperature",
        gradient_gap,
        1e-10,
        guide_gradient_gap,
    ),
    Claim(
        "return of the policy",
        "Minimising that loss maximises the expected return of the policy",
        "its gradient in the policy is the same whatever the values are: none of it comes from the return",
        guide_return_gradient,
        0.0,
        return_gradient,
    ),
    Claim(
        "policy entropy",
        "Entropy regularisation is epistemic value",
        "soft control acts the same when what tells the state is switched off; EFE does not",
        blind_gap,
        1e-10,
        seeing_gap,
    ),
)
