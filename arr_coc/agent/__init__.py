"""Discrete active inference: perception, learning, planning and action as functions over tensors.

Everything is batch first and differentiable. A `GenerativeModel` says what the world is like; functions
infer, predict and learn with it, and return what they found.
"""

from arr_coc.agent.evidence import Observation, check_observations, log_likelihood
from arr_coc.agent.inference import Posterior, free_energy, infer_posterior, infer_states
from arr_coc.agent.learning import parameter_divergence, update_A, update_B, update_D, update_E
from arr_coc.agent.marginal import marginal_messages
from arr_coc.agent.maths import Beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.names import Axes, Given, named
from arr_coc.agent.precision import Precision, infer_precision
from arr_coc.agent.predict import predict_obs, predict_states
from arr_coc.agent.reduction import log_evidence_gain, prune, reduced_posterior
from arr_coc.agent.sequence import Filtered, Smoothed, filter_states, independent_pairs, smooth_states
from arr_coc.agent.window import Window, variational_messages, window_free_energy

__all__ = [
    "Axes",
    "Beliefs",
    "Filtered",
    "GenerativeModel",
    "Given",
    "Observation",
    "Posterior",
    "Precision",
    "Smoothed",
    "Window",
    "check_observations",
    "filter_states",
    "free_energy",
    "independent_pairs",
    "infer_posterior",
    "infer_precision",
    "infer_states",
    "log_evidence_gain",
    "log_likelihood",
    "marginal_messages",
    "named",
    "parameter_divergence",
    "predict_obs",
    "predict_states",
    "prune",
    "reduced_posterior",
    "smooth_states",
    "update_A",
    "update_B",
    "update_D",
    "update_E",
    "variational_messages",
    "window_free_energy",
]
