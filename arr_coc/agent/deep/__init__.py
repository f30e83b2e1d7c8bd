"""Deep active inference: a model of continuous observations, learned, and action by expected free energy.

An agent that wants to stand in the middle, lives in the world at hand, and learns between episodes:

    middle = GaussianPreference(mean=(0.0, 0.0), std=(1.0, math.inf))
    agent = DeepAgent(ModelShape(obs_dim=2, n_actions=3), middle)
    agent.begin()
    action = agent.act(obs).action                          # (batch,)
    agent.observe(obs, action, next_obs, ended, first)
    agent.standardise()
    agent.learn(updates=100)

Small networks and small batches: all of it runs on the processor.
"""

from arr_coc.agent.deep.agent import Decision, DeepAgent, DeepSettings
from arr_coc.agent.deep.checkpoint import restore, save
from arr_coc.agent.deep.gaussian import Gaussian, cross_entropy, kl_divergence, nll
from arr_coc.agent.deep.information import parameter_information_gain, state_information_gain
from arr_coc.agent.deep.model import DeepModel, FreeEnergy, ModelShape
from arr_coc.agent.deep.planning import Epistemic, ExpectedFreeEnergy, Policies, expected_free_energy, imagine
from arr_coc.agent.deep.preference import (
    GaussianPreference,
    LearnedPreference,
    Preference,
    StepPreference,
    categorical_risk,
)
from arr_coc.agent.deep.replay import Replay
from arr_coc.agent.deep.rules import Rules, RuleSearch
from arr_coc.agent.deep.search import Found, Plans, PlanSearch, Search, search
from arr_coc.agent.deep.value import ValueNet

__all__ = [
    "Decision",
    "DeepAgent",
    "DeepModel",
    "DeepSettings",
    "Epistemic",
    "ExpectedFreeEnergy",
    "Found",
    "FreeEnergy",
    "Gaussian",
    "GaussianPreference",
    "LearnedPreference",
    "ModelShape",
    "PlanSearch",
    "Plans",
    "Policies",
    "Preference",
    "Replay",
    "RuleSearch",
    "Rules",
    "Search",
    "StepPreference",
    "ValueNet",
    "categorical_risk",
    "cross_entropy",
    "expected_free_energy",
    "imagine",
    "kl_divergence",
    "nll",
    "parameter_information_gain",
    "restore",
    "save",
    "search",
    "state_information_gain",
]
