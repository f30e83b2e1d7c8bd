"""Every public function has the gradients of finite differences, or a reason to have none."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from arr_coc import agent as core
from arr_coc.agent import Agent, Exhaustive, GenerativeModel, Plan, Search, Tree
from tests.agent_models import World

WORLD = World(states=(2, 2), obs=(3, 2), actions=(2, 2))
SEEN = [WORLD.observations(2)[0], None]
SEEN_IN_TIME = WORLD.observations(2, 3)
DONE = WORLD.moves(2, 2)
NO_GRADIENT = {
    "all_policies": "counts",
    "check_observations": "says yes or no",
    "compiled": "makes a function",
    "fit_behaviour": "searches",
    "live": "acts in a world",
    "monte_carlo_policies": "draws",
    "named": "translates names",
    "repeated_policies": "counts",
    "rollout": "acts in a world",
    "sample_action": "draws",
}


@dataclass(frozen=True)
class Point:
    """What functions are differentiated in: a model of logits and counts, and beliefs of logits."""

    model: GenerativeModel
    qs: tuple[Tensor, ...]
    counts: Tensor

    @classmethod
    def of(cls, a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor, q: Tensor, counts: Tensor) -> "Point":
        rest = WORLD.model()
        model = rest.replace(
            A=(a.softmax(0), rest.A[1]),
            B=(b.softmax(0), rest.B[1]),
            C=(c, rest.C[1]),
            D=(d.softmax(0), rest.D[1]),
            E=e.softmax(0),
            pA=(a.exp(), *(rest.pA or ())[1:]),
            pB=(b.exp(), *(rest.pB or ())[1:]),
            pC=(c.exp(), rest.C[1].exp()),
            pD=(d.exp(), *(rest.pD or ())[1:]),
            pE=e.exp(),
        )
        return cls(model, (q.softmax(1), WORLD.beliefs(2)[1]), counts.exp())

    @property
    def q_pi(self) -> Tensor:
        """Posteriors over the four policies of one step."""
        return torch.cat([self.qs[0], self.qs[0].flip(0)], dim=1) / 2

    @property
    def trajectory(self) -> tuple[Tensor, ...]:
        """Beliefs over three steps."""
        return tuple(torch.stack([q, q.flip(0), q], dim=1) for q in self.qs)


def window(p: Point) -> tuple:
    return p.model, SEEN_IN_TIME, DONE, p.qs


def learned(model: GenerativeModel, name: str) -> tuple[Tensor, ...]:
    """Counts and what they mean, of the first tensor: the others depend on nothing that is varied."""
    counts, means = getattr(model, f"p{name}"), getattr(model, name)
    return (counts, means) if isinstance(counts, Tensor) else (counts[0], means[0])


def followed(p: Point) -> tuple[Tensor, ...]:
    now = core.follow_policies(p.model, SEEN_IN_TIME, DONE[:, :1].repeat(2, 2, 1), 2.0, "inferred")[-1]
    return (*now.average, now.F, now.G, now.q_pi, now.gamma)


def behaved(p: Point) -> Tensor:
    model = p.model.replace(pA=None, pB=None)
    agent = Agent(model, Exhaustive(1, gamma=2.0), batch=2, alpha=1.5)
    return core.behaviour_log_likelihood(agent, SEEN_IN_TIME, DONE)


def settled(p: Point) -> tuple[Tensor, ...]:
    found = core.infer_precision(p.counts, p.q_pi, p.model.E, iterations=4)
    return found.q_pi, found.gamma


POLICIES = core.all_policies((2, 2), 1)
CASES: dict[str, Callable[[Point], Tensor | tuple[Tensor, ...]]] = {
    "action_log_prob": lambda p: core.action_log_prob(DONE[:, 0], p.q_pi.log(), POLICIES, (2, 2), alpha=2.0),
    "action_marginals": lambda p: core.action_marginals(p.q_pi, POLICIES, (2, 2)),
    "behaviour_log_likelihood": behaved,
    "dynamic_policies": lambda p: tuple(
        core.dynamic_policies(core.Induction.of(p.model.replace(E=None, pA=None, pB=None), 2, 2.0), p.qs)
    ),
    "expected_free_energy": lambda p: (
        core.expected_free_energy(Plan.of(p.model.replace(E=None), 2, detail=True), p.qs).G
    ),
    "filter_states": lambda p: (
        *(f := core.filter_states(*window(p), "mean_field", 3, 0.0)).qs,
        *f.prior,
        f.F,
    ),
    "follow_policies": followed,
    "free_energy": lambda p: core.free_energy(p.model, SEEN, p.qs, p.model.expand(2).D).F,
    "independent_pairs": lambda p: core.independent_pairs(p.model, p.trajectory),
    "infer_policies": lambda p: tuple(core.infer_policies(p.model, p.qs, 2.0, p.counts)),
    "infer_posterior": lambda p: (core.infer_posterior(p.model, SEEN, p.qs).F,),
    "infer_precision": settled,
    "infer_states": lambda p: core.infer_states(p.model, SEEN, p.qs),
    "joint_action_marginals": lambda p: core.joint_action_marginals(p.q_pi, POLICIES, (2, 2)),
    "log_evidence_gain": lambda p: core.log_evidence_gain(p.counts + 2, p.counts, p.counts / 2, 1),
    "log_likelihood": lambda p: tuple(t.log for t in core.log_likelihood(p.model, SEEN)),
    "marginal_messages": lambda p: (*(w := core.marginal_messages(*window(p), iterations=3)).qs, w.F),
    "model_average": lambda p: core.model_average([p.trajectory[0][:, None].expand(-1, 4, 3, 2)], p.q_pi),
    "parameter_divergence": lambda p: core.parameter_divergence([p.counts + 1], [p.counts]),
    "policy_posterior": lambda p: core.policy_posterior(p.counts, 2.0, p.model.E, p.q_pi),
    "predict_obs": lambda p: core.predict_obs(p.model, p.qs),
    "predict_states": lambda p: core.predict_states(p.model, p.qs, DONE[:, 0]),
    "prune": lambda p: (
        (r := core.prune(p.counts + torch.tensor([9.0, 9.0, 0.0, 0.0]).double(), p.counts, 1, 0.2)).posterior,
        r.gain,
    ),
    "reduced_posterior": lambda p: core.reduced_posterior(p.counts + 2, p.counts, p.counts / 2),
    "smooth_states": lambda p: (*(s := core.smooth_states(*window(p))).qs, *s.pairs, s.F),
    "sophisticated_policies": lambda p: tuple(
        core.sophisticated_policies(
            Tree.of(p.model, Search(2, least_action=0.0, least_branch=0.0)), p.qs, 2.0, p.counts
        )
    ),
    "update_A": lambda p: learned(core.update_A(p.model, SEEN_IN_TIME, p.trajectory, 0.5, 0.1), "A"),
    "update_B": lambda p: learned(
        core.update_B(p.model, core.independent_pairs(p.model, p.trajectory), DONE, 0.5, 0.1), "B"
    ),
    "update_C": lambda p: learned(core.update_C(p.model, [p.trajectory[0] @ weigh(p), None], 0.5, 0.1), "C"),
    "update_D": lambda p: learned(core.update_D(p.model, p.qs, 0.5, 0.1), "D"),
    "update_E": lambda p: learned(core.update_E(p.model, p.q_pi, 0.5, 0.1), "E"),
    "update_bias": lambda p: core.update_bias(p.q_pi[0], p.q_pi[1], p.q_pi[0], p.q_pi[1]),
    "update_desirability": lambda p: core.update_desirability(
        p.q_pi[0], DONE[:, 0, 0], DONE[:, 0, 0] + 1, p.counts[0, :2]
    ),
    "update_mapping": lambda p: core.update_mapping(p.counts, p.q_pi, torch.tensor([0, 1]), p.qs[0][:, 0]),
    "variational_messages": lambda p: (
        *(w := core.variational_messages(*window(p), iterations=2, tolerance=0.0)).qs,
        w.F,
    ),
    "window_free_energy": lambda p: core.window_free_energy(p.model, SEEN_IN_TIME, DONE, p.trajectory, p.qs),
}


def weigh(p: Point) -> Tensor:
    """Weights of outcomes, from states."""
    return p.model.A[0][:, :, 0].T


def test_every_public_function_is_checked_or_excused() -> None:
    functions = {name for name in core.__all__ if inspect.isfunction(getattr(core, name))}

    assert CASES.keys() | NO_GRADIENT.keys() == functions
    assert not CASES.keys() & NO_GRADIENT.keys()


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    draw = torch.Generator().manual_seed(0)
    shapes = [(3, 2, 2), (2, 2, 2), (3,), (2,), (4,), (2, 2), (2, 4)]
    point = [torch.randn(s, generator=draw, dtype=torch.double).requires_grad_() for s in shapes]

    def values(*inputs: Tensor) -> tuple[Tensor, ...]:
        out = CASES[name](Point.of(*inputs))
        return (out,) if isinstance(out, Tensor) else tuple(out)

    assert any(out.requires_grad for out in values(*point))
    assert torch.autograd.gradcheck(values, point, fast_mode=True)
