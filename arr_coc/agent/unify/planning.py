"""Planning under a budget: what a tree search gains for its agent as it may look at more.

The bonus of UCB in the tree is for what the search has not tried yet and goes to zero with more simulations;
the epistemic term of G is for what the agent does not know of the world and stays. Neither stands in for the
other, so each can be switched by itself here.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.agent import Agent
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.objective import EFE, REWARD, Objective
from arr_coc.agent.planner import MonteCarlo, Planner, Sophisticated
from arr_coc.agent.rollout import Record, rollout
from arr_coc.agent.sophisticated import Search
from arr_coc.agent.unify.dynamic_programming import closed_loop
from arr_coc.agent.worlds.world import World


@dataclass(frozen=True)
class Searcher:
    """A way of planning, for any budget."""

    objective: Objective
    exploration: float
    """c of UCB in the tree, in nats."""

    def planner(self, horizon: int, simulations: int | None, seed: int) -> Planner:
        """With so many simulations a decision; None looks at the whole tree."""
        search = Search(horizon, self.objective, least_action=0.0, least_branch=0.0)
        if simulations is None:
            return Sophisticated(search, float("inf"))
        chance = torch.Generator().manual_seed(seed)
        return MonteCarlo(search, 16.0, simulations, self.exploration, chance)


SEARCHERS = {
    "reward, UCB": Searcher(REWARD, 1.0),
    "EFE, UCB": Searcher(EFE, 1.0),
    "EFE, no bonus": Searcher(EFE, 0.0),
}
"""What classical planning does, active inference with the same search, and with G as its only guide."""


def returns(model: GenerativeModel, record: Record) -> Float[Tensor, " batch"]:
    """Log-preferences of what was seen after the first step, summed, in nats; an agent's true income."""
    total = record.F.new_zeros(len(record.F))
    for wish, seen in zip(model.C, record.observations, strict=True):
        total = total + wish[seen[:, 1:]].sum(1)
    return total


def value_of(
    searcher: Searcher,
    world: World,
    horizon: int,
    simulations: int | None,
    steps: int,
    episodes: int,
    seed: int,
) -> Float[Tensor, " episodes"]:
    """Income of each of so many lives of `steps` steps; the same seed is the same luck for every searcher."""
    model = world.model()
    agent = Agent(model, searcher.planner(horizon, simulations, seed), batch=episodes)
    record = rollout(agent, world, steps, torch.Generator().manual_seed(seed))
    return returns(model, record)


def expected_income(
    model: GenerativeModel, belief: Float[Tensor, " states"], horizon: int, objective: Objective
) -> Float[Tensor, ""]:
    """E of the sum of ln P~(o) of whoever always takes the action of least closed-loop G, for one factor.

    Exact, over all that may be seen: for small worlds.
    """
    action = int(closed_loop(model, (belief[None],), horizon, objective)[0].argmin())
    after = model.A[0] * (model.B[0][..., action] @ belief)  # (obs, states)
    chance = after.sum(1)
    income = chance @ torch.log_softmax(model.C[0], 0)
    if horizon > 1:
        for p, joint in zip(chance, after, strict=True):
            income = income + p * expected_income(model, joint / p, horizon - 1, objective)
    return income
