"""The deep agent: remembers what it lived, learns a model of it, and acts by expected free energy."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from arr_coc.agent.deep.gaussian import Gaussian
from arr_coc.agent.deep.information import parameter_information_gain
from arr_coc.agent.deep.model import DeepModel, ModelShape
from arr_coc.agent.deep.planning import Epistemic
from arr_coc.agent.deep.preference import LearnedPreference, Preference
from arr_coc.agent.deep.replay import Replay
from arr_coc.agent.deep.rules import RuleSearch
from arr_coc.agent.deep.search import Found, Search, search
from arr_coc.agent.deep.value import ValueNet

CERTAIN = -40.0
"""Log-variance of what was seen."""


@dataclass(frozen=True)
class DeepSettings:
    """How a deep agent learns and acts."""

    rule: Literal["plan", "value"] = "plan"
    """Act by a plan imagined in the model, or by the bootstrapped value network, without a plan."""
    epistemic: Epistemic = field(default_factory=Epistemic)
    search: Search = field(default_factory=RuleSearch)
    gamma: float = 1.0
    """Precision over plans or actions: q = softmax(-gamma G)."""
    batch: int = 128
    """Transitions that each member, and the value network, learn from in one update."""
    rate: float = 1e-3
    weight_decay: float = 1e-4
    capacity: int = 100_000
    discount: float = 0.98
    """Of the value network."""
    value_hidden: int = 64
    value_rate: float = 1e-3
    follow: float = 0.005
    """Share of the way that the target network goes in an update."""
    absorbing: bool = True
    """Whether an end is a state that lasts, as unpreferred as its observation, or nothing at all."""

    def __post_init__(self) -> None:
        if self.gamma <= 0 or self.batch < 1 or self.capacity < 1:
            raise ValueError(f"gamma, batch and capacity must be positive, got {self}")


@dataclass(frozen=True)
class Decision:
    """What to do now, and why. G of a plan is summed over its horizon, that of a value is discounted."""

    action: Int[Tensor, " batch"]
    G: Float[Tensor, " batch"]
    parameter_gain: Float[Tensor, " batch"]
    """That the plan promises; 0 by value."""
    entropy: Float[Tensor, " batch"]
    """Of the next action under softmax(-gamma G), in nats."""


class DeepAgent:
    """Perceives, learns and acts for a batch of copies of its world. All its luck comes from `seed`."""

    def __init__(
        self,
        shape: ModelShape,
        preference: Preference,
        settings: DeepSettings | None = None,
        seed: int = 0,
    ) -> None:
        settings = settings or DeepSettings()
        self.settings, self.preference = settings, preference
        self.generator = torch.Generator().manual_seed(seed)
        self.model = DeepModel(shape, self.generator)
        self.value = ValueNet(
            self.model.dims, shape.n_actions, settings.value_hidden, settings.discount, self.generator
        )
        self.replay = Replay(settings.capacity, shape.obs_dim)
        self.optimizers = {"model": _adam(self.model, settings.rate, settings.weight_decay)}
        if settings.rule == "value":
            self.optimizers["value"] = _adam(self.value.online, settings.value_rate, 0.0)
        if isinstance(preference, LearnedPreference):
            self.optimizers["preference"] = _adam(preference, settings.rate, settings.weight_decay)
        self.memory: dict[str, Tensor] | None = None
        self.found: Found | None = None
        self.since = 0
        self.updates = 0

    def begin(self) -> None:
        """A new episode: think anew."""
        self.found, self.since = None, 0
        if self.memory is not None:
            self.memory = self.settings.search.begin(self.memory)

    @torch.no_grad()
    def act(self, obs: Float[Tensor, "batch obs"], explore: bool = True) -> Decision:
        """What to do now. By value: drawn from softmax(-gamma G), or the best, if not to `explore`."""
        shape = self.model.shape
        if obs.ndim != 2 or obs.shape[1] != shape.obs_dim:
            raise ValueError(f"observations must be (batch, {shape.obs_dim}), got {tuple(obs.shape)}")
        if self.settings.rule == "value":
            return self._by_value(obs, explore)
        if self.found is None or len(self.found.G) != len(obs) or self.since == self.settings.search.commit:
            self.found, self.since = self._search(obs), 0
        found = self.found
        action = found.policies.act(self.since, self.model.recognise(obs).mean[None])
        self.since += 1
        return Decision(action.argmax(-1).view(len(obs)), found.G, found.parameter_gain, found.entropy)

    def _search(self, obs: Float[Tensor, "batch obs"]) -> Found:
        settings, memory = self.settings, self.memory
        rows = 0 if memory is None else len(next(iter(memory.values())))
        if memory is not None and rows == 1:  # what one copy found out, all may begin with
            memory = {name: value.expand(len(obs), *value.shape[1:]) for name, value in memory.items()}
        elif memory is None or rows != len(obs):
            memory = settings.search.start(len(obs), self.model.dims, self.model.shape.n_actions)
        found, self.memory = search(
            self.model, self.preference, obs, memory, settings.search, settings.epistemic, settings.gamma,
            self.generator,
        )  # fmt: skip
        return found

    def observe(
        self,
        obs: Float[Tensor, "batch obs"],
        action: Int[Tensor, " batch"],
        next_obs: Float[Tensor, "batch obs"],
        ended: Bool[Tensor, " batch"],
        first: Bool[Tensor, " batch"],
        reward: Float[Tensor, " batch"] | None = None,
    ) -> None:
        """Remember a step. Reward is kept for a `LearnedPreference` only."""
        if reward is None:
            reward = torch.zeros(len(obs))
        self.replay.add(obs, action, next_obs, reward, ended, first)

    def standardise(self) -> None:
        """Take units from all that was lived."""
        n = len(self.replay)
        self.model.standardise(self.replay.obs[:n], self.replay.next_obs[:n])
        if isinstance(self.preference, LearnedPreference):
            self.preference.scale.copy_(self.model.obs_std)

    def learn(self, updates: int, only: str | None = None) -> dict[str, float]:
        """Improve the model, and what else has an optimizer, by so many minibatches; means of the losses.

        `only` names one of `optimizers`. The model's loss is the free energy F of a step, in nats.
        """
        sums: dict[str, Tensor] = {}
        for _ in range(updates):
            at = self.replay.draw((self.model.shape.members, self.settings.batch), self.generator)
            for name in self.optimizers if only is None else (only,):
                loss = self._loss(name, at)
                self.optimizers[name].zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimizers[name].step()
                sums[name] = sums.get(name, torch.zeros(())) + loss.detach()
                if name == "value":
                    self.value.follow(self.settings.follow)
            self.updates += 1
        return {name: float(total) / updates for name, total in sums.items()}

    def _loss(self, name: str, at: Int[Tensor, "members batch"]) -> Float[Tensor, ""]:
        if name == "value":
            return self._value_loss(at[0])
        replay = self.replay
        if name == "preference":
            assert isinstance(self.preference, LearnedPreference)
            return self.preference.loss(replay.next_obs[at[0]], replay.reward[at[0]], replay.ended[at[0]])
        obs = replay.obs[at]
        F = self.model.free_energy(obs, replay.action[at], replay.next_obs[at], self.generator).total
        if self.model.shape.state_dim is not None:
            F = F + replay.first[at] * self.model.initial_free_energy(obs, self.generator)
        # A mean over members and samples; Adam's steps do not depend on the scale of a loss.
        return F.mean()

    def _value_loss(self, at: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
        replay, settings = self.replay, self.settings
        obs, action, next_obs = replay.obs[at], replay.action[at], replay.next_obs[at]
        with torch.no_grad():
            state, next_state = self.model.recognise(obs).mean, self.model.recognise(next_obs).mean
            dislike = self.dislike(next_obs)
            g = dislike - self._promise(state, action)
            end = dislike / (1 - settings.discount) if settings.absorbing else None
            wanted = self.value.bootstrapped(g, next_state, replay.ended[at], settings.gamma, end)
        return self.value.loss(state, action, wanted)

    def dislike(self, obs: Float[Tensor, "batch obs"]) -> Float[Tensor, " batch"]:
        """-ln p~ of what was seen, in nats, up to the preference's constant."""
        seen = Gaussian(obs[None], torch.full_like(obs, CERTAIN)[None])
        return -self.preference.expected_log(seen)[0]

    def _promise(
        self, state: Float[Tensor, "batch states"], action: Int[Tensor, " batch"]
    ) -> Float[Tensor, " batch"]:
        """What a step teaches of the parameters, as much as it is worth."""
        weight, members = self.settings.epistemic.parameters, self.model.shape.members
        if not weight:
            return torch.zeros(len(state))
        one_hot = functional.one_hot(action, self.model.shape.n_actions).to(state.dtype)
        predicted = self.model.predict(state.expand(members, -1, -1), one_hot.expand(members, -1, -1))
        return weight * parameter_information_gain(predicted)

    def _by_value(self, obs: Float[Tensor, "batch obs"], explore: bool) -> Decision:
        state = self.model.recognise(obs).mean
        G = self.value(state)
        pi = torch.softmax(-self.settings.gamma * G, -1)
        drawn = torch.multinomial(pi, 1, generator=self.generator)[:, 0] if explore else None
        action = G.argmin(-1) if drawn is None else drawn
        chosen = G.gather(1, action[:, None])[:, 0]
        return Decision(action, chosen, torch.zeros_like(chosen), torch.special.entr(pi).sum(-1))


def _adam(module: nn.Module, rate: float, decay: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=decay, fused=True)
