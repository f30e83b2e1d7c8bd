"""Claims about control as inference: soft actor-critic, soft Q-learning, the temperature, the entropy."""

import torch
from torch import Tensor, nn

from arr_coc.agent.action import action_marginals
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import EFE, REWARD, Objective
from arr_coc.agent.planning import Plan, infer_policies
from arr_coc.agent.sophisticated import Search, Tree, sophisticated_policies
from arr_coc.agent.unify.claims.claim import Claim
from arr_coc.agent.unify.control import (
    Losses,
    Networks,
    Transitions,
    control_as_inference_losses,
    guide_loss,
    soft_actor_critic_losses,
)
from arr_coc.agent.unify.problems import DTYPE, distributions, partly_seen, seen, source
from arr_coc.agent.unify.soft import efe_as_soft_q, posterior_fixed_point, soft_value_iteration

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
    owned = [list(actor.parameters()), list(critic.parameters()), [log_temperature]]
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
    """What of the policy's gradient under the guide's loss changes when every value is another."""
    batch, nets, owned = _learner(seed)
    other = Networks(nets.actor, nets.target, nets.target, nets.log_temperature)
    one, two = (_gradient(guide_loss(batch, n), owned[0]) for n in (nets, other))
    return float((one - two).abs().max())


def return_gradient(seed: int) -> float:
    """The same under soft actor-critic's: what the guide's policy is never told."""
    batch, nets, owned = _learner(seed)
    other = Networks(nets.actor, nets.target, nets.target, nets.log_temperature)
    one, two = (
        _gradient(soft_actor_critic_losses(batch, n, DISCOUNT, 0.5).policy, owned[0]) for n in (nets, other)
    )
    return float((one - two).abs().max())


def soft_q_gap(seed: int) -> float:
    """softmax(gamma Q) at soft Q-learning's fixed point, and the posterior that is its own future."""
    model, gamma = seen(source(seed)), 0.5 + seed % 7
    reward = torch.log_softmax(model.C[0], 0)
    q = soft_value_iteration(model.B[0], reward, gamma, 600, DISCOUNT)
    pi = posterior_fixed_point(model.B[0], reward, gamma, DISCOUNT)
    return float((torch.softmax(gamma * q, 1) - pi).abs().max())


def sophisticated_soft_gap(seed: int) -> float:
    """The same policy of a few steps, and sophisticated inference, whose later values are E_q_pi G."""
    model, gamma = seen(source(seed)), 0.5 + seed % 7
    q = soft_value_iteration(model.B[0], torch.log_softmax(model.C[0], 0), gamma, 3)
    tree = Tree.of(model, Search(3, REWARD, least_action=0.0, least_branch=0.0))
    q_pi = sophisticated_policies(tree, (torch.eye(4, dtype=DTYPE),), gamma).q_pi
    return float((torch.softmax(gamma * q, 1) - q_pi).abs().max())


def _sequences(seed: int, deterministic: bool) -> float:
    model, gamma = seen(source(seed), deterministic=deterministic), 0.5 + seed % 7
    plan = Plan.of(model, 4, REWARD)
    q_pi = infer_policies(plan, (torch.eye(4, dtype=DTYPE),), gamma).q_pi
    (first,) = action_marginals(q_pi, plan.policies, model.n_actions)
    q = soft_value_iteration(model.B[0], torch.log_softmax(model.C[0], 0), gamma, 4)
    return float((torch.softmax(gamma * q, 1) - first).abs().max())


def sequence_gap(seed: int) -> float:
    """The posterior over action sequences, summed by first action, and soft Q: transitions deterministic."""
    return _sequences(seed, deterministic=True)


def stochastic_sequence_gap(seed: int) -> float:
    """The same where transitions are stochastic."""
    return _sequences(seed, deterministic=False)


def temperature_gap(seed: int) -> float:
    """Free energy E G - T H of the policy of `efe_as_soft_q`, and its closed form; others' have more."""
    g = source(seed)
    q, bonus, others = (torch.randn(5, ACTIONS, generator=g, dtype=DTYPE) for _ in range(3))
    temperature = 0.2 + seed % 5
    told = efe_as_soft_q(q, bonus, temperature)

    def free_energy(pi: Tensor) -> Tensor:
        return (pi * (temperature * pi.log() - q - bonus)).sum(1)

    short = (told.F - free_energy(torch.softmax(others, 1))).clamp_min(0)
    return float(torch.maximum((free_energy(told.q_pi) - told.F).abs(), short).max())


def guide_temperature_gap(seed: int) -> float:
    """Probabilities under softmax(-G), which knows nothing of the temperature, and under softmax(-G / T)."""
    g = source(seed)
    q, bonus = (torch.randn(5, ACTIONS, generator=g, dtype=DTYPE) for _ in range(2))
    told = efe_as_soft_q(q, bonus, 0.2 + seed % 5)
    return float((told.q_pi - torch.softmax(-told.G, 1)).abs().max())


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
    """Of soft control, whose exploration is the entropy of its policy."""
    return float(_blinded(seed, REWARD))


def seeing_gap(seed: int) -> float:
    """Of expected free energy."""
    return float(_blinded(seed, EFE))


CLAIMS = (
    Claim(
        "control as inference",
        "-(E Q + T entropy) of replayed actions is soft actor-critic's loss and minimises G",
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
        "soft Q-learning",
        "Policy inference Q(pi) ~ exp(-G) is policy optimisation",
        "softmax(-gamma G) is the fixed point of soft Q-learning; that of sophisticated inference is not",
        soft_q_gap,
        1e-10,
        sophisticated_soft_gap,
        "later choices count as their free energy, -ln sum exp(-gamma G) / gamma",
    ),
    Claim(
        "posterior over sequences",
        "Q(pi) ~ exp(-gamma G(pi)) over action sequences chooses as a soft-optimal controller does",
        "its marginal over first actions is the soft-Q policy",
        sequence_gap,
        1e-10,
        stochastic_sequence_gap,
        "transitions are deterministic and the state is known",
    ),
    Claim(
        "efe_as_soft_q",
        "efe_as_soft_q(Q, bonus, temperature) converts Q-values to EFE, whatever the temperature",
        "softmax(-G / temperature) has the least E G - temperature H",
        temperature_gap,
        1e-10,
        guide_temperature_gap,
        "gamma is 1 / temperature",
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
