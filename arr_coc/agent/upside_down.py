"""The upside-down agent: what to do to get so much in so long, learned from what past actions did get.

A behaviour function P(action | state, desired return, desired horizon) is fitted to past episodes: whatever
an episode brought from some step on is taken as having been desired. That is planning as inference with the
return as the observation that is given, P(a | s, R, T) ~ P(R, T | s, a) P(a | s), amortised in a network; the
agent improves because it desires a little more than its best episodes brought.
Srivastava et al. (2019), https://arxiv.org/abs/1912.02877; Schmidhuber (2019), https://arxiv.org/abs/1912.02875.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class Episode:
    """What an episode was. Its observations are those that actions were taken at."""

    states: Float[Tensor, "steps features"]
    actions: Int[Tensor, " steps"]
    rewards: Float[Tensor, " steps"]

    def __post_init__(self) -> None:
        if not len(self.states) == len(self.actions) == len(self.rewards) > 0:
            raise ValueError(
                "an episode needs as many states, actions and rewards, at least one, got "
                f"{len(self.states)}, {len(self.actions)} and {len(self.rewards)}"
            )

    @property
    def total(self) -> float:
        """Its return."""
        return float(self.rewards.sum())


@dataclass(frozen=True)
class Command:
    """What is desired, for each agent."""

    desired_return: Float[Tensor, " batch"]
    horizon: Float[Tensor, " batch"]
    """In how many steps."""

    def after(self, reward: Float[Tensor, " batch"]) -> "Command":
        """What is left to desire a step later; there is always one more step."""
        return Command(self.desired_return - reward, (self.horizon - 1).clamp_min(1))


class Behaviour(nn.Module):
    """P(action | state, command): features of the state, gated by the command, through a perceptron."""

    scale: Tensor

    def __init__(
        self, features: int, actions: int, width: int = 64, scale: tuple[float, float] = (0.02, 0.02)
    ) -> None:
        """`scale`: what desired return and horizon are multiplied with, so that they are about one."""
        super().__init__()
        self.of_state = nn.Sequential(nn.Linear(features, width), nn.Tanh())
        self.of_command = nn.Sequential(nn.Linear(2, width), nn.Sigmoid())
        self.rest = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, actions)
        )
        self.register_buffer("scale", torch.tensor(scale))

    def forward(
        self, states: Float[Tensor, "batch features"], command: Command
    ) -> Float[Tensor, "batch actions"]:
        """Logits of the actions."""
        wanted = torch.stack([command.desired_return, command.horizon], dim=-1) * self.scale
        logits: Tensor = self.rest(self.of_state(states) * self.of_command(wanted))
        return logits


@dataclass(frozen=True)
class Hindsight:
    """Every step of past episodes, as if what came of it had been desired. Made by `Hindsight.of`."""

    states: Float[Tensor, "steps features"]
    command: Command
    """The return and the number of steps from each step to the end of its episode."""
    actions: Int[Tensor, " steps"]
    first: Int[Tensor, " episodes"]
    """The first step of each episode."""
    lengths: Int[Tensor, " episodes"]

    @classmethod
    def of(cls, episodes: Sequence[Episode]) -> "Hindsight":
        """All steps, one episode after the other."""
        lengths = torch.tensor([len(e.actions) for e in episodes])
        to_go = [e.rewards.flip(0).cumsum(0).flip(0) for e in episodes]
        left = [torch.arange(len(e.actions), 0, -1, dtype=e.rewards.dtype) for e in episodes]
        return cls(
            torch.cat([e.states for e in episodes]),
            Command(torch.cat(to_go), torch.cat(left)),
            torch.cat([e.actions for e in episodes]),
            lengths.cumsum(0) - lengths,
            lengths,
        )

    def draw(
        self, batch: int, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "batch features"], Command, Int[Tensor, " batch"]]:
        """An episode first, then one of its steps, so that long ones do not count for more."""
        episode = torch.randint(len(self.lengths), (batch,), generator=generator)
        within = (torch.rand(batch, generator=generator) * self.lengths[episode]).long()
        at = self.first[episode] + within
        command = Command(self.command.desired_return[at], self.command.horizon[at])
        return self.states[at], command, self.actions[at]


def aspiration(best: Sequence[Episode], batch: int, generator: torch.Generator | None = None) -> Command:
    """What to desire next: as long as the best episodes were, and a return drawn from one of their standard
    deviations above their mean."""
    totals = torch.tensor([e.total for e in best])
    mean, spread = totals.mean(), totals.std(correction=0)
    length = torch.tensor([float(len(e.actions)) for e in best]).mean()
    return Command(mean + spread * torch.rand(batch, generator=generator), length.expand(batch))


def keep_best(episodes: Sequence[Episode], most: int) -> list[Episode]:
    """The `most` episodes of the highest return, the best last; of equals the later ones."""
    ranked = sorted(enumerate(episodes), key=lambda item: (item[1].total, item[0]))
    return [episode for _, episode in ranked[-most:]]


def fit(
    behaviour: Behaviour,
    optimiser: torch.optim.Optimizer,
    episodes: Sequence[Episode],
    updates: int,
    batch: int = 256,
    generator: torch.Generator | None = None,
) -> float:
    """Gradient steps on the cross-entropy of what was done, in hindsight. Returns its mean, in nats."""
    total, past = 0.0, Hindsight.of(episodes)
    for _ in range(updates):
        states, command, actions = past.draw(batch, generator)
        loss = nn.functional.cross_entropy(behaviour(states, command), actions)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        total += loss.item()
    return total / max(updates, 1)


@torch.no_grad()
def act(
    behaviour: Behaviour,
    states: Float[Tensor, "batch features"],
    command: Command,
    greedy: bool = False,
    generator: torch.Generator | None = None,
) -> Int[Tensor, " batch"]:
    """An action drawn from the behaviour function, or its likeliest."""
    logits: Tensor = behaviour(states, command)
    if greedy:
        return logits.argmax(1)
    return torch.multinomial(torch.softmax(logits, 1), 1, generator=generator)[:, 0]
