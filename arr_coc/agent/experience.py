"""Experience: what one step, or an episode looked back upon, teaches of the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.agent.evidence import Observation, Soft
from arr_coc.agent.learning import update_A, update_B, update_C, update_D, update_E
from arr_coc.agent.maths import Beliefs
from arr_coc.agent.model import GenerativeModel
from arr_coc.agent.sequence import in_time, independent_pairs, smooth_states


@dataclass(frozen=True)
class Learning:
    """What is learned, and how fast: the weight of one new count, 0 for what is not learned."""

    A: float = 0.0
    B: float = 0.0
    C: float = 0.0
    D: float = 0.0
    E: float = 0.0
    forgetting: float = 0.0
    """Share of the old counts that is lost at every update."""
    when: Literal["step", "end"] = "step"
    """A and B at every step, from what was believed then, or at the end, with hindsight.

    C and E are learned at every step: hindsight adds nothing to what was seen and chosen. D is learned at the
    end in any case: of the beginning nothing is known but D until more was seen.
    """
    pairs: Literal["exact", "independent"] = "exact"
    """For B at every step: the joint of two states, or the product of what was believed of each at its time,
    which is wrong where they depend on each other, but cheap where the joint of all factors is large."""

    def __post_init__(self) -> None:
        if min(self.A, self.B, self.C, self.D, self.E) < 0:
            raise ValueError(f"rates of learning must not be negative, got {self}")
        if not 0 <= self.forgetting < 1:
            raise ValueError(f"forgetting must lie in [0, 1), got {self.forgetting}")

    @property
    def hindsight(self) -> bool:
        """Whether anything is learned at the end."""
        return self.D > 0 or (self.when == "end" and (self.A > 0 or self.B > 0))

    def check(self, model: GenerativeModel) -> None:
        """Raise ValueError if the model has no counts of what is to be learned."""
        for name in "ABCDE":
            if getattr(self, name) > 0 and getattr(model, f"p{name}") is None:
                raise ValueError(f"learning {name} needs counts to start from: give the model p{name}")


NOTHING = Learning()
"""What an agent learns that does not learn."""


@dataclass(frozen=True)
class Step:
    """What is remembered of a step."""

    obs: Sequence[Observation]
    """What was seen."""
    qs: Beliefs
    """What was believed then."""
    action: Int[Tensor, "batch controls"] | None = None
    """What was done then; None if nothing yet."""
    q_pi: Float[Tensor, "batch policies"] | None = None
    """The policies it was chosen from; None if it was chosen by another."""


def learn_step(
    model: GenerativeModel,
    learning: Learning,
    now: Step,
    before: Step | None,
    soft: Soft = "expected_log",
    time: int = 0,
) -> GenerativeModel:
    """The model after one more observation, the step that led there, and the policies that chose it.

    `time`: which step this is, of preferences over time.
    """
    if learning.C:
        shown = along_time([now.obs], soft)
        model = update_C(model, shown, learning.C, learning.forgetting, first=time)
    if learning.E and before is not None and before.q_pi is not None:
        if model.pE is not None and model.pE.shape[-1] != before.q_pi.shape[1]:
            raise ValueError(
                f"pE counts {model.pE.shape[-1]} policies, the planner has {before.q_pi.shape[1]}"
            )
        model = update_E(model, before.q_pi, learning.E, learning.forgetting)
    if learning.when == "end":
        return model
    if learning.A:
        believed = tuple(q[:, None] for q in now.qs)
        model = update_A(model, along_time([now.obs], soft), believed, learning.A, learning.forgetting)
    if learning.B and before is not None and before.action is not None:
        pairs, action = _last_pairs(model, learning, now, before, soft), before.action[:, None]
        weight = _informed(along_time([now.obs], soft), now.qs[0][:, None])
        model = update_B(model, pairs, action, learning.B, learning.forgetting, weight)
    return model


def learn_episode(
    model: GenerativeModel, learning: Learning, steps: Sequence[Step], soft: Soft = "expected_log"
) -> GenerativeModel:
    """The model after an episode is over: what is learned with hindsight. The last step has no action."""
    if not learning.hindsight:
        return model
    seen = along_time([step.obs for step in steps], soft)
    actions = [step.action for step in steps if step.action is not None]
    if actions:
        done = torch.stack(actions, dim=1)
    else:
        done = torch.zeros(len(steps[0].qs[0]), 0, model.n_controls, dtype=torch.long, device=model.device)
    smoothed = smooth_states(model, seen, done, soft=soft)
    if learning.D:
        model = update_D(model, tuple(q[:, 0] for q in smoothed.qs), learning.D, learning.forgetting)
    if learning.when == "end" and learning.A:
        model = update_A(model, seen, smoothed.qs, learning.A, learning.forgetting)
    if learning.when == "end" and learning.B:
        weight = _informed(seen, smoothed.qs[0])[:, 1:]
        model = update_B(model, smoothed.pairs, done, learning.B, learning.forgetting, weight)
    return model


def along_time(steps: Sequence[Sequence[Tensor | None]], soft: Soft) -> list[Tensor | None]:
    """Observations of several steps along a time axis, those that are None in the form of the others."""
    out: list[Tensor | None] = []
    for of_modality in zip(*steps, strict=True):
        like = next((o for o in of_modality if o is not None), None)
        if like is None:
            out.append(None)
            continue
        nothing = torch.full_like(like, -1 if not like.is_floating_point() else float(soft == "likelihood"))
        out.append(torch.stack([nothing if o is None else o for o in of_modality], dim=1))
    return out


def _informed(
    obs: Sequence[Tensor | None], like: Float[Tensor, "batch time states"]
) -> Float[Tensor, "batch time"]:
    """1 for steps at or after which anything was seen: what led to the others can only be guessed."""
    seen = torch.zeros(like.shape[:2], dtype=torch.bool, device=like.device)
    for o in obs:
        if o is not None:
            # Weights that are all the same say nothing.
            seen = seen | ((o != o[..., :1]).any(-1) if o.is_floating_point() else o >= 0)
    return seen.flip(1).cummax(1).values.flip(1).to(like.dtype)


def _last_pairs(
    model: GenerativeModel, learning: Learning, now: Step, before: Step, soft: Soft
) -> tuple[Float[Tensor, "batch 1 ..."], ...]:
    """The joint of the states before and after an action, given all that was seen until now."""
    if learning.pairs == "independent":
        return independent_pairs(model, in_time([before.qs, now.qs]))
    assert before.action is not None
    # What was seen before is in the belief that they begin with.
    two = along_time([[None] * model.n_modalities, now.obs], soft)
    return smooth_states(model, two, before.action[:, None], before.qs, soft).pairs
