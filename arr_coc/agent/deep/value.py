"""The value network: expected free energy of a state and action, bootstrapped from the next state's."""

import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from arr_coc.agent.deep.networks import mlp


class ValueNet(nn.Module):
    """G(s, a) of all that is to come, discounted, and a target copy that follows slowly.

    The network holds (1 - discount) G: the free energy of a step, on average, whatever the discount.
    """

    def __init__(
        self, states: int, n_actions: int, hidden: int, discount: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        if not 0 <= discount < 1:
            raise ValueError(f"discount must lie in [0, 1), got {discount}")
        self.discount = discount
        self.online = mlp(states, n_actions, hidden, generator)
        self.target = copy.deepcopy(self.online).requires_grad_(False)

    def forward(self, state: Float[Tensor, "*batch states"]) -> Float[Tensor, "*batch actions"]:
        """G(s, a), nats; lower is better."""
        G: Tensor = self.online(state).float() / (1 - self.discount)
        return G

    @torch.no_grad()
    def bootstrapped(
        self,
        g: Float[Tensor, " batch"],
        next_state: Float[Tensor, "batch states"],
        ended: Float[Tensor, " batch"],
        gamma: float,
        after_end: Float[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """g + discount * sum_a' pi(a'|s') G_target(s', a'), with pi = softmax(-gamma G).

        After an end follows `after_end`, nothing by default: never what the network says of a state that is
        not lived in.
        """
        pi = torch.softmax(-gamma * self(next_state), -1)
        after = (pi * self.target(next_state).float()).sum(-1) / (1 - self.discount)
        end = torch.zeros_like(g) if after_end is None else after_end
        return g + self.discount * torch.where(ended.bool(), end, after)

    def loss(
        self,
        state: Float[Tensor, "batch states"],
        action: Int[Tensor, " batch"],
        wanted: Float[Tensor, " batch"],
    ) -> Float[Tensor, ""]:
        """Huber loss of the network's own numbers."""
        own = self.online(state).float().gather(-1, action[:, None])[:, 0]
        return functional.smooth_l1_loss(own, wanted * (1 - self.discount))

    @torch.no_grad()
    def follow(self, rate: float) -> None:
        """Move the target by this share of the way."""
        for slow, fast in zip(self.target.parameters(), self.online.parameters(), strict=True):
            slow.lerp_(fast, rate)
