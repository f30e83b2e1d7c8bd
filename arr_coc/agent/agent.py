"""An agent, or a batch of them, that remembers: what it believes, what it did, what it has learned.

All it does is to call the functions of this package and to keep what they return for the next time:

    agent.infer_states(obs)
    agent.learn()
    agent.infer_policies()
    action = agent.act()
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.action import Precision, Sampling, check_actions, sample_action
from arr_coc.agent.evidence import Observation, Soft, check_observations
from arr_coc.agent.inference import Method, Posterior, infer_posterior
from arr_coc.agent.learning import update_A, update_B, update_D, update_E
from arr_coc.agent.maths import Beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.planner import Judge, Outlook, Planner
from arr_coc.agent.predict import predict_states
from arr_coc.agent.sequence import in_time, independent_pairs, smooth_states

Actions = Int[Tensor, "batch controls"]
Pairs = tuple[Float[Tensor, "batch 1 ..."], ...]


@dataclass(frozen=True)
class Learning:
    """What is learned, and how fast: the weight of one new count, 0 for what is not learned."""

    A: float = 0.0
    B: float = 0.0
    D: float = 0.0
    E: float = 0.0
    forgetting: float = 0.0
    """Share of the old counts that is lost at every update."""
    when: Literal["step", "end"] = "step"
    """A and B at every step, from what was believed then, or at the end, with hindsight.

    D is learned at the end in any case: of the beginning nothing is known but D until more was seen.
    """
    pairs: Literal["exact", "independent"] = "exact"
    """For B at every step: the joint of two states, or the product of what was believed of each at its time,
    which is wrong where they depend on each other, but cheap where the joint of all factors is large."""

    @property
    def hindsight(self) -> bool:
        """Whether anything is learned at the end."""
        return self.D > 0 or (self.when == "end" and (self.A > 0 or self.B > 0))


@dataclass(frozen=True)
class _Step:
    """What is remembered of a step."""

    obs: Sequence[Observation]
    qs: Beliefs
    action: Actions
    outlook: Outlook | None
    """What the action was chosen by; None if another chose."""


@dataclass
class Agent:
    """`batch` agents with the same settings, each with beliefs and actions of its own.

    They learn together if they share the model, each alone if it is one for each: `model.expand(batch)`.
    """

    model: GenerativeModel
    """What is believed of the world; learning replaces it."""
    planner: Planner
    """How policies are judged: `Exhaustive`, `Sophisticated` or `MonteCarlo`."""
    batch: int = 1
    alpha: Precision = math.inf
    """Precision of action: infinity takes the most probable one, see `sample_action`."""
    sampling: Sampling = "marginal"
    learning: Learning = Learning()
    method: Method = "auto"
    """How states are inferred, see `infer_posterior`."""
    soft: Soft = "expected_log"
    """What observations that are weights mean."""
    generator: torch.Generator | None = None
    """Source of all draws."""
    step: int = field(default=0, init=False)
    """How many actions were taken since the last reset."""
    prior: Beliefs = field(init=False, repr=False)
    """What is expected of the states before the next observation."""
    outlook: Outlook | None = field(default=None, init=False, repr=False)
    """What `infer_policies` found since the last action."""
    action: Actions | None = field(default=None, init=False, repr=False)
    """The last one taken."""
    _posterior: Posterior | None = field(default=None, init=False, repr=False)
    _judge: Judge | None = field(default=None, init=False, repr=False)
    _obs: Sequence[Observation] = field(default=(), init=False, repr=False)
    _learned: bool = field(default=False, init=False, repr=False)
    _past: list[_Step] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.model.batch not in (None, self.batch):
            raise ValueError(
                f"the model is one for each of {self.model.batch} agents and batch is {self.batch}: "
                f"give batch={self.model.batch}, or a model that all share"
            )
        for name in ("A", "B", "D", "E"):
            if getattr(self.learning, name) > 0 and getattr(self.model, f"p{name}") is None:
                raise ValueError(f"learning {name} needs counts to start from: give the model p{name}")
        if min(rates := (self.learning.A, self.learning.B, self.learning.D, self.learning.E)) < 0:
            raise ValueError(f"rates of learning must not be negative, got {rates} for A, B, D, E")
        self.reset()

    def reset(self) -> None:
        """Forget what happened, keep what was learned: beliefs are D again."""
        shared = self.model.batch is None
        self.prior = tuple(d.expand(self.batch, -1) if shared else d for d in self.model.D)
        self.step, self.outlook, self.action = 0, None, None
        self._posterior, self._judge, self._learned = None, None, False
        self._obs, self._past = (), []

    @property
    def qs(self) -> Beliefs:
        """What is believed of the states now: after the last observation, or before it."""
        return self.prior if self._posterior is None else self._posterior.qs

    @property
    def F(self) -> Float[Tensor, " batch"]:  # noqa: N802
        """Free energy of the last observation, in nats: how surprising it was."""
        return self._looked().F

    def infer_states(self, obs: Sequence[Observation]) -> Beliefs:
        """Take in what is seen, by Bayes' rule, with what was expected as the prior."""
        check_observations(self.model, obs)
        if any(o is not None and len(o) != self.batch for o in obs):
            sizes = [None if o is None else len(o) for o in obs]
            raise ValueError(f"obs must be of {self.batch} agents in every modality, got {sizes}")
        self._posterior = infer_posterior(self.model, obs, self.prior, self.method, soft=self.soft)
        self._obs, self._learned, self.outlook = obs, False, None
        return self._posterior.qs

    def learn(self) -> None:
        """Count what was seen, the step that led there and the policies that chose it, each at its rate."""
        qs, rates = self._looked().qs, self.learning
        if self._learned:
            raise RuntimeError(
                "this observation was learned from already: call infer_states(obs) with the next"
            )
        self._learned = True
        if rates.E and self._past and (chosen_by := self._past[-1].outlook) is not None:
            self._become(update_E(self.model, chosen_by.q_pi, rates.E, rates.forgetting))
        if rates.when == "end":
            return
        if rates.A:
            now, believed = _in_time([self._obs], self.soft), tuple(q[:, None] for q in qs)
            self._become(update_A(self.model, now, believed, rates.A, rates.forgetting))
        if rates.B and self._past:
            before = self._past[-1]
            action = before.action[:, None]
            self._become(update_B(self.model, self._pairs(before), action, rates.B, rates.forgetting))

    def finish(self) -> None:
        """The episode is over: learn what is learned with hindsight. What comes next is a `reset`."""
        self._looked()
        rates, late = self.learning, self.learning.when == "end"
        if rates.hindsight:
            seen = _in_time([*(step.obs for step in self._past), self._obs], self.soft)
            nothing = torch.zeros(self.batch, 0, self.model.n_controls, dtype=torch.long)
            done = torch.stack([step.action for step in self._past], dim=1) if self._past else nothing
            smoothed = smooth_states(self.model, seen, done.to(self.model.device), soft=self.soft)
            if rates.D:
                start = tuple(q[:, 0] for q in smoothed.qs)
                self._become(update_D(self.model, start, rates.D, rates.forgetting))
            if rates.A and late:
                self._become(update_A(self.model, seen, smoothed.qs, rates.A, rates.forgetting))
            if rates.B and late:
                self._become(update_B(self.model, smoothed.pairs, done, rates.B, rates.forgetting))
        self._posterior = None

    def infer_policies(self) -> Outlook:
        """Judge what might be done from here."""
        if self._judge is None or any(c.ndim - self.model.D[0].ndim == 1 for c in self.model.C):
            self._judge = self.planner(self.model, self.step)
        self.outlook = self._judge(self._looked().qs)
        return self.outlook

    def act(self) -> Actions:
        """Choose among what `infer_policies` judged, and do it."""
        if self.outlook is None:
            raise RuntimeError("an agent chooses among policies: call infer_policies() first")
        action = sample_action(
            self.outlook.q_pi,
            self.outlook.policies,
            self.model.n_actions,
            alpha=self.alpha,
            sampling=self.sampling,
            generator=self.generator,
        )
        self.did(action)
        return action

    def did(self, action: Actions) -> None:
        """Remember an action, also one that another chose: what is expected next follows from it."""
        check_actions(action, self.batch, self.model.n_actions)
        before = _Step(self._obs, self._looked().qs, action, self.outlook)
        # Only hindsight needs more than the last step.
        self._past = [*self._past, before] if self.learning.hindsight else [before]
        self.prior = predict_states(self.model, before.qs, action)
        self.action, self.step = action, self.step + 1
        self._posterior, self.outlook = None, None

    def _pairs(self, before: _Step) -> Pairs:
        """The joint of the states before and after the last action, given all that was seen until now."""
        if self.learning.pairs == "independent":
            return independent_pairs(self.model, in_time([before.qs, self.qs]))
        # What was seen before is in the belief that they begin with.
        two = _in_time([[None] * self.model.n_modalities, self._obs], self.soft)
        return smooth_states(self.model, two, before.action[:, None], before.qs, self.soft).pairs

    def _become(self, model: GenerativeModel) -> None:
        self.model, self._judge = model, None

    def _looked(self) -> Posterior:
        if self._posterior is None:
            raise RuntimeError("nothing was seen since the last action: call infer_states(obs) first")
        return self._posterior


def _in_time(steps: Sequence[Sequence[Tensor | None]], soft: Soft) -> list[Tensor | None]:
    """Observations of several steps along a time axis, those that are None in the form of the others."""
    out: list[Tensor | None] = []
    for of_modality in zip(*steps, strict=True):
        like = next((o for o in of_modality if o is not None), None)
        if like is None:
            out.append(None)
            continue
        nothing = torch.full_like(like, -1 if not like.is_floating_point() else float(soft == "likelihood"))
        out.append(torch.stack([nothing if o is None else o for o in of_modality], dim=1))
    return out
