"""How many tokens a question needs: what an agent believes before it has looked, learned without labels.

Of every picture and question of a rehearsal it is known which budgets gave the answer of the full model. The
smallest one from which on all agree is the hidden state, `need`; what can be seen of a prompt before anything
is dropped is what the agent observes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from json import dumps, loads
from math import log
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from arr_coc.agent import (
    REWARD,
    GenerativeModel,
    Plan,
    expected_free_energy,
    infer_states,
    update_A,
    update_D,
)
from arr_coc.types import Pictures, Scores

KIND = "arr-coc need"
"""What a file says that it holds."""
STAKE = 4.0
"""Nats by which agreement with the full model is preferred: it is wanted in 98 of 100 answers."""
CODES, BINS = 16, 6
QUESTION, WANTED, AGREES = range(3)
"""Modalities: the typical question nearest to this one, how much of the picture it wants, agreement."""


@dataclass(frozen=True)
class Seen:
    """What can be seen of a prompt before anything is dropped."""

    question: Float[Tensor, "picture dim"]
    """Mean embedding of its words."""
    wanted: Float[Tensor, " picture"]
    """exp(H[pi]) / N: the share of the picture that the question wants to see; NaN if the scorer has none."""
    count: Float[Tensor, " picture"]
    """Its visual tokens."""


def look(pictures: Pictures, scores: Scores) -> Seen:
    """What the words and their preference over the tokens say."""
    asked = pictures.asked[..., None]
    question = torch.where(asked, pictures.query, 0.0).sum(1) / asked.sum(1).clamp(min=1)
    count = pictures.count.float()
    if scores.pragmatic is None:
        return Seen(question, torch.full_like(question[:, 0], torch.nan), count)
    log_pi = scores.pragmatic.masked_fill(~pictures.valid, -torch.inf).log_softmax(1)
    entropy = -(log_pi.exp() * log_pi.masked_fill(~pictures.valid, 0.0)).sum(1)
    return Seen(question, entropy.exp() / count.clamp(min=1), count)


@dataclass(frozen=True, eq=False)
class Need:
    """A discrete agent whose policies are budgets, and the loss it expects of each."""

    ratios: tuple[float, ...]
    """Candidate budgets, shares of a picture's tokens, rising."""
    questions: Float[Tensor, "codes dim"]
    """Typical questions."""
    edges: Float[Tensor, " bins"]
    """Between the bins of `Seen.wanted`."""
    model: GenerativeModel
    """Factors: need, budget (its one control). Modalities: question, wanted, agreement."""
    rehearsed: Float[Tensor, "prompt budgets"]
    """`surprise` of the prompts of the rehearsal: what a price is set by."""
    count: float = 1.0
    """Mean number of tokens of the pictures of the rehearsal."""
    method: str = ""
    """What it was learned with: the needs of one method are not those of another."""

    @cached_property
    def _plan(self) -> Plan:
        # Whether it agrees will not be observed, so there is nothing to learn: the preference alone counts.
        return Plan.of(self.model, 1, objective=REWARD, detail=True)

    def surprise(self, seen: Seen) -> Float[Tensor, "picture budgets"]:
        """-E ln P~(agreement) of each candidate budget in nats, P~ preferring to agree with the full model.

        Raises ValueError if the words live in another space than those it was learned from.
        """
        n_dims = self.questions.shape[1]
        if seen.question.shape[1] != n_dims:
            raise ValueError(
                f"this need was learned with embeddings of width {n_dims}, the model at hand has "
                f"{seen.question.shape[1]}: calibrate it on this model (arr-coc calibrate)"
            )
        device = self.model.device
        wanted, batch = seen.wanted.to(device), len(seen.wanted)
        at = torch.bucketize(wanted.nan_to_num(), self.edges).masked_fill(wanted.isnan(), -1)
        obs = (torch.cdist(seen.question.to(device), self.questions).argmin(1), at, at.new_full((batch,), -1))
        qs = infer_states(self.model, obs)
        utility = expected_free_energy(self._plan, qs).utility.to(seen.question.device)
        return -utility - log(CODES * BINS)  # no question is preferred: that much all budgets share

    def save(self, path: str | Path) -> None:
        """Write one safetensors file."""
        counts = {f"pA{m}": t for m, t in enumerate(self.model.pA or ())} | {"pD": (self.model.pD or ())[0]}
        tensors = {"questions": self.questions, "edges": self.edges, "rehearsed": self.rehearsed} | counts
        about = {"kind": KIND, "ratios": dumps(self.ratios), "count": str(self.count), "method": self.method}
        save_file({name: t.contiguous() for name, t in tensors.items()}, path, about)


