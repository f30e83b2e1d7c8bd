"""Monte-Carlo tree search over beliefs: where a full tree is too large, look where it seems to pay.

Each simulation walks down the tree of actions and joint outcomes, takes the action of least
G - c sqrt(ln N / n), and draws what is seen from what is predicted. To weigh a drawn outcome by its
probability as well would discount the future by how surprising it is. Converges to the sophisticated G of
gamma = inf, without pruning. https://doi.org/10.1007/11871842_29
"""

from dataclasses import dataclass, field
from math import log, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.maths import Beliefs
from arr_coc.agent.merge import merged_beliefs
from arr_coc.agent.planning import Gamma, PolicyPosterior, infer_policies, policy_posterior
from arr_coc.agent.sophisticated import Tree


@dataclass
class _Node:
    """A belief, and what is known of its actions: mutable, and forgotten after planning."""

    belief: Tensor
    now: list[float]
    """Expected free energy of each action's own step."""
    predicted: Tensor
    """(actions, states)."""
    chances: Tensor
    """(actions, outcomes)."""
    visits: list[int]
    totals: list[float]
    children: dict[tuple[int, int], "_Node"] = field(default_factory=dict)


def monte_carlo_policies(
    tree: Tree,
    qs: Beliefs,
    gamma: Gamma = 1.0,
    F: Float[Tensor, "batch policies"] | None = None,
    simulations: int = 256,
    exploration: float = 1.0,
    generator: torch.Generator | None = None,
) -> PolicyPosterior:
    """Posterior over first actions, and their estimated G. As `sophisticated_policies`, with more arguments.

    `simulations`: walks for each agent, at least one for each first action. `exploration`: c, in nats. The
    tree must branch on outcomes; its thresholds are not used. Nothing here has a gradient.
    """
    if tree.search.branch != "outcomes":
        raise ValueError("Monte-Carlo search draws outcomes: make the tree with branch='outcomes'")
    if simulations < len(tree.policies):
        raise ValueError(f"simulations must be at least {len(tree.policies)}, one for each first action")
    with torch.no_grad():
        joint = merged_beliefs(qs)
        rows = [_search(tree, belief, simulations, exploration, generator) for belief in joint]
        G = torch.tensor(rows, dtype=joint.dtype, device=joint.device)
        return PolicyPosterior(policy_posterior(G, gamma, tree.steps[0].log_E, F), G)


def _search(
    tree: Tree, belief: Tensor, simulations: int, exploration: float, generator: torch.Generator | None
) -> list[float]:
    root = _node(tree, belief, 0)
    for _ in range(simulations):
        _walk(tree, root, 0, exploration, generator)
    # The mean of what exploration met overstates G; what is best below is known better.
    return _best(tree, root, 0)


def _walk(
    tree: Tree, node: _Node, depth: int, exploration: float, generator: torch.Generator | None
) -> float:
    action = _choose(node, exploration)
    cost = node.now[action]
    if depth + 1 < tree.search.horizon:
        seen = int(torch.multinomial(node.chances[action], 1, generator=generator))
        child = node.children.get((action, seen))
        if child is None:
            after = node.predicted[action] * tree.likelihood[seen]
            child = node.children[action, seen] = _node(tree, after / after.sum(), depth + 1)
        cost += _walk(tree, child, depth + 1, exploration, generator)
    node.visits[action] += 1
    node.totals[action] += cost
    return cost


def _choose(node: _Node, exploration: float) -> int:
    fresh = [a for a, n in enumerate(node.visits) if n == 0]
    if fresh:
        return min(fresh, key=lambda a: node.now[a])
    spread = log(sum(node.visits))

    def bound(a: int) -> float:
        return node.totals[a] / node.visits[a] - exploration * sqrt(spread / node.visits[a])

    return min(range(len(node.visits)), key=bound)


def _best(tree: Tree, node: _Node, depth: int) -> list[float]:
    """G of each action, below it the best of what was visited; drawn outcomes weighed by probability."""
    values = []
    for action, now in enumerate(node.now):
        below = [(child, outcome) for (a, outcome), child in node.children.items() if a == action]
        weights = [float(node.chances[action, outcome]) for _, outcome in below]
        later = [
            min(v for v, n in zip(_best(tree, c, depth + 1), c.visits, strict=True) if n) for c, _ in below
        ]
        values.append(
            now + (sum(w * v for w, v in zip(weights, later, strict=True)) / sum(weights) if later else 0.0)
        )
    return values


def _node(tree: Tree, belief: Tensor, depth: int) -> _Node:
    plan = tree.steps[min(depth, len(tree.steps) - 1)]
    now = infer_policies(plan, (belief[None],)).G[0].tolist()
    predicted = tree.moves @ belief
    chances = predicted @ tree.weights.T
    return _Node(belief, now, predicted, chances, [0] * len(now), [0.0] * len(now))
