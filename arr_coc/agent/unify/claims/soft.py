"""Claims about choosing at random, better options more often: soft Q-learning and policy posteriors."""

import torch
from torch import Tensor

from arr_coc.agent.action import action_marginals
from arr_coc.agent.objective import REWARD
from arr_coc.agent.planning import Plan, infer_policies
from arr_coc.agent.sophisticated import Search, Tree, sophisticated_policies
from arr_coc.agent.unify.claims.claim import Claim
from arr_coc.agent.unify.problems import DTYPE, seen, source
from arr_coc.agent.unify.soft import efe_as_soft_q, posterior_fixed_point, soft_value_iteration

ACTIONS, DISCOUNT = 4, 0.95


def soft_q_gap(seed: int) -> float:
    """softmax(gamma Q) at soft Q-learning's fixed point, and the posterior that is its own future."""
    model, gamma = seen(source(seed)), 0.5 + seed % 7
    reward = torch.log_softmax(model.C[0], 0)
    q = soft_value_iteration(model.B[0], reward, gamma, 600, DISCOUNT)
    pi = posterior_fixed_point(model.B[0], reward, gamma, DISCOUNT)
    return float((torch.softmax(gamma * q, 1) - pi).abs().max())


def sophisticated_soft_gap(seed: int) -> float:
    """Soft Q of three steps, and sophisticated inference, whose later values are E_q_pi G: probabilities."""
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
    """That posterior and soft Q where transitions are stochastic."""
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


CLAIMS = (
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
)