def load_need(path: str | Path) -> Need:
    """Read what `Need.save` wrote. Raises ValueError for a file that holds something else."""
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            if about.get("kind") != KIND:
                raise ValueError(f"{path} holds no need: make one with arr-coc calibrate")
            get = file.get_tensor
            counts = [get(f"pA{m}") for m in range(3)]
            ratios = tuple(loads(about["ratios"]))
            model = _model(counts, get("pD"), len(ratios))
            learned = get("questions"), get("edges"), model, get("rehearsed")
            return Need(ratios, *learned, float(about["count"]), about["method"])
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path} is damaged or holds no need ({error}): run arr-coc calibrate") from error


def learn(
    ratios: Sequence[float], seen: Seen, agrees: Bool[Tensor, "prompt budgets"], method: str = ""
) -> Need:
    """Count how needs, and what is seen of them, go together.

    `agrees`: whether each candidate gave the full model's answer. Raises ValueError for too few prompts or
    ratios that do not rise within (0, 1].
    """
    rising = all(a < b for a, b in zip((0.0, *ratios), (*ratios, 1.0 + 1e-9), strict=False))
    if not rising or agrees.shape[1] != len(ratios) or len(agrees) < CODES:
        raise ValueError(
            f"candidate ratios must rise within (0, 1], one a column of agrees, for {CODES} prompts or more; "
            f"got {list(ratios)} and agrees of shape {tuple(agrees.shape)}"
        )
    n_prompts, n_budgets = agrees.shape
    need = n_budgets - agrees.flip(1).long().cumprod(1).sum(1)  # n_budgets: none of them is enough
    questions = _typical(seen.question, CODES)
    edges = torch.quantile(seen.wanted.nan_to_num(), torch.linspace(0, 1, BINS + 1)[1:-1].to(seen.wanted))
    code = torch.cdist(seen.question, questions).argmin(1)
    at = torch.bucketize(seen.wanted.nan_to_num(), edges).masked_fill(seen.wanted.isnan(), -1)
    states = n_budgets + 1
    enough = torch.arange(n_budgets) >= torch.arange(states)[:, None]
    # A weak prior: one prompt's worth over each column; that a budget which covers the need agrees.
    prior = [
        torch.full((CODES, states), 1 / CODES),
        torch.full((BINS, states), 1 / BINS),
        torch.stack([0.9 - 0.8 * enough, 0.1 + 0.8 * enough]),
    ]
    model = _model(prior, torch.ones(states), n_budgets)
    is_need = torch.nn.functional.one_hot(need, states).float()
    model = update_D(model, (is_need, torch.full((n_prompts, n_budgets), 1 / n_budgets)))
    for k in range(n_budgets):  # every budget was tried with every prompt; what is seen, only once
        tried = torch.nn.functional.one_hot(torch.full((n_prompts,), k), n_budgets).float()
        obs = (code, at, agrees[:, k].long()) if k == 0 else (code * 0 - 1, at * 0 - 1, agrees[:, k].long())
        model = update_A(model, tuple(o[:, None] for o in obs), (is_need[:, None], tried[:, None]))
    found = Need(
        tuple(ratios), questions, edges, model, torch.empty(0, n_budgets), seen.count.mean().item(), method
    )
    return replace(found, rehearsed=found.surprise(seen))


def _model(counts: Sequence[Tensor], pD: Tensor, n_budgets: int) -> GenerativeModel:
    states = len(pD)
    budgets = torch.full((n_budgets,), 1.0)
    chosen = torch.eye(n_budgets)[:, None].expand(n_budgets, n_budgets, n_budgets)  # (next, before, action)
    return GenerativeModel(
        A=[c / c.sum(0, keepdim=True) for c in counts],
        B=[torch.eye(states), chosen],
        C=[torch.zeros(len(counts[QUESTION])), torch.zeros(len(counts[WANTED])), torch.tensor([-STAKE, 0.0])],
        D=[pD / pD.sum(), budgets / n_budgets],
        A_factors=[[0], [0], [0, 1]],
        B_factors=[[0], [1]],
        B_controls=[[], [0]],
        pA=list(counts),
        pD=[pD, budgets],
    )


def _typical(x: Float[Tensor, "prompt dim"], n: int, rounds: int = 20) -> Float[Tensor, "codes dim"]:
    """Lloyd's k-means from the points farthest apart: nothing is drawn, and their order changes nothing."""
    centres = x[torch.cdist(x, x.mean(0, keepdim=True)).argmax()][None]
    while len(centres) < n:
        centres = torch.cat([centres, x[torch.cdist(x, centres).amin(1).argmax()][None]])
    for _ in range(rounds):
        nearest: Int[Tensor, " prompt"] = torch.cdist(x, centres).argmin(1)
        members = [x[nearest == i] for i in range(n)]
        centres = torch.stack([m.mean(0) if len(m) else c for m, c in zip(members, centres, strict=True)])
    return centres
