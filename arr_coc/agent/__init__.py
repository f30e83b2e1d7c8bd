"""Discrete active inference: perception, learning, planning and action as functions over tensors.

Everything is batch first and differentiable. A `GenerativeModel` says what the world is like; functions
infer, predict and learn with it, and return what they found.
"""

from arr_coc.agent.action import action_log_prob, action_marginals, joint_action_marginals, sample_action
from arr_coc.agent.agent import Agent
from arr_coc.agent.counterfactual import Counterfactual, Mixed, update_bias, update_mapping
from arr_coc.agent.desirability import update_desirability
from arr_coc.agent.dynamic import DynamicProgramming, Induction, dynamic_policies
from arr_coc.agent.evidence import Observation, check_observations, log_likelihood
from arr_coc.agent.experience import Learning
from arr_coc.agent.fit import Fit, fit_behaviour
from arr_coc.agent.following import Followed, follow_policies, model_average
from arr_coc.agent.hierarchy import Context, Goal, Hierarchy, HierarchyRecord, live
from arr_coc.agent.inductive import Intention
from arr_coc.agent.inference import Posterior, free_energy, infer_posterior, infer_states
from arr_coc.agent.learning import parameter_divergence, update_A, update_B, update_C, update_D, update_E
from arr_coc.agent.marginal import marginal_messages
from arr_coc.agent.maths import Beliefs
from arr_coc.agent.mcts import monte_carlo_policies
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.names import Axes, Given, named
from arr_coc.agent.objective import EFE, FEEF, INFORMATION, KL_CONTROL, REWARD, ExpectedFreeEnergy, Objective
from arr_coc.agent.planner import Exhaustive, MonteCarlo, Outlook, Planner, Sophisticated
from arr_coc.agent.planning import (
    Plan,
    PolicyPosterior,
    compiled,
    expected_free_energy,
    infer_policies,
    policy_posterior,
)
from arr_coc.agent.policies import all_policies, repeated_policies
from arr_coc.agent.precision import Precision, infer_precision
from arr_coc.agent.predict import predict_obs, predict_states
from arr_coc.agent.reduction import log_evidence_gain, prune, reduced_posterior
from arr_coc.agent.retrospective import Retrospective
from arr_coc.agent.rollout import Record, behaviour_log_likelihood, rollout
from arr_coc.agent.sequence import Filtered, Smoothed, filter_states, independent_pairs, smooth_states
from arr_coc.agent.sophisticated import Search, Tree, sophisticated_policies
from arr_coc.agent.window import Window, variational_messages, window_free_energy
from arr_coc.agent.worth import Worth

__all__ = [
    "EFE",
    "FEEF",
    "INFORMATION",
    "KL_CONTROL",
    "REWARD",
    "Agent",
    "Axes",
    "Beliefs",
    "Context",
    "Counterfactual",
    "DynamicProgramming",
    "Exhaustive",
    "ExpectedFreeEnergy",
    "Filtered",
    "Fit",
    "Followed",
    "GenerativeModel",
    "Given",
    "Goal",
    "Hierarchy",
    "HierarchyRecord",
    "Induction",
    "Intention",
    "Learning",
    "Mixed",
    "MonteCarlo",
    "Objective",
    "Observation",
    "Outlook",
    "Plan",
    "Planner",
    "PolicyPosterior",
    "Posterior",
    "Precision",
    "Record",
    "Retrospective",
    "Search",
    "Smoothed",
    "Sophisticated",
    "Tree",
    "Window",
    "Worth",
    "action_log_prob",
    "action_marginals",
    "all_policies",
    "behaviour_log_likelihood",
    "check_observations",
    "compiled",
    "dynamic_policies",
    "expected_free_energy",
    "filter_states",
    "fit_behaviour",
    "follow_policies",
    "free_energy",
    "independent_pairs",
    "infer_policies",
    "infer_posterior",
    "infer_precision",
    "infer_states",
    "joint_action_marginals",
    "live",
    "log_evidence_gain",
    "log_likelihood",
    "marginal_messages",
    "model_average",
    "monte_carlo_policies",
    "named",
    "parameter_divergence",
    "policy_posterior",
    "predict_obs",
    "predict_states",
    "prune",
    "reduced_posterior",
    "repeated_policies",
    "rollout",
    "sample_action",
    "smooth_states",
    "sophisticated_policies",
    "update_A",
    "update_B",
    "update_C",
    "update_D",
    "update_E",
    "update_bias",
    "update_desirability",
    "update_mapping",
    "variational_messages",
    "window_free_energy",
]
