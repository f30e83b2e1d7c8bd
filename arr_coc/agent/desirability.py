"""Z-learning: preferences for states on the way to a goal, learned from the steps that led there.

    z(s) <- (1 - rate) z(s) + rate e^r z(s')

The fixed point is the desirability of linearly solvable control, z = e^r P z with P the transitions as they
happened (Todorov 2009, https://doi.org/10.1073/pnas.0710743106); ln z are preferences C that a planner of one
step can follow. Paul et al. (2024), https://arxiv.org/abs/2307.00504, section 3.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

LOWEST, HIGHEST = 1e-16, 1e10
"""Between which desirability is kept."""


def update_desirability(
    z: Float[Tensor, " states"],
    before: Int[Tensor, " steps"],
    after: Int[Tensor, " steps"],
    reward: Float[Tensor, " steps"],
    rate: float | Float[Tensor, " steps"] = 0.1,
) -> Float[Tensor, " states"]:
    """z having gone from states `before` to `after`, one step after the other.

    `reward`: of each step, in nats. `rate`: of learning, in [0, 1], one or one for each step. The
    desirability of an end is given with the first z: nothing is learned of a state that is never left.
    """
    rates = torch.as_tensor(rate, dtype=z.dtype, device=z.device).expand(len(before))
    if not bool(((rates >= 0) & (rates <= 1)).all()):
        raise ValueError(f"rate must lie in [0, 1], got {rates.min().item()}..{rates.max().item()}")
    each = list(z.unbind())  # not written in place: it can be differentiated
    for s, t, gain, eta in zip(before.tolist(), after.tolist(), reward.exp(), rates, strict=True):
        each[s] = ((1 - eta) * each[s] + eta * gain * each[t]).clamp(LOWEST, HIGHEST)
    return torch.stack(each)
