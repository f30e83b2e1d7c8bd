"""The agents of the table: what each wants, how it acts, for how long it learns."""

from dataclasses import dataclass, replace

from arr_coc.agent.deep import (
    DeepAgent,
    DeepSettings,
    Epistemic,
    GaussianPreference,
    LearnedPreference,
    ModelShape,
    PlanSearch,
    Preference,
    RuleSearch,
    StepPreference,
)


@dataclass(frozen=True)
class Row:
    """One agent of ours, whatever its seed."""

    about: str
    settings: DeepSettings
    episodes: int
    preference: Preference | None
    """None: learned from reward and ends."""
    early: int
    """Updates of the model after each of the first ten episodes."""
    late: int
    """Updates of the model after each later episode."""
    value_updates: int = 0
    """Updates of the value network after an episode: one a step, but no more than this."""
    until_solved: bool = False
    """Whether it stops learning once 100 episodes have a mean of 475; `episodes` is then the most it gets."""


@dataclass(frozen=True)
class Task:
    """A world, and the agents that live in it."""

    env: str
    obs_dim: int
    n_actions: int
    rows: dict[str, Row]

    def agent(self, name: str, seed: int) -> DeepAgent:
        """An agent that has lived nothing yet."""
        row = self.rows[name]
        shape = ModelShape(self.obs_dim, self.n_actions, hidden=32, depth=1, least_log_var=-4.0)
        preference = row.preference or LearnedPreference(self.obs_dim, seed=seed)
        return DeepAgent(shape, preference, row.settings, seed)


UPRIGHT = GaussianPreference(mean=(0.0, 0.0, 0.0, 0.0), std=(1.0, 1.5, 0.1, 1.5))
"""Near the middle of the track (m), slow (m/s), upright (rad), not turning (rad/s)."""
FLAG = StepPreference(dim=0, at=0.5, nats=5.0)
"""Right of the flag; no other place is better than any other."""

PLANNING = DeepSettings(rule="plan", search=RuleSearch(), epistemic=Epistemic(parameters=1.0))
BLIND = Epistemic(parameters=0.0)

_efe = Row("planning by expected free energy", PLANNING, 115, UPRIGHT, early=400, late=60)
CARTPOLE = Task(
    "CartPole-v1",
    4,
    2,
    {
        "efe": _efe,
        "no_epistemic": replace(
            _efe, about="the same, the epistemic term off", settings=replace(PLANNING, epistemic=BLIND)
        ),
        "reward_only": replace(
            _efe,
            about="the same search, for reward and against an end, both learned",
            settings=replace(PLANNING, epistemic=BLIND),
            preference=None,
        ),
        "efe_value": Row(
            "no plan: a value network of expected free energy, bootstrapped",
            DeepSettings(rule="value", gamma=5.0, epistemic=Epistemic(parameters=1.0)),
            500,
            UPRIGHT,
            early=100,
            late=30,
            value_updates=200,
            until_solved=True,
        ),
    },
)
EXPLORING = replace(PLANNING, search=PlanSearch(horizon=60, candidates=64, commit=5, hold=12))
"""Twelve steps held, or so, are what it takes to swing."""
_car = Row("a goal never seen, planned for by expected free energy", EXPLORING, 20, FLAG, early=600, late=200)
MOUNTAIN_CAR = Task(
    "MountainCar-v0",
    2,
    3,
    {
        "car_efe": _car,
        "car_no_epistemic": replace(
            _car, about="the same, the epistemic term off", settings=replace(EXPLORING, epistemic=BLIND)
        ),
    },
)
TASKS = (CARTPOLE, MOUNTAIN_CAR)
