"""Search for the policy of least G: draw, imagine, keep the best, draw nearer to them."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from arr_coc.agent.deep.model import DeepModel
from arr_coc.agent.deep.planning import Epistemic, Policies, expected_free_energy
from arr_coc.agent.deep.preference import Preference


@runtime_checkable
class Search(Protocol):
    """A family of policies and how to draw from it. A memory is what one search leaves to the next."""

    @property
    def horizon(self) -> int:
        """Steps that are imagined."""
        ...

    @property
    def commit(self) -> int:
        """Steps that a policy is followed before the next search."""
        ...

    @property
    def rounds(self) -> int:
        """How often candidates are drawn and judged in one search."""
        ...

    @property
    def elites(self) -> int:
        """How many of the best the next round learns from."""
        ...

    def start(self, batch: int, states: int, n_actions: int) -> dict[str, Tensor]:
        """Nothing is known of good policies. Every tensor has the batch first."""
        ...

    def begin(self, memory: dict[str, Tensor]) -> dict[str, Tensor] | None:
        """What is still worth knowing in a new episode."""
        ...

    def draw(self, memory: dict[str, Tensor], generator: torch.Generator | None) -> Tensor:
        """Candidates (batch, k, ...)."""
        ...

    def policies(self, candidates: Tensor, n_actions: int) -> Policies:
        """Candidates (rows, ...) as policies."""
        ...

    def refit(self, memory: dict[str, Tensor], elites: Tensor) -> dict[str, Tensor]:
        """What the elites (batch, elites, ...), best first, teach of good policies."""
        ...

    def later(self, memory: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
        """What of it holds `commit` steps later."""
        ...


@dataclass(frozen=True)
class Found:
    """The best policy of every row, and how it was judged."""

    policies: Policies
    G: Float[Tensor, " batch"]
    utility: Float[Tensor, " batch"]
    parameter_gain: Float[Tensor, " batch"]
    entropy: Float[Tensor, " batch"]
    """Of the first action under softmax(-gamma G) over the candidates of the last round; in nats."""


@torch.no_grad()
def search(
    model: DeepModel,
    preference: Preference,
    obs: Float[Tensor, "batch obs"],
    memory: dict[str, Tensor],
    setting: Search,
    epistemic: Epistemic,
    gamma: float = 1.0,
    generator: torch.Generator | None = None,
) -> tuple[Found, dict[str, Tensor]]:
    """The best policy found for every row, and what the next search begins with."""
    batch, state = len(obs), model.recognise(obs).mean
    for _ in range(setting.rounds):
        drawn = setting.draw(memory, generator)
        k = drawn.shape[1]
        starts = state.repeat_interleave(k, 0)
        policies = setting.policies(drawn.flatten(0, 1), model.shape.n_actions)
        efe = expected_free_energy(model, preference, starts, policies, setting.horizon, epistemic)
        G = efe.G.view(batch, k)
        top = G.topk(setting.elites, largest=False).indices
        rows = torch.arange(batch, device=obs.device)
        memory = setting.refit(memory, drawn[rows[:, None], top])
    first = policies.act(0, starts[None]).view(batch, k, -1)
    q_action = (torch.softmax(-gamma * G, -1)[..., None] * first).sum(1)
    best = rows * k + top[:, 0]
    found = Found(
        policies.take(best), efe.G[best], efe.utility[best], efe.parameter_gain[best],
        torch.special.entr(q_action).sum(-1),
    )  # fmt: skip
    return found, setting.later(memory, generator)


@dataclass(frozen=True)
class Plans:
    """Actions fixed beforehand (time, rows, actions), one-hot."""

    actions: Float[Tensor, "time rows actions"]

    def act(self, time: int, state: Tensor) -> Tensor:
        """What was planned, whatever the state."""
        return self.actions[time]

    def take(self, rows: Int[Tensor, " n"]) -> "Plans":
        """Some of the plans."""
        return Plans(self.actions[:, rows])


@dataclass(frozen=True)
class PlanSearch:
    """Cross-entropy search over sequences of actions, begun from where the last step's search ended."""

    horizon: int = 25
    candidates: int = 64
    rounds: int = 1
    commit: int = 1
    elites: int = 8
    kept: int = 4
    """Elites that the next search looks at again."""
    hold: int = 3
    """In half of the plans the same luck holds for this many steps."""
    chance: float = 0.2
    """Share of an action's probability that is uniform: no action is ever out of the question."""

    def __post_init__(self) -> None:
        if not 0 < self.kept <= self.elites <= self.candidates:
            raise ValueError(f"need 0 < kept <= elites <= candidates, got {self}")
        if not (0 < self.hold <= self.horizon and 0 < self.commit < self.horizon):
            raise ValueError(f"hold and commit must be positive and not longer than the horizon, got {self}")

    def start(self, batch: int, states: int, n_actions: int) -> dict[str, Tensor]:
        """Every action as likely."""
        return {
            "p": torch.full((batch, self.horizon, n_actions), 1 / n_actions),
            "best": torch.zeros(batch, 0, self.horizon, dtype=torch.long),
        }

    def begin(self, memory: dict[str, Tensor]) -> dict[str, Tensor] | None:
        """A plan is for where one stands: nothing."""
        return None

    def draw(self, memory: dict[str, Tensor], generator: torch.Generator | None) -> Tensor:
        """The plans that were best, and new ones drawn step by step."""
        p = memory["p"]
        batch, time, n_actions = p.shape
        u = torch.rand(batch, self.candidates, time, generator=generator)
        held, step = self.candidates // 2, torch.arange(time)
        u[:, :held] = u[:, :held, step - step % self.hold]
        edges = ((1 - self.chance) * p + self.chance / n_actions).cumsum(-1)[:, None, :, :-1]
        return torch.cat([memory["best"], (u[..., None] > edges).sum(-1)], 1)

    def policies(self, candidates: Tensor, n_actions: int) -> Plans:
        """Sequences of actions as plans."""
        return Plans(functional.one_hot(candidates.T, n_actions).float())

    def refit(self, memory: dict[str, Tensor], elites: Tensor) -> dict[str, Tensor]:
        """How often they do what, step by step."""
        p = functional.one_hot(elites, memory["p"].shape[2]).to(memory["p"].dtype).mean(1)
        return {"p": p, "best": elites[:, : self.kept]}

    def later(self, memory: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
        """The rest of the plans; what is new at the end is open."""
        p, best = memory["p"].roll(-self.commit, 1), memory["best"].roll(-self.commit, 2)
        p[:, -self.commit :] = 1 / p.shape[2]
        new = (*best.shape[:2], self.commit)
        best[:, :, -self.commit :] = torch.randint(p.shape[2], new, generator=generator)
        return {"p": p, "best": best}
