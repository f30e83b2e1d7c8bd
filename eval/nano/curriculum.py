"""What nano-llava learns from: the model with its training-only parts, and the losses of the four stages."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from arr_coc.eval.nano.build import BOS, N_VISUAL, model
from arr_coc.eval.nano.lessons import GROUPS, IDS, NUMBERS, PREFIX, WORDS, Batch
from arr_coc.eval.nano.questions import KINDS
from arr_coc.eval.nano.scene import CELLS

Losses = dict[str, Tensor]
"""`loss` is what is minimised; the others are shown."""
MASKED = -1e4
SINK = 6
"""Things that the first token weighs as much as, for the head that counts: it sees n of n + 6."""


class Nano(nn.Module):
    """nano-llava and what only training needs."""

    def __init__(self) -> None:
        super().__init__()
        self.vlm = model()
        hidden = self.vlm.config.text_config.hidden_size
        self.heads = nn.Linear(hidden, sum(len(words) for words in GROUPS.values()))
        tower = self.vlm.model.vision_tower
        embeddings = getattr(tower, "vision_model", tower).embeddings
        with torch.no_grad():
            embeddings.patch_embedding.weight.mul_(4.0)
            embeddings.position_embedding.weight[0].zero_()
            embeddings.position_embedding.weight[1:] = 0.35 * _waves(math.isqrt(N_VISUAL), hidden)
            # The tower's last states are long: what is projected starts out short, or its units burn out.
            self.vlm.model.multi_modal_projector.linear_2.weight.mul_(0.05)
            # Places start out as column + row, each on circles: a step to the left is one rotation anywhere.
            turns = torch.arange(CELLS)[:, None] * torch.tensor([1.0, 2.0, 4.0]) * math.pi / CELLS
            columns, rows = (
                torch.cat([turns.cos(), turns.sin()], 1) @ torch.randn(2, 6, hidden) * hidden**-0.5
            )
            places = 0.4 * (rows[:, None] + columns).flatten(0, 1)
            self.vlm.model.language_model.embed_tokens.weight[WORDS["cell"]] = places
            # A common part of all words, for attention by place; what differs is for attention by content.
            self.vlm.model.language_model.embed_tokens.weight.add_(0.5 * hidden**-0.5)
            for i, layer in enumerate(self.vlm.model.language_model.layers):
                attention = layer.self_attn
                if i == 1:
                    # "Look at what shares words with me" (mimetic initialisation, https://arxiv.org/abs/2305.09828):
                    # a word finds the patches that it names from the first step on.
                    attention.k_proj.weight.copy_(attention.q_proj.weight)
                else:
                    attention.q_proj.weight.mul_(0.3)
                # "... and copy it". Branches start small beside words of norm 1, or they would drown them.
                attention.o_proj.weight.copy_(0.1 * attention.v_proj.weight.T)
                layer.mlp.down_proj.weight.mul_(0.1)

    def look(self, batch: Batch) -> Tensor:
        """Last hidden states of the patches."""
        return self.vlm.model.vision_tower(batch.pixels.to(self.heads.weight.dtype)).last_hidden_state[:, 1:]

    def words(self, ids: Tensor) -> Tensor:
        return functional.embedding(ids, self.vlm.model.language_model.embed_tokens.weight)

    def read(
        self, visual: Tensor, chosen: Tensor, batch: Batch, attend: bool
    ) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """Hidden states of the packed questions after the visual tokens at `chosen`, and attention."""
        n, k = chosen.shape
        start = self.words(torch.tensor([[IDS[BOS], IDS["user:"]]]).expand(n, -1))
        embeds = torch.cat([start, visual, self.words(batch.ids)], 1)
        past = torch.arange(PREFIX).expand(n, -1)
        positions = torch.cat([past, PREFIX + chosen, PREFIX + N_VISUAL + batch.place], 1)
        block = torch.cat([torch.zeros(n, PREFIX + k, dtype=torch.long), batch.block], 1)
        order = torch.arange(block.shape[1])
        same = block[:, None, :] == block[:, :, None]
        prefix = (order < PREFIX + k)[None, None, :]
        allowed = (order[None, :, None] >= order[None, None, :]) & (prefix | same)
        mask = torch.zeros(allowed.shape, dtype=embeds.dtype).masked_fill(~allowed, MASKED)[:, None]
        out = self.vlm.model.language_model(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=positions,
            use_cache=False,
            output_attentions=attend,
        )
        return out.last_hidden_state[:, PREFIX + k :], out.attentions

    def answer_losses(self, hidden: Tensor, batch: Batch) -> Losses:
        """Cross-entropy of answers and ends, and the share of right answers of each kind."""
        asked = batch.target >= 0
        logits = self.vlm.lm_head(hidden[asked]).float()
        target, kind = batch.target[asked], batch.kind[asked]
        loss = functional.cross_entropy(logits, target, reduction="none")
        is_answer = kind >= 0
        right = (logits.argmax(-1) == target).float()
        shares = {name: right[kind == i].mean() for i, name in enumerate(KINDS)}
        return {"answer": loss[is_answer].mean() + 0.05 * loss[~is_answer].mean(), **shares}

    def thing_loss(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy at words that name one thing: what is it like? And at others: how many are there?"""
        table = self.vlm.model.language_model.embed_tokens.weight
        losses = []
        for words, truth in zip(
            [*WORDS.values(), NUMBERS], [*batch.thing.unbind(-1), batch.number], strict=True
        ):
            asked = truth >= 0
            if asked.any():
                logits = (hidden[asked] @ table[words].T).float()
                losses.append(functional.cross_entropy(logits, truth[asked]))
        return torch.stack(losses).sum()


