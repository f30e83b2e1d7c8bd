"""Planning in the learned model: policies imagined by every member, scored by expected free energy."""

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.deep.gaussian import Gaussian
from arr_coc.agent.deep.information import parameter_information_gain, state_information_gain
from arr_coc.agent.deep.model import DeepModel
from arr_coc.agent.deep.preference import Preference


class Policies(Protocol):
    """Ways to act, one for each row: plans of actions, or rules that look at the state."""

    def act(
        self, time: int, state: Float[Tensor, "members rows states"]
    ) -> Float[Tensor, "*members rows actions"]:
        """One-hot actions of every row at a step, in the states that its members believe in."""
        ...

    def take(self, rows: Int[Tensor, " n"]) -> "Policies":
        """Some of the rows."""
        ...


@dataclass(frozen=True)
class Epistemic:
    """What information is worth, against preferences: 1 is the expected free energy, 0 leaves it out."""

    state: float = 0.0
    parameters: float = 1.0


@dataclass(frozen=True)
class ExpectedFreeEnergy:
    """G = -utility - state * state gain - parameters * parameter gain, summed over the steps; in nats."""

    utility: Float[Tensor, " rows"]
    state_gain: Float[Tensor, " rows"]
    parameter_gain: Float[Tensor, " rows"]
    G: Float[Tensor, " rows"]


def imagine(
    model: DeepModel, state: Float[Tensor, "rows states"], policies: Policies, horizon: int
) -> Gaussian:
    """Predicted states (time, members, rows, states): each member goes on from where it believes to be."""
    members, dims = model.shape.members, model.dims
    inputs = state.new_empty(horizon + 1, members, len(state), dims + model.shape.n_actions)
    inputs[0, ..., :dims] = state
    rows, states, actions = inputs.unbind(0), inputs[..., :dims].unbind(0), inputs[..., dims:].unbind(0)
    raw = []
    for t in range(horizon):
        actions[t].copy_(policies.act(t, states[t]))
        raw.append(model.transition(rows[t]).to(state.dtype))
        torch.addcmul(states[t], raw[t][..., :dims], model.step_std, out=states[t + 1])
    return model.spread(inputs[:-1, ..., :dims], torch.stack(raw))


@torch.no_grad()
def expected_free_energy(
    model: DeepModel,
    preference: Preference,
    state: Float[Tensor, "rows states"],
    policies: Policies,
    horizon: int,
    epistemic: Epistemic,
) -> ExpectedFreeEnergy:
    """G of every row's policy from its state.

    Given a member, what is seen at one step says nothing of the noise of another, so the gains of the steps
    sum to no less than what the whole policy teaches.
    """
    predicted = imagine(model, state, policies, horizon)
    seen = model.see(predicted)
    utility = preference.expected_log(seen).mean(1).sum(0)
    state_gain = parameter_gain = torch.zeros_like(utility)
    if epistemic.state:
        posterior = model.recognise(seen.mean)
        state_gain = state_information_gain(predicted.log_var, posterior.log_var).mean(1).sum(0)
    if epistemic.parameters:
        parameter_gain = parameter_information_gain(predicted, dim=1).sum(0)
    G = -utility - epistemic.state * state_gain - epistemic.parameters * parameter_gain
    return ExpectedFreeEnergy(utility, state_gain, parameter_gain, G)
