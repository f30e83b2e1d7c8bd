"""Two levels on two time scales: the upper one sets the context and the goals of the one below.

What the upper level expects to observe goes down a link: as the state a factor of the lower level begins in
(`Context`), or as what it is to prefer (`Goal`). When the lower level has lived for its number of steps, what
it met goes up the same links as the upper level's observation.
Friston et al. (2017), https://doi.org/10.1016/j.neubiorev.2017.04.009; with goals, as Priorelli and Stoianov
(2025), https://doi.org/10.1016/j.neunet.2024.107075.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.agent import Agent
from arr_coc.agent.evidence import Observation
from arr_coc.agent.experience import along_time
from arr_coc.agent.maths import Beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.predict import predict_obs
from arr_coc.agent.sequence import filter_states, in_time
from arr_coc.agent.worlds.world import Environment


@dataclass(frozen=True)
class Context:
    """An outcome of the upper level decides in which state a factor below begins.

    Up goes the evidence of each outcome: how probable it makes what was seen below.
    """

    modality: int
    """Of the upper level."""
    factor: int
    """Of the lower level."""
    table: Float[Tensor, "states outcomes"]
    """P(state below | outcome above)."""


@dataclass(frozen=True)
class Goal:
    """An outcome of the upper level is what the lower one is to bring about. Up goes what became of it."""

    modality: int
    """Of the upper level."""
    prefers: int
    """Modality of the lower level that preferences are for."""
    table: Float[Tensor, "obs outcomes"]
    """Log-preferences below given each outcome above, in nats; they are added to those of its model."""
    factor: int
    """Factor of the lower level that tells what became of it."""
    report: Float[Tensor, "outcomes states"]
    """P(outcome above | state below)."""


@dataclass(frozen=True)
class HierarchyRecord:
    """What happened on both levels."""

    observations: tuple[Int[Tensor, "batch observations"], ...]
    """For each modality below, what was seen: at first, and after each step."""
    actions: Int[Tensor, "batch steps controls"]
    """What was done below."""
    upper_actions: Int[Tensor, "batch upper_steps upper_controls"]
    upper_qs: tuple[Float[Tensor, "batch upper_observations _"], ...]
    """For each factor above, what was believed after each observation; there is one more than actions."""


@dataclass(eq=False)
class Hierarchy:
    """Two agents, linked. Neither learns here."""

    upper: Agent
    lower: Agent
    """Its preferences, and beliefs about linked factors, are replaced at every step of the upper level."""
    links: Sequence[Context | Goal]
    steps: int
    """Actions below for each action above."""
    _base: GenerativeModel = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if self.upper.batch != self.lower.batch:
            raise ValueError(f"levels of {self.upper.batch} and {self.lower.batch} agents cannot be linked")
        if self.upper.soft != "likelihood":
            raise ValueError("what comes up a link are likelihoods: give the upper agent soft='likelihood'")
        for link in self.links:
            above = self.upper.model.n_obs[link.modality]
            if link.table.shape[1] != above:
                raise ValueError(
                    f"a link of modality {link.modality} needs a table with a column for each of its {above} "
                    f"outcomes, got {tuple(link.table.shape)}"
                )
        self._base = self.lower.model

    def descend(self) -> None:
        """What the upper level expects becomes the prior and the preferences of the lower one.

        Unlinked factors go on from what is believed of them.
        """
        expected = predict_obs(self.upper.model, self.upper.qs)
        beliefs = list(self.lower.qs)
        C = [c.expand(self.lower.batch, *c.shape) if self._base.batch is None else c for c in self._base.C]
        for link in self.links:
            down = expected[link.modality] @ link.table.T
            if isinstance(link, Context):
                beliefs[link.factor] = down
            else:
                C[link.prefers] = C[link.prefers] + (down[:, None] if C[link.prefers].ndim == 3 else down)
        self.lower.model = _with_preferences(self._base, C)
        self.lower.reset()
        self.lower.prior = tuple(beliefs)

    def ascend(
        self,
        seen: Sequence[Sequence[Observation]],
        actions: Sequence[Int[Tensor, "batch controls"]],
        start: Beliefs,
    ) -> tuple[Observation, ...]:
        """What the upper level observes, having seen `seen` below, one more than `actions`, from `start`.

        For a context these are likelihoods, exact where the factor's evidence does not depend on others that
        are uncertain. For a goal it is what is believed now of its factor.
        """
        obs: list[Observation] = [None] * self.upper.model.n_modalities
        for link in self.links:
            if isinstance(link, Context):
                log = torch.stack(
                    [self._evidence(link, column, seen, actions, start) for column in link.table.T], 1
                )
                up = (log - log.amax(1, keepdim=True)).exp()
            else:
                up = self.lower.qs[link.factor] @ link.report.T
            said = obs[link.modality]
            obs[link.modality] = up if said is None else said * up
        return tuple(obs)

    def _evidence(
        self,
        link: Context,
        column: Float[Tensor, " states"],
        seen: Sequence[Sequence[Observation]],
        actions: Sequence[Int[Tensor, "batch controls"]],
        start: Beliefs,
    ) -> Float[Tensor, " batch"]:
        """ln P(seen | the factor began as `column` says)."""
        given = list(start)
        given[link.factor] = column.expand(self.lower.batch, -1)
        done = torch.stack(list(actions), 1) if actions else _nothing(self.lower)
        obs = along_time(seen, self.lower.soft)
        found = filter_states(
            self.lower.model, obs, done, tuple(given), self.lower.method, soft=self.lower.soft
        )
        return -found.F.sum(1)


@torch.no_grad()
def live(
    hierarchy: Hierarchy, world: Environment, upper_steps: int, generator: torch.Generator | None = None
) -> HierarchyRecord:
    """Let both levels act for `upper_steps` of the upper one, from a reset of the world and of both."""
    upper, lower = hierarchy.upper, hierarchy.lower
    upper.reset()
    lower.reset()
    hierarchy.descend()
    seen = [world.reset(lower.batch, generator)]
    done, decided, believed = list[Tensor](), list[Tensor](), list[Beliefs]()
    start, episode, acted = lower.prior, list[Sequence[Observation]](seen), list[Tensor]()
    lower.infer_states(seen[0])
    for step in range(upper_steps + 1):
        believed.append(upper.infer_states(hierarchy.ascend(episode, acted, start)))
        if step == upper_steps:
            break
        upper.infer_policies()
        decided.append(upper.act())
        hierarchy.descend()
        # What was seen last is part of what is believed already.
        start, episode, acted = lower.prior, [[None] * lower.model.n_modalities], []
        lower.infer_states(episode[0])
        for _ in range(hierarchy.steps):
            lower.infer_policies()
            acted.append(lower.act())
            seen.append(world.step(acted[-1]))
            episode.append(seen[-1])
            lower.infer_states(seen[-1])
        done += acted
    return HierarchyRecord(
        observations=tuple(torch.stack(o, 1) for o in zip(*seen, strict=True)),
        actions=torch.stack(done, 1),
        upper_actions=torch.stack(decided, 1),
        upper_qs=in_time(believed),
    )


def _with_preferences(model: GenerativeModel, C: Sequence[Tensor]) -> GenerativeModel:
    if model.batch is not None:
        return model.replace(C=tuple(C))
    if len(C[0]) == 1:
        return model.replace(C=tuple(c[0] for c in C))
    return model.expand(len(C[0])).replace(C=tuple(C))


def _nothing(agent: Agent) -> Int[Tensor, "batch 0 controls"]:
    return torch.zeros(agent.batch, 0, agent.model.n_controls, dtype=torch.long, device=agent.model.device)
