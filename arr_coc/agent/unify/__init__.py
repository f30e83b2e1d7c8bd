"""Active inference, control, planning and filtering: where they are one, and where they are not.

Section 7 of the owner's guide ("Train station") says that they are the same computation. Here both sides of
each equation are functions of their own, and `CLAIMS` holds what is said, what is true, and how far each is
off on a random problem. `python -m arr_coc.eval.unification` measures all of them.

    demonstrate_efe_q_equivalence           value_iteration, closed_loop, open_loop, conditional_plans
    efe_as_soft_q                           efe_as_soft_q
    demonstrate_filtering_equivalence       filter_by_errors, kalman_filter, least_free_energy, rts_smoother
    PlanningAsInference                     value_of, SEARCHERS, expected_income
    control_as_inference_loss               control_as_inference_losses, soft_actor_critic_losses
    thompson_sampling_as_active_inference   expected_softmax, probability_of_best, thompson, regret
"""

from arr_coc.agent.unify.bandits import (
    expected_free_energy_of_arms,
    expected_softmax,
    greedy,
    least_free_energy_arm,
    probability_of_best,
    regret,
    softmax_of_means,
    thompson,
    ucb1,
    ucb_bonus,
)
from arr_coc.agent.unify.claims import CLAIMS, Claim, Judged
from arr_coc.agent.unify.control import (
    Losses,
    Networks,
    Transitions,
    control_as_inference_losses,
    soft_actor_critic_losses,
)
from arr_coc.agent.unify.dynamic_programming import closed_loop, conditional_plans, open_loop, value_iteration
from arr_coc.agent.unify.filtering import Paths, all_paths
from arr_coc.agent.unify.gaussian import (
    GaussianBeliefs,
    filter_by_errors,
    gaussian_information,
    kalman_filter,
    least_free_energy,
    rts_smoother,
)
from arr_coc.agent.unify.planning import SEARCHERS, Searcher, expected_income, returns, value_of
from arr_coc.agent.unify.problems import LinearGaussian
from arr_coc.agent.unify.soft import SoftQ, efe_as_soft_q, posterior_fixed_point, soft_value_iteration

__all__ = [
    "CLAIMS",
    "SEARCHERS",
    "Claim",
    "GaussianBeliefs",
    "Judged",
    "LinearGaussian",
    "Losses",
    "Networks",
    "Paths",
    "Searcher",
    "SoftQ",
    "Transitions",
    "all_paths",
    "closed_loop",
    "conditional_plans",
    "control_as_inference_losses",
    "efe_as_soft_q",
    "expected_free_energy_of_arms",
    "expected_income",
    "expected_softmax",
    "filter_by_errors",
    "gaussian_information",
    "greedy",
    "kalman_filter",
    "least_free_energy",
    "least_free_energy_arm",
    "open_loop",
    "posterior_fixed_point",
    "probability_of_best",
    "regret",
    "returns",
    "rts_smoother",
    "soft_actor_critic_losses",
    "soft_value_iteration",
    "softmax_of_means",
    "thompson",
    "ucb1",
    "ucb_bonus",
    "value_iteration",
    "value_of",
]