def _waves(side: int, hidden: int) -> Tensor:
    """Sine and cosine waves over rows and columns: (side * side, hidden)."""
    rate = 1 / 100 ** (torch.arange(hidden // 4) / (hidden // 4))
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.cat([f(t.flatten()[:, None] * rate) for t in (x, y) for f in (torch.sin, torch.cos)], 1)


def patch_loss(logits: dict[str, Tensor], patches: Tensor) -> Losses:
    """Cross-entropy of every group over the patches that say something in it; `part` detects centres."""
    losses = {}
    for i, group in enumerate(GROUPS):
        truth, said = patches[..., i], patches[..., i] >= 0
        if group == "cell":
            said = said & (patches[..., 0] >= 0)
        if group == "part":
            continue
        losses[group] = functional.cross_entropy(logits[group][said].float(), truth[said])
    part, truth = logits["part"].float(), patches[..., -1]
    losses["centre"] = functional.binary_cross_entropy_with_logits(
        part[..., 0], (truth == 0).float(), pos_weight=torch.tensor(8.0)
    )
    losses["ground"] = functional.binary_cross_entropy_with_logits(part[..., 1], (truth == 1).float())
    return losses


def tower(nano: Nano, batch: Batch, progress: float) -> Losses:
    """Every patch says its words through linear heads."""
    sizes = [len(words) for words in GROUPS.values()]
    logits = dict(zip(GROUPS, nano.heads(nano.look(batch)).split(sizes, -1), strict=True))
    losses = patch_loss(logits, batch.patches)
    right = {}
    for group, i in (("shape", 1), ("character", 3)):
        said = batch.patches[..., i] >= 0
        right[f"{group}?"] = (logits[group][said].argmax(-1) == batch.patches[..., i][said]).float().mean()
    return {"loss": sum(losses.values()) - 0.5 * losses["cell"], **losses, **right}


def ideal(nano: Nano, patches: Tensor) -> Tensor:
    """Visual tokens as they should be: the sum of the embeddings of what the patch says."""
    return sum(
        nano.words(words[patches[..., i].clamp(min=0)]) * (patches[..., i] >= 0)[..., None]
        for i, words in enumerate(WORDS.values())
    )  # type: ignore[return-value]


def decoder(nano: Nano, batch: Batch, progress: float, k: int = 96) -> Losses:
    """Answer from a random part of ideal tokens, with noise; attention of five heads is led.

    To the word before; from a word to what it names; from a word to the centres of what is to be counted and
    to the first token, so that the split tells the number; from the end of a question to those words; from
    there to the neighbour that is asked for. A word that names one thing learns to say all about it, one that
    names several their number.
    """
    thing = batch.patches[..., 0] >= 0
    centre = batch.patches[..., -1] == 0
    urge = torch.rand(thing.shape) + 2.0 * centre + 0.7 * thing
    chosen = urge.topk(k, 1).indices.sort(1).values
    visual = ideal(nano, batch.patches).gather(1, chosen[..., None].expand(-1, -1, nano.heads.in_features))
    visual = visual + 0.05 * visual.detach().std() * torch.randn_like(visual)
    hidden, attentions = nano.read(visual, chosen, batch, attend=True)
    assert attentions is not None
    losses = nano.answer_losses(hidden, batch)
    look = batch.look.gather(2, chosen[:, None].expand(-1, batch.look.shape[1], -1))
    led = []
    for rows, layer in ((batch.kind < 0, 1), (batch.kind >= 0, 3)):
        advice = look & rows[..., None]
        seen = attentions[layer][:, 0, PREFIX + k :, PREFIX : PREFIX + k]
        mass = (seen * advice).sum(-1)[advice.any(-1)]
        led.append(_surprise(mass))
    before = attentions[0][:, 0].diagonal(-1, dim1=1, dim2=2)[:, PREFIX + k - 1 :][batch.place > 0]
    counted = batch.number >= 0
    centres = look & (batch.patches[..., -1] == 0).gather(1, chosen)[:, None]
    counting = attentions[1][:, 1, PREFIX + k :, : PREFIX + k].float().add(1e-6).log()[counted]
    found = centres[counted]
    shares = (SINK * counting[:, 0] + (counting[:, PREFIX:] * found).sum(-1)) / (SINK + found.sum(-1))
    names = (attentions[2][:, 0, PREFIX + k :, PREFIX + k :] * batch.named[:, None]).sum(-1)[batch.kind >= 0]
    leads = {"noun": led[0], "end": led[1], "before": _surprise(before), "names": _surprise(names)}
    leads |= {"counting": -shares.mean(), "thing": nano.thing_loss(hidden, batch)}
    lead = 0.3 * max(0.0, 1 - progress / 0.6)
    return {"loss": losses["answer"] + lead * sum(leads.values()), **losses, **leads}


def _surprise(mass: Tensor) -> Tensor:
    """Mean of -ln of attention mass; 0 of none."""
    if not len(mass):
        return mass.sum()
    return -(mass.float() + 1e-4).log().mean()


def projected(nano: Nano, batch: Batch) -> tuple[Tensor, Losses]:
    """Visual tokens, and how far they are from the ideal ones: energy missed, and words misread."""
    visual = nano.vlm.model.multi_modal_projector(nano.look(batch))
    table = nano.vlm.model.language_model.embed_tokens.weight.detach()
    said = patch_loss({group: visual @ table[words].T for group, words in WORDS.items()}, batch.patches)
    goal = ideal(nano, batch.patches).detach().float()
    gap = (visual.float() - goal).square().mean() / goal.square().mean()
    patch = said["color"] + said["shape"] + said["size"] + said["character"]
    return visual, {"taught": gap + 0.1 * patch, "gap": gap, **said}


def projector(nano: Nano, batch: Batch, progress: float) -> Losses:
    """Projected tokens become the ideal ones; the language model waits, so that it forgets nothing."""
    _, losses = projected(nano, batch)
    return {"loss": losses["taught"], **losses}


def joint(nano: Nano, batch: Batch, progress: float) -> Losses:
    """From pixels to answers on all tokens; projected tokens are still drawn to the ideal ones, ever less."""
    visual, losses = projected(nano, batch)
    everything = torch.arange(N_VISUAL).expand(len(visual), -1)
    hidden, _ = nano.read(visual, everything, batch, attend=False)
    losses |= nano.answer_losses(hidden, batch) | {"thing": nano.thing_loss(hidden, batch)}
    teach = max(0.2, 1 - progress / 0.5)
    return {"loss": losses["answer"] + 0.1 * losses["thing"] + teach * losses["taught"], **losses}
