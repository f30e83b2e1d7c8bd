"""Planning in the learned model: policies imagined by every member, scored by expected free energy."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.deep.gaussian import Gaussian
from arr_coc.agent.deep.information import parameter_information_gain, state_information_gain
from arr_coc.agent.deep.model import DeepModel
from arr_coc.agent.deep.preference import Preference


@runtime_checkable
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


@dataclass(frozen=True)
class Imagined:
    """What every member expects of every policy; each goes on from where it believes to be."""

    states: Gaussian
    """After each step (time, members, rows, states)."""
    inputs: Float[Tensor, "time members rows states_and_actions"]
    """The state before each step, and the one-hot action taken there."""


@torch.no_grad()
def imagine(
    model: DeepModel, state: Float[Tensor, "rows states"], policies: Policies, horizon: int
) -> Imagined:
    """Follow each row's policy from its state, `horizon` steps, in every member. No gradients."""
    members, dims = model.shape.members, model.dims
    inputs = state.new_empty(horizon + 1, members, len(state), dims + model.shape.n_actions)
    inputs[0, ..., :dims] = state
    rows, states, actions = inputs.unbind(0), inputs[..., :dims].unbind(0), inputs[..., dims:].unbind(0)
    raw = []
    for t in range(horizon):
        actions[t].copy_(policies.act(t, states[t]))
        raw.append(model.transition(rows[t]).to(state.dtype))
        torch.addcmul(states[t], raw[t][..., :dims], model.step_std, out=states[t + 1])
    return Imagined(model.spread(inputs[:-1, ..., :dims], torch.stack(raw)), inputs[:-1])


def promised_gain(model: DeepModel, imagined: Imagined) -> Float[Tensor, " rows"]:
    """I(theta; s_1..T) of every policy, in nats: what each step teaches, given where it starts, summed.

    All members speak of the steps of one of them, the first, who is as good as any: where they would be
    after drifting apart for a while is not what a step teaches. That earlier steps teach some of the same is
    left out, so the sum is an upper bound (the chain rule of information, without its conditions).
    """
    members, dims, time = model.shape.members, model.dims, len(imagined.inputs)
    path = imagined.inputs[:, 0].flatten(0, 1).expand(members, -1, -1)
    said = model.spread(path[..., :dims], model.transition(path))
    return parameter_information_gain(said).view(time, -1).sum(0)


@torch.no_grad()
def expected_free_energy(
    model: DeepModel,
    preference: Preference,
    state: Float[Tensor, "rows states"],
    policies: Policies,
    horizon: int,
    epistemic: Epistemic,
) -> ExpectedFreeEnergy:
    """G of every row's policy from its state."""
    imagined = imagine(model, state, policies, horizon)
    predicted = imagined.states
    seen = model.see(predicted)
    utility = preference.expected_log(seen).mean(1).sum(0)
    state_gain = parameter_gain = torch.zeros_like(utility)
    if epistemic.state:
        posterior = model.recognise(seen.mean)
        state_gain = state_information_gain(predicted.log_var, posterior.log_var).mean(1).sum(0)
    if epistemic.parameters:
        parameter_gain = promised_gain(model, imagined)
    G = -utility - epistemic.state * state_gain - epistemic.parameters * parameter_gain
    return ExpectedFreeEnergy(utility, state_gain, parameter_gain, G)
