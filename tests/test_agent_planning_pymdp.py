"""pymdp 1.0.4 as an oracle of G and q_pi, and its defects that this planner does not share."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.agent.objective import Objective
from arr_coc.agent.planning import Plan, expected_free_energy, infer_policies
from arr_coc.agent.policies import all_policies
from arr_coc.agent.sophisticated import Search, Tree, sophisticated_policies
from tests.agent_models import beliefs, model_of

pytest.importorskip("pymdp", reason="the oracle is the extra `bench`: inferactively-pymdp")
import jax
from pymdp.agent import Agent

SHAPES, EACH = 20, 25
"""500 models: so many shapes, which pymdp compiles once each, and so many models of each."""


@dataclass(frozen=True)
class Shape:
    """Of a model: 1 to 4 factors and modalities, horizon 1 to 4."""

    states: tuple[int, ...]
    outcomes: tuple[int, ...]
    actions: tuple[int, ...]
    horizon: int
    A_factors: tuple[tuple[int, ...], ...]

    @classmethod
    def draw(cls, seed: int) -> "Shape":
        """Every number of factors, modalities and steps occurs in four of twenty seeds or more."""
        r = random.Random(seed)
        factors, modalities, horizon = 1 + seed % 4, 1 + (seed // 4 + seed) % 4, 1 + (seed // 5) % 4
        states = tuple(r.randint(2, 3) for _ in range(factors))
        actions = tuple(2 if f < 2 else 1 for f in range(factors))
        A_factors = tuple(
            tuple(sorted(r.sample(range(factors), r.randint(1, min(factors, 3))))) for _ in range(modalities)
        )
        return cls(states, tuple(r.randint(2, 3) for _ in range(modalities)), actions, horizon, A_factors)


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("seed", range(SHAPES))
def test_five_hundred_models_agree_with_pymdp_and_joint_information_differs_by_total_correlation(
    seed: int,
) -> None:
    shape = Shape.draw(seed)
    models = [
        model_of(100 * seed + i, shape.states, shape.outcomes, shape.actions, shape.A_factors)
        for i in range(EACH)
    ]
    qs = beliefs(seed, shape.states, EACH)
    policies = all_policies(shape.actions, shape.horizon)
    E = torch.softmax(
        torch.randn(EACH, len(policies), generator=torch.Generator().manual_seed(seed)).double(), 1
    )
    both = models[0].expand(EACH)
    stacked = {
        name: tuple(torch.stack([m.tensors()[name][i] for m in models]) for i in range(len(value)))
        for name, value in models[0].tensors().items()
    }
    both = both.replace(**stacked, E=E)

    q_pi, G = infer_policies(Plan.of(both, policies, information="per_modality"), qs, 2.0)
    joint = infer_policies(Plan.of(both, policies), qs, 2.0)

    agent = Agent(
        A=_arrays(both.A),
        B=_arrays(both.B),
        C=[jax.nn.log_softmax(c) for c in _arrays(both.C)],
        D=_arrays(both.D),
        E=_array(E),
        A_dependencies=[list(f) for f in shape.A_factors],
        num_controls=list(shape.actions),
        policies=_array(policies),
        gamma=2.0,
        batch_size=EACH,
    )
    their_q_pi, neg_efe = jax.jit(lambda q: agent.infer_policies(q))([_array(q)[:, None] for q in qs])
    assert_close(G, -torch.from_numpy(np.array(neg_efe)), rtol=0.0, atol=1e-5)
    assert_close(q_pi, torch.from_numpy(np.array(their_q_pi)), rtol=0.0, atol=1e-5)
    for i in range(0, EACH, 8):
        correlation = _total_correlation(models[i], tuple(q[i] for q in qs), policies)
        assert_close(joint.G[i] - G[i], correlation, rtol=0.0, atol=1e-12)


def test_inductive_inference_and_novelty_of_known_states_agree_with_pymdp() -> None:
    from arr_coc.agent.inductive import Intention

    # Deterministic beliefs: there the product of marginals that pymdp takes for novelty is the joint.
    to = torch.tensor([[1, 2, 3, 0], [0, 0, 1, 2], [3, 3, 3, 3]])
    B = torch.nn.functional.one_hot(to, 4).permute(2, 1, 0).double()
    model = model_of(0, (4,), (3,), (3,), counts="A").replace(B=(B,))
    model = model.replace(pB=(B * 2.0 + 0.5,))
    qs = (torch.eye(4, dtype=torch.float64),)
    aim = torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    plan = Plan.of(model, 3, intention=Intention((aim,), depth=4, threshold=0.2, epsilon=1e-2))

    G = infer_policies(plan, qs).G

    agent = Agent(
        A=_arrays(model.A),
        B=_arrays(model.B),
        C=[jax.nn.log_softmax(_array(model.C[0]))],
        D=_arrays(model.D),
        pA=_arrays(model.pA),
        pB=_arrays(model.pB),
        H=[_array(aim)],
        use_inductive=True,
        inductive_depth=4,
        inductive_threshold=0.2,
        inductive_epsilon=1e-2,
        use_param_info_gain=True,
        policy_len=3,
        batch_size=4,
        num_controls=[3],
    )
    neg_efe = agent.infer_policies([_array(qs[0])[:, None]])[1]
    assert_close(G, -torch.from_numpy(np.array(neg_efe)), rtol=0.0, atol=1e-9)


def test_uncontrolled_factors_have_one_action_where_pymdp_varies_them_all_the_same() -> None:
    from pymdp.control import construct_policies

    theirs = construct_policies([3, 3], [3, 3], policy_len=2, control_fac_idx=[0])

    ours = all_policies((3, 3), 2, controls=[0])

    assert len(theirs) == 81  # its issue 177
    assert len(ours) == 9
    assert (ours[..., 1] == 0).all()


def test_more_actions_than_ten_are_searched_where_pymdp_fails() -> None:
    # Its issue 418: a policy set larger than max_branching, 10.
    model, qs = model_of(1, (3,), (2,), (24,)), beliefs(1, (3,))

    told = sophisticated_policies(Tree.of(model, Search(horizon=2)), qs)

    assert told.q_pi.shape == (2, 24)
    assert_close(told.q_pi.sum(1), torch.ones(2, dtype=torch.float64))


def test_tree_search_heeds_what_it_is_told_to_minimise() -> None:
    # pymdp's search has utility and information gain built in, whatever the agent's flags say.
    model, qs = model_of(2, (3,), (3,), (2,)), beliefs(2, (3,))

    with_both, reward = (
        sophisticated_policies(Tree.of(model, Search(horizon=1, objective=o)), qs).G
        for o in (Objective(), Objective(entropy=0.0, ambiguity=0.0))
    )

    assert_close(reward, -expected_free_energy(Plan.of(model, 1, detail=True), qs).utility)
    assert (reward - with_both).abs().min() > 1e-3


def _array(t: Tensor) -> jax.Array:
    return jax.numpy.asarray(t.numpy())


def _arrays(tensors: tuple[Tensor, ...] | None) -> list[jax.Array]:
    return [_array(t) for t in tensors or ()]


def _total_correlation(model, qs: tuple[Tensor, ...], policies: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    """Sum over steps of sum_m H[Q(o_m)] - H[Q(o)], from einsums over the joint state."""
    out = []
    for policy in policies.tolist():
        x, total = list(qs), torch.zeros((), dtype=torch.float64)
        for action in policy:
            x = [b[..., action[f]] @ q for f, (b, q) in enumerate(zip(model.B, x, strict=True))]
            names = "abcd"[: len(x)]
            terms = [f"{'wxyz'[m]}" + "".join(names[f] for f in fs) for m, fs in enumerate(model.A_factors)]
            joint = torch.einsum(",".join([*terms, *names]) + "->" + "wxyz"[: len(terms)], *model.A, *x)
            total = total - torch.special.entr(joint).sum()
            for m, outcomes in enumerate(joint.shape):
                total = total + torch.special.entr(joint.movedim(m, 0).reshape(outcomes, -1).sum(1)).sum()
        out.append(total)
    return torch.stack(out)
