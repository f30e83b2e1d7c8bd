"""What comes next, and what will be seen of it: s' = B(action) s and o = A s, under beliefs."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.maths import Beliefs, contract
from arr_coc.agent.model import GenerativeModel


def predict_states(model: GenerativeModel, qs: Beliefs, action: Int[Tensor, "batch controls"]) -> Beliefs:
    """P(s' | action) of each factor, for states distributed as `qs`.

    A factor with several parents (`B_factors`) is predicted from their joint, here the product of `qs`.
    """
    return tuple(
        contract(transition(model, f, action), parents, qs, batched=True)
        if controls or model.batch is not None
        else contract(b, parents, qs)
        for f, (b, parents, controls) in enumerate(
            zip(model.B, model.B_factors, model.B_controls, strict=True)
        )
    )


def predict_obs(model: GenerativeModel, qs: Beliefs) -> tuple[Float[Tensor, "batch _"], ...]:
    """P(o_m) of each modality, for states distributed as `qs`."""
    return tuple(
        contract(a, factors, qs, batched=model.batch is not None)
        for a, factors in zip(model.A, model.A_factors, strict=True)
    )


def transition(
    model: GenerativeModel, factor: int, action: Int[Tensor, "batch controls"]
) -> Float[Tensor, "batch ..."]:
    """B of one factor under the action taken: (batch, next states, *previous states)."""
    b, controls = model.B[factor], model.B_controls[factor]
    if not controls:
        return b if model.batch is not None else b.expand(len(action), *b.shape)
    of_control = b.ndim - len(controls)
    if model.batch is not None:
        each: list[Any] = [torch.arange(len(action), device=action.device), *[slice(None)] * (of_control - 1)]
        return b[tuple(each + [action[:, c] for c in controls])]
    every: list[Any] = [slice(None)] * of_control
    return b[tuple(every + [action[:, c] for c in controls])].movedim(-1, 0)
