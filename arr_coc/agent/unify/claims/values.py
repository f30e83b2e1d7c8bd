"""Claims about values: expected free energy, Q-values, cost-to-go and reward."""

import torch
from torch import Tensor

from arr_coc.agent.maths import Beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import EFE, REWARD
from arr_coc.agent.planning import Plan, expected_free_energy
from arr_coc.agent.unify.claims.claim import Claim
from arr_coc.agent.unify.dynamic_programming import closed_loop, conditional_plans, open_loop, value_iteration
from arr_coc.agent.unify.problems import DTYPE, partly_seen, seen, source


def _known(model: GenerativeModel) -> Beliefs:
    """Every state, known for sure: one in each row."""
    return (torch.eye(model.n_states[0], dtype=DTYPE),)


def _both_ways(seed: int, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    model = seen(source(seed), deterministic=deterministic)
    q = value_iteration(model.B[0], torch.log_softmax(model.C[0], 0), 4)
    return q, closed_loop(model, _known(model), 4), open_loop(model, _known(model), 4)


def q_gap(seed: int) -> float:
    """Closed-loop G and -Q*, and the return lost by the action of least G."""
    q, G, _ = _both_ways(seed)
    lost = q.amax(1) - q.gather(1, G.argmin(1, keepdim=True))[:, 0]
    return max(float((G + q).abs().max()), float(lost.max()))


def fixed_plan_gap(seed: int) -> float:
    """How much worse the best sequence is than -V*, where transitions are stochastic."""
    q, _, sequences = _both_ways(seed)
    return float((sequences.amin(1) + q.amax(1)).max())


def deterministic_gap(seed: int) -> float:
    """G of the best sequence and -V*, where transitions are deterministic and the state is known."""
    q, _, sequences = _both_ways(seed, deterministic=True)
    return float((sequences.amin(1) + q.amax(1)).abs().max())


def unknown_start_gap(seed: int) -> float:
    """How much worse the best sequence is where transitions are deterministic but the start is not known."""
    model = seen(source(seed), deterministic=True)
    qs = (model.D[0][None],)
    return float((open_loop(model, qs, 4).amin(1) - closed_loop(model, qs, 4).amin(1)).max())


def _apart(of_actions: Tensor) -> float:
    """How far the last axis is from a constant, which would leave every choice as it is."""
    return float((of_actions - of_actions.mean(-1, keepdim=True)).abs().max())


def _curiosity(seed: int, deterministic: bool) -> Tensor:
    """G with information gain, less G without."""
    model = seen(source(seed), deterministic=deterministic)
    curious, plain = (closed_loop(model, _known(model), 3, aim) for aim in (EFE, REWARD))
    return curious - plain


def certain_gap(seed: int) -> float:
    """G with information gain and without: the state is seen, transitions are deterministic."""
    return float(_curiosity(seed, deterministic=True).abs().max())


def chance_gap(seed: int) -> float:
    """How actions differ in what information gain adds to G, where the next state is seen but chance."""
    return _apart(_curiosity(seed, deterministic=False))


def cost_to_go_gap(seed: int) -> float:
    """Closed-loop G at a belief and minus the return of the best conditional plan."""
    model = partly_seen(source(seed))
    belief = model.D[0]
    best = (conditional_plans(model, 3) @ belief).amax(1)
    return float((closed_loop(model, (belief[None],), 3)[0] + best).abs().max())


def _one_step(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    model = partly_seen(source(seed), states=3, obs=3, actions=4)
    plan = Plan.of(model, 1, EFE, detail=True)
    terms = expected_free_energy(plan, (model.D[0][None],))
    predicted = torch.einsum("on,nsa,s->ao", model.A[0], model.B[0], model.D[0])
    reward = predicted @ model.C[0]
    return reward, terms.risk[0], terms.outcome_entropy[0], terms.state_information[0], terms.G[0]


def pragmatic_gap(seed: int) -> float:
    """E r and ln Z - KL[Q(o) || P~(o)] - H[Q(o)], for rewards r = ln P~ + ln Z."""
    reward, risk, entropy, _, _ = _one_step(seed)
    log_z = torch.logsumexp(partly_seen(source(seed), states=3, obs=3, actions=4).C[0], 0)
    return float((reward - (log_z - risk - entropy)).abs().max())


def guide_pragmatic_gap(seed: int) -> float:
    """How actions differ in E r + KL[Q(o) || P~(o)], which the guide takes for a constant."""
    reward, risk, _, _, _ = _one_step(seed)
    return _apart(reward + risk)


def decomposition_gap(seed: int) -> float:
    """G and -utility - information gain, information by its definition E_o KL[q(s|o) || q(s)]."""
    model = partly_seen(source(seed), states=3, obs=3, actions=4)
    reward, _, _, _, G = _one_step(seed)
    joint = torch.einsum("on,nsa,s->aon", model.A[0], model.B[0], model.D[0])
    independent = joint.sum(2, keepdim=True) * joint.sum(1, keepdim=True)
    information = (joint * (joint / independent).log()).sum((1, 2))
    utility = reward - torch.logsumexp(model.C[0], 0)
    return float((G + utility + information).abs().max())


def guide_decomposition_gap(seed: int) -> float:
    """How actions differ in what G is more than the guide's KL[Q(o) || P~(o)] - I(o; s)."""
    _, risk, _, information, G = _one_step(seed)
    return _apart(G - risk + information)


CLAIMS = (
    Claim(
        "EFE and Q-values",
        "Without the epistemic term argmin G = argmax Q, of policies as of actions",
        "G(s, a) = -Q*(s, a); sequences fixed beforehand are never better, and here worse",
        q_gap,
        1e-10,
        fixed_plan_gap,
        "later actions may depend on what is seen by then",
    ),
    Claim(
        "no uncertainty",
        "Without uncertainty about states G(a) = -E r = -Q(s, a)",
        "G is then -Q*; a state that is seen is not enough: what chance decides is information, H[Q(s')]",
        certain_gap,
        1e-10,
        chance_gap,
        "transitions are deterministic as well",
    ),
    Claim(
        "plans as sequences",
        "Planning predicts states under action sequences, evaluates them and selects the best",
        "the best sequence is worth V*",
        deterministic_gap,
        1e-10,
        unknown_start_gap,
        "transitions are deterministic and the state is known",
    ),
    Claim(
        "EFE and cost-to-go",
        "Expected free energy is the cost-to-go of planning",
        "sophisticated inference without the epistemic term is dynamic programming over beliefs",
        cost_to_go_gap,
        1e-10,
    ),
    Claim(
        "pragmatic value",
        "Pragmatic value -KL[Q(o) || P(o)] is expected reward",
        "E r = ln Z - KL[Q(o) || P(o)] - H[Q(o)]",
        pragmatic_gap,
        1e-10,
        guide_pragmatic_gap,
    ),
    Claim(
        "risk and ambiguity",
        "G = E[ln Q(o) - ln P(o)] + E[ln Q(s) - ln Q(s|o)], the risk and the ambiguity",
        "G = -E ln P(o) - I(o; s); the guide's sum has H[Q(o)] twice",
        decomposition_gap,
        1e-10,
        guide_decomposition_gap,
    ),
)
