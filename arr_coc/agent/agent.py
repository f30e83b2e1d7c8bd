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

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.action import Precision, Sampling, check_actions, sample_action
from arr_coc.agent.evidence import Observation, Soft, check_observations
from arr_coc.agent.experience import NOTHING, Learning, Step, learn_episode, learn_step
from arr_coc.agent.inference import Method, Posterior, infer_posterior
from arr_coc.agent.maths import Beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.planner import Judge, Outlook, Planner
from arr_coc.agent.predict import predict_states

Actions = Int[Tensor, "batch controls"]


@dataclass(eq=False)
class Agent:
    """`batch` agents with the same settings, each with beliefs and actions of its own.

    They learn together if they share the model, each alone if it is one for each: `model.expand(batch)`.
    """

    model: GenerativeModel
    """What is believed of the world; learning replaces it."""
    planner: Planner
    """How policies are judged: `Exhaustive`, `Sophisticated`, `MonteCarlo` or `Retrospective`."""
    batch: int = 1
    alpha: Precision = math.inf
    """Precision of action: infinity takes the most probable one, see `sample_action`."""
    sampling: Sampling = "marginal"
    learning: Learning = NOTHING
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
    _past: list[Step] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.model.batch not in (None, self.batch):
            raise ValueError(
                f"the model is one for each of {self.model.batch} agents and batch is {self.batch}: "
                f"give batch={self.model.batch}, or a model that all share"
            )
        self.learning.check(self.model)
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
        """Learn from what was seen, the step that led there and the policies it was chosen from."""
        now = Step(self._obs, self._looked().qs)
        if self._learned:
            raise RuntimeError(
                "this observation was learned from already: call infer_states(obs) with the next"
            )
        self._learned = True
        before = self._past[-1] if self._past else None
        self._become(learn_step(self.model, self.learning, now, before, self.soft, self.step))

    def finish(self) -> None:
        """The episode is over: learn what is learned with hindsight. What comes next is a `reset`."""
        now = Step(self._obs, self._looked().qs)
        self._become(learn_episode(self.model, self.learning, [*self._past, now], self.soft))
        self._posterior = None

    def infer_policies(self) -> Outlook:
        """Judge what might be done from here."""
        if self._judge is None or self.planner.looks_back or self._changing:
            self._judge = self.planner(self.model, self.step)
        self.outlook = self._judge([*self._past, Step(self._obs, self._looked().qs)])
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
        q_pi = None if self.outlook is None else self.outlook.q_pi
        before = Step(self._obs, self._looked().qs, action, q_pi)
        whole = self.learning.hindsight or self.planner.looks_back
        self._past = [*self._past, before] if whole else [before]
        self.prior = predict_states(self.model, before.qs, action)
        self.action, self.step = action, self.step + 1
        self._posterior, self.outlook = None, None

    @property
    def _changing(self) -> bool:
        """Whether preferences vary over time."""
        return any(c.ndim - self.model.D[0].ndim == 1 for c in self.model.C)

    def _become(self, model: GenerativeModel) -> None:
        if model is not self.model:
            self.model, self._judge = model, None

    def _looked(self) -> Posterior:
        if self._posterior is None:
            raise RuntimeError("nothing was seen since the last action: call infer_states(obs) first")
        return self._posterior
