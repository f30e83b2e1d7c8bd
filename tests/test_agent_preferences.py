"""Learning what is preferred: counts of what was seen, against the evidence of a Dirichlet prior."""

from math import lgamma, log

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.agent import Agent
from arr_coc.agent.experience import Learning
from arr_coc.agent.learning import update_C
from arr_coc.agent.maths import TINY
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.planner import Exhaustive
from tests.agent_models import TWO
from tests.lives import OBSERVATIONS, one_factor

double = torch.double
COUNTS = torch.tensor([0.5, 2.0, 1.0, 1.5], dtype=double)


def with_counts(pC: Tensor | tuple[Tensor, ...] = COUNTS) -> GenerativeModel:
    """The small model, its preferences to be learned from these counts."""
    model = one_factor()
    counts = pC if isinstance(pC, tuple) else (pC,)
    return GenerativeModel(A=model.A, B=model.B, C=counts, pC=counts)


def log_evidence(counts: list[float]) -> float:
    """ln of the beta function of many arguments."""
    return sum(map(lgamma, counts)) - lgamma(sum(counts))


def test_learned_preferences_are_the_predictive_distribution_of_what_was_seen() -> None:
    seen = torch.tensor([[1, 1, 3, 0, 1]])

    learned = update_C(with_counts(), [seen])

    # P(next = o given seen) = evidence(seen and o) / evidence(seen), each under the Dirichlet prior.
    for o in range(4):
        after = [c + (seen == k).sum().item() for k, c in enumerate(COUNTS.tolist())]
        more = [c + (k == o) for k, c in enumerate(after)]
        assert float(learned.C[0][o]) == pytest.approx(log_evidence(more) - log_evidence(after), abs=1e-12)


def test_counts_of_preferences_grow_at_their_rate_and_fade() -> None:
    seen = torch.tensor([[1, 1], [3, -1]])
    weight = torch.tensor([[1.0, 0.5], [1.0, 1.0]], dtype=double)

    learned = update_C(with_counts(), [seen], rate=0.4, forgetting=0.25, weight=weight)

    assert learned.pC is not None
    assert_close(learned.pC[0], 0.75 * COUNTS + 0.4 * torch.tensor([0.0, 1.5, 0.0, 1.0], dtype=double))
    assert_close(learned.C[0], (learned.pC[0] / learned.pC[0].sum()).log())


def test_preferences_over_time_are_learned_each_at_its_time() -> None:
    over_time = COUNTS.expand(5, 4)

    learned = update_C(with_counts(over_time), [torch.tensor([[2, 3]])], first=1)

    grown = over_time.clone()
    grown[1, 2] += 1
    grown[2, 3] += 1
    assert learned.pC is not None
    assert_close(learned.pC[0], grown)
    assert_close(learned.C[0], (grown / grown.sum(1, keepdim=True)).log())


@pytest.mark.parametrize("times", [None, 4])
def test_a_model_for_each_agent_learns_what_each_would_alone(times: int | None) -> None:
    model = with_counts(COUNTS if times is None else COUNTS.repeat(times, 1))
    both = update_C(model.expand(2), [OBSERVATIONS])

    assert both.pC is not None
    for row in range(2):
        alone = update_C(model, [OBSERVATIONS[row : row + 1]])
        assert alone.pC is not None
        assert_close(both.pC[0][row], alone.pC[0])
        assert_close(both.C[0][row], alone.C[0])


def test_weights_count_as_much_as_they_weigh_and_what_was_not_observed_for_nothing() -> None:
    model = TWO.model()
    model = model.replace(pC=tuple(c.exp() for c in model.C))
    seen = TWO.observations(2, 3)
    weights = torch.nn.functional.one_hot(seen[0], TWO.obs[0]).double()

    learned = update_C(model, [weights, None])

    assert learned.pC is not None
    assert model.pC is not None
    assert_close(learned.pC[0], update_C(model, [seen[0], seen[1]]).pC[0])  # type: ignore[index]
    assert torch.equal(learned.pC[1], model.pC[1])


def test_what_is_impossible_stays_unwanted() -> None:
    counts = torch.tensor([0.0, 1.0, 1.0, 2.0], dtype=double)

    learned = update_C(with_counts(counts), [torch.tensor([[0, 1]])])

    assert learned.pC is not None
    assert learned.pC[0].tolist() == [0.0, 2.0, 1.0, 2.0]
    assert float(learned.C[0][0]) == pytest.approx(log(TINY))


def test_an_agent_comes_to_want_what_it_is_used_to() -> None:
    # Action 0 leads to outcome 0, action 1 to outcome 1; at first neither is preferred.
    to = torch.stack([torch.eye(2)[:, [0, 0]], torch.eye(2)[:, [1, 1]]], dim=2)
    model = GenerativeModel(A=torch.eye(2), B=to, C=torch.zeros(2), pC=torch.ones(2))
    agent = Agent(model, Exhaustive(1, gamma=1.0), learning=Learning(C=1.0))

    for _ in range(3):
        agent.infer_states([torch.tensor([1])])
        agent.learn()
        q_pi = agent.infer_policies().q_pi[0]
        agent.did(torch.tensor([[1]]))

    assert agent.model.pC is not None
    assert agent.model.pC[0].tolist() == [1.0, 4.0]
    assert_close(q_pi, torch.tensor([1 / 5, 4 / 5]))  # gamma is 1 and nothing is uncertain


def test_an_agent_learns_preferences_over_time_at_its_own_steps() -> None:
    model = with_counts(COUNTS.repeat(5, 1))
    agent = Agent(model, Exhaustive(1), batch=2, learning=Learning(C=0.5))

    for step in range(4):
        agent.infer_states([OBSERVATIONS[:, step]])
        agent.learn()
        agent.infer_policies()
        agent.act()

    together = update_C(model, [OBSERVATIONS], rate=0.5)
    assert agent.model.pC is not None
    assert together.pC is not None
    assert_close(agent.model.pC, together.pC)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match="the model has no pC: give it Dirichlet counts to learn C"):
        update_C(one_factor().replace(pC=None), [OBSERVATIONS])
    with pytest.raises(
        ValueError, match=r"pC\[0\] has 3 rows over time \(axis 0\) and 4 observations from step 0 take 4"
    ):
        update_C(with_counts(COUNTS.repeat(3, 1)), [OBSERVATIONS])
    with pytest.raises(ValueError, match=r"pC must have the shapes of C, \[\(4,\)\], got \[\(3,\)\]"):
        GenerativeModel(A=one_factor().A, B=one_factor().B, C=COUNTS, pC=COUNTS[:3])
    with pytest.raises(ValueError, match=r"pC\[0\] must hold counts, got -1"):
        GenerativeModel(A=one_factor().A, B=one_factor().B, C=COUNTS, pC=-torch.ones(4, dtype=double))
    with pytest.raises(ValueError, match="rates of learning must not be negative"):
        Learning(C=-1.0)
    with pytest.raises(ValueError, match=r"forgetting must lie in \[0, 1\), got 1.0"):
        Learning(C=1.0, forgetting=1.0)
