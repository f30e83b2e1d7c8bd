"""The owner's guide ("Active Inference: PyTorch Implementation Guide"): its names here, and its corrections.

`OURS` says what each name of its sections 2 to 4 and 6 is here. Below, for each formula or listing that the
guide has wrong: what it has, what is right, and why. q = Q(s|pi), A = P(o|s), Q(o) = A q, P~(o) = prod_m
softmax(C_m), H an entropy, all in nats. tests/test_agent_guide*.py show it: the guide's number, the right
one, and ours.

Expected free energy (sections 1, 4, 6)
 1. G = KL[Q(o) || P~(o)] - I(o; s) counts H[Q(o)] twice. By definition G = E_Q(o,s) [ln q(s) - ln q(s|o) -
    ln P~(o)]. The first two terms are -I(o; s); the last is -E ln P~(o) = KL[Q(o) || P~] + H[Q(o)]; and I =
    H[Q(o)] - E_q H[A]. So G = -utility - information gain = risk + ambiguity = KL[Q(o) || P~] + E_q H[A].
    The guide's is less by H[Q(o)], a bonus for noise: it leaves a sure, preferred outcome for a screen that
    shows nothing but noise.
 2. "-information gain = -H[P(o|s)] + H[Q(o)]" has the sign turned: it is E_q H[A] - H[Q(o)].
 3. "E[r] is -KL[Q(o) || P~]": with r = ln P~ + ln Z, E[r] = ln Z - KL[Q(o) || P~] - H[Q(o)].
 4. Risk and information gain summed over modalities: outcomes are independent given s, not otherwise. With
    TC, the total correlation sum_m H[Q(o_m)] - H[Q(o)], risk = sum_m risk_m + TC and I = sum_m I_m - TC.
    The joint is the default here, the sum an option (`information="per_modality"`).
 5. Q(pi) = softmax(-gamma G) forgets habit and the past: KL[Q || E] + E_Q[F + gamma G] is lowest at
    softmax(ln E - F - gamma G).
 6. "argmin G = argmax Q" of a plan: actions fixed beforehand cannot react to what is seen. G(s, a) = g(s,
    a) + E min_a' G(s', a') of what one would do then is -Q*, with the expectation outside the minimum; for
    a fixed plan it is inside. The two agree where nothing is left to chance.

Perception (section 3)
 7. A' ln(onehot(o) + eps) = 36.8 A[o, s] + const for eps = 1e-16: a probability where its logarithm
    belongs. Bayes' rule asks for ln A[o, s].
 8. `tensordot(result, q_f, dims=([f if f < factor else f - 1], [0]))` counts axes as if none had been
    summed out yet. An expectation over every factor but one is taken by name.
 9. ln E_q[A]: setting dF/dq_f = 0 for F = E_q[ln q - ln p(s) - ln A] gives
    ln q_f = ln p_f + E_q(others)[ln A] + const. The logarithm of the expectation raises the lowest F again.
10. All factors updated at once, from the old beliefs: F may rise and beliefs oscillate. In turn, each from
    the newest beliefs, every update is the exact minimum in one factor, so that F cannot rise; and it ends
    when F stops falling.
11. The prior of every step is D: it is B(a) q of the step before, and D at the first only.
12. "ln B q": the filter's prior is ln(B q). By Jensen's inequality (ln B) q is less, by an amount that
    depends on the state.
13. No free energy, no missing or uncertain observation, no batch; 16 sweeps where one factor needs one.

Policies and action (section 4)
14. a = argmax_a sum_pi Q(pi) [pi_1 = a] in the text, a policy drawn from Q(pi) in the code. Both are here
    (`sampling`), with a precision (`alpha`).
15. A Python loop over policies with `.item()`: work is done once for each distinct beginning of the
    policies, and marginals are summed by index.

Numbers and code (sections 2, 4, 6)
16. `self.qs = [d.clone() for d in D]` takes D from before it was moved: beliefs come from the model's own
    D.
17. ln(x + 1e-16): in half precision 1e-16 is 0, and 0 ln 0 is NaN. The floor is the dtype's own.
18. `kl_divergence` and `entropy` sum over everything, the batch too: only the axis of outcomes is summed.
19. "A[m][o, s] = P(o_m | s_m)": a modality depends on all factors, or on those that `A_factors` names.
20. `softmax(A q)` of what is a distribution already flattens it: of 100 outcomes a certain one becomes
    0.027, its entropy 4.595 where ln 100 = 4.605, and the information gain nearly a constant.
21. `softmax(C).log()` is -inf where C spans more than the dtype does; `log_softmax(C)` is not.
22. `torch.compile(mode="reduce-overhead")` on a method: that mode overwrites its outputs at the next call,
    and compiling starts while the class is defined. `compiled(plan)` compiles when it is asked to.
23. `GradScaler` without a training, autocast for CUDA whatever the device, checkpoints where no gradient is
    asked for, and a `compute_efe_batch` that is called and nowhere defined. Plans are computed in chunks of
    `chunk` entries, and again in the backward pass only if there is one.
24. A table of times and ratios without a source: this package's have a command and a file.
"""

from collections.abc import Callable, Mapping
from typing import Any

from arr_coc.agent.action import action_marginals, sample_action
from arr_coc.agent.agent import Agent
from arr_coc.agent.inference import infer_states
from arr_coc.agent.maths import entropy, kl_divergence, log_stable
from arr_coc.agent.mean_field import sweep
from arr_coc.agent.planning import Plan, expected_free_energy, infer_policies
from arr_coc.agent.predict import predict_obs, predict_states

OURS: Mapping[str, Callable[..., Any]] = {
    "ActiveInferenceAgent": Agent,
    "ActiveInferenceAgent.reset": Agent.reset,
    "ActiveInferenceAgent.infer_states": infer_states,
    "ActiveInferenceAgent._marginalize_likelihood": sweep,
    "ActiveInferenceAgent.predict_states": predict_states,
    "ActiveInferenceAgent.compute_expected_free_energy": expected_free_energy,
    "ActiveInferenceAgent._predict_observation": predict_obs,
    "ActiveInferenceAgent._expected_obs_entropy": expected_free_energy,
    "ActiveInferenceAgent.infer_policies": infer_policies,
    "ActiveInferenceAgent.sample_action": sample_action,
    "ActiveInferenceAgent.get_action_probabilities": action_marginals,
    "OptimizedActiveInference.batched_efe_computation": infer_policies,
    "memory_efficient_efe": Plan.of,
    "log_stable": log_stable,
    "kl_divergence": kl_divergence,
    "entropy": entropy,
}
"""What does here what the guide's name does there. Ambiguity is a term of `expected_free_energy`;
`infer_policies` takes all policies of all agents at once; `Plan.of` is told the `chunk` to hold in memory."""
