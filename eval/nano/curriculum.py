"""What nano-llava learns from: the model with its training-only parts, and the losses of the three stages."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from arr_coc.eval.nano.build import BOS, CENTRE, N_VISUAL, model
from arr_coc.eval.nano.lessons import GROUPS, IDS, NUMBERS, PREFIX, WORDS, Batch
from arr_coc.eval.nano.questions import KINDS
from arr_coc.eval.nano.scene import CELLS

Losses = dict[str, Tensor]
"""`loss` is what is minimised; the others are shown."""
MASKED = -1e4
SINK = 6
"""Things that the first token weighs as much as, for the head that counts: it sees n of n + 6."""
REACH = 6.0
"""Nats between a patch that counts as one thing and one that counts as none, where a head counts by them."""


class Nano(nn.Module):
    """nano-llava and what only training needs."""

    def __init__(self) -> None:
        super().__init__()
        self.vlm = model()
        hidden = self.vlm.config.text_config.hidden_size
        self.heads = nn.Linear(hidden, sum(len(words) for words in GROUPS.values()) + 1)
        tower = self.vlm.model.vision_tower
        embeddings = getattr(tower, "vision_model", tower).embeddings
        with torch.no_grad():
            embeddings.patch_embedding.weight.mul_(4.0)
            embeddings.position_embedding.weight[0].zero_()
            embeddings.position_embedding.weight[1:] = 0.35 * _waves(math.isqrt(N_VISUAL), hidden)
            # The tower's last states are long: what is projected starts out short, or its units burn out.
            self.vlm.model.multi_modal_projector.linear_2.weight.mul_(0.05)
            for layer in getattr(tower, "vision_model", tower).encoder.layers:
                # Mimetic (https://arxiv.org/abs/2305.09828): patches look at what is near and like them.
                layer.self_attn.q_proj.weight.mul_(2.0)
                layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight)
            self.table.copy_(_dictionary(len(self.table), hidden))
            for i, layer in enumerate(self.vlm.model.language_model.layers):
                attention = layer.self_attn
                if i == 1:
                    # "Look at what shares words with me": a word finds the patches that it names at once.
                    attention.k_proj.weight.copy_(attention.q_proj.weight)
                else:
                    attention.q_proj.weight.mul_(0.3)
                # "... and copy it". Branches start small beside words of norm 1, or they would drown them.
                attention.o_proj.weight.copy_(0.1 * attention.v_proj.weight.T)
                layer.mlp.down_proj.weight.mul_(0.1)

    @property
    def table(self) -> Tensor:
        """The embeddings of the words: (words, hidden)."""
        weight: Tensor = self.vlm.model.language_model.embed_tokens.weight
        return weight

    def look(self, batch: Batch) -> Tensor:
        """Last hidden states of the patches."""
        return self.vlm.model.vision_tower(batch.pixels.to(self.heads.weight.dtype)).last_hidden_state[:, 1:]

    def words(self, ids: Tensor) -> Tensor:
        return functional.embedding(ids, self.table)

    def read(
        self, visual: Tensor, chosen: Tensor, batch: Batch, attend: bool, bias: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """Hidden states of the packed questions after the visual tokens at `chosen`, and attention.

        `bias` is added to the attention logits of the visual tokens.
        """
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
        if bias is not None:
            mask[..., PREFIX : PREFIX + k] += bias[:, None, None].to(mask.dtype)
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
        losses = []
        for words, truth in zip(
            [*WORDS.values(), NUMBERS], [*batch.thing.unbind(-1), batch.number], strict=True
        ):
            asked = truth >= 0
            if asked.any():
                logits = (hidden[asked] @ self.table[words].T).float()
                losses.append(functional.cross_entropy(logits, truth[asked]))
        return torch.stack(losses).sum()


def _dictionary(words: int, hidden: int) -> Tensor:
    """Orthonormal words, so that the length of a sum of words tells nothing: (words, hidden).

    Places are column + row, each on circles: a step to the left is one rotation anywhere. All words have a
    common part, for attention by place; what differs is for attention by content.
    """
    basis = torch.linalg.qr(torch.randn(hidden, hidden)).Q
    basis[0] = hidden**-0.5
    basis = torch.linalg.qr(basis.T).Q.T  # the first direction is the common one
    table = torch.zeros(words, hidden)
    others = torch.ones(words, dtype=torch.bool)
    others[WORDS["cell"]] = False
    table[others] = basis[13 : 13 + int(others.sum())]
    turns = torch.arange(CELLS)[:, None] * torch.tensor([1.0, 2.0, 4.0]) * math.pi / CELLS
    circles = torch.cat([turns.cos(), turns.sin()], 1) * 6**-0.5  # (cells along a side, 6)
    columns, rows = circles @ basis[1:7], circles @ basis[7:13]
    table[WORDS["cell"]] = (rows[:, None] + columns).flatten(0, 1)
    return table + 0.3 * basis[0].abs()


def _waves(side: int, hidden: int) -> Tensor:
    """Sine and cosine waves over rows and columns: (side * side, hidden)."""
    rate = 1 / 100 ** (torch.arange(hidden // 4) / (hidden // 4))
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.cat([f(t.flatten()[:, None] * rate) for t in (x, y) for f in (torch.sin, torch.cos)], 1)


def tower(nano: Nano, batch: Batch, progress: float) -> Losses:
    """Every patch says its words: through linear heads, and as a projected token like the ideal one."""
    seen = nano.look(batch)
    *said, counts = nano.heads(seen).split([*(len(words) for words in GROUPS.values()), 1], -1)
    logits = dict(zip(GROUPS, said, strict=True))
    thing = batch.patches[..., 0] >= 0
    losses, right = {}, {}
    for i, group in enumerate(("color", "shape", "size", "character")):
        guess, truth = logits[group][thing].float(), batch.patches[thing][:, i]
        losses[group] = functional.cross_entropy(guess, truth)
        right[f"{group}?"] = (guess.argmax(-1) == truth).float().mean()
    losses["ground"] = functional.binary_cross_entropy_with_logits(
        logits["ground"][..., 0].float(), (~thing).float()
    )
    losses["centre"] = functional.binary_cross_entropy_with_logits(
        counts[..., 0].float(), loudness(batch.share)
    )
    losses["gap"] = gap(nano, nano.vlm.model.multi_modal_projector(seen), batch)
    return {"loss": sum(losses.values()) + 2.0 * losses["gap"], **losses, **right}


def loudness(share: Tensor) -> Tensor:
    """How loud a patch says that it counts, 0 to 1: the log of its share, for attention is exponential."""
    return (1 + share.clamp(min=1e-6).log() / REACH).clamp(min=0)


def ideal(nano: Nano, batch: Batch) -> Tensor:
    """Visual tokens as they should be: the sum of the embeddings of what the patch says."""
    patches = batch.patches
    tokens = loudness(batch.share)[..., None].to(nano.table.dtype) * nano.table[IDS[CENTRE]]
    for i, words in enumerate(WORDS.values()):
        tokens = tokens + nano.words(words[patches[..., i].clamp(min=0)]) * (patches[..., i] >= 0)[..., None]
    return tokens


def gap(nano: Nano, visual: Tensor, batch: Batch) -> Tensor:
    """Energy of what visual tokens miss of the ideal ones, over that of those; of things and of ground."""
    goal = ideal(nano, batch).detach().float()
    missed, energy = (visual.float() - goal).square().sum(-1), goal.square().sum(-1)
    thing = batch.patches[..., 0] >= 0
    return missed[thing].mean() / energy[thing].mean() + missed[~thing].mean() / energy[~thing].mean()


def decoder(nano: Nano, batch: Batch, progress: float, k: int = 112, weigh: bool = False) -> Losses:
    """Answer from a random part of ideal tokens, with noise; attention of five heads is led.

    To the word before; from a word to what it names; from a word to the centres of what is to be counted and
    to the first token, so that the split tells the number; from the end of a question to those words; from
    there to the neighbour that is asked for. A word that names one thing learns to say all about it, one that
    names several their number. With `weigh`, tokens stand for those like them that were left out.
    """
    thing = batch.patches[..., 0] >= 0
    urge = torch.rand(thing.shape) + 2.0 * (batch.share > 0.01) + 0.7 * thing
    chosen = urge.topk(k, 1).indices.sort(1).values
    visual = ideal(nano, batch).gather(1, chosen[..., None].expand(-1, -1, nano.heads.in_features))
    visual = visual + 0.05 * visual.detach().std() * torch.randn_like(visual)
    bias = _stand_for(batch, chosen) if weigh else None
    hidden, attentions = nano.read(visual, chosen, batch, attend=True, bias=bias)
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
    one = look[counted] * batch.share.gather(1, chosen)[counted.nonzero()[:, 0]]  # a thing adds up to one
    split = attentions[1][:, 1, PREFIX + k :, : PREFIX + k].float()[counted]
    told = torch.cat([torch.full_like(one[:, :1], SINK), torch.zeros_like(one[:, :1]), one], 1)
    told = told / told.sum(1, keepdim=True)
    counting = (told * ((told + 1e-6).log() - (split + 1e-6).log())).sum(1)
    names = (attentions[2][:, 0, PREFIX + k :, PREFIX + k :] * batch.named[:, None]).sum(-1)[batch.kind >= 0]
    leads = {"noun": led[0], "end": led[1], "before": _surprise(before), "names": _surprise(names)}
    lasting = {"counting": counting.sum() / max(1, len(counting)), "thing": nano.thing_loss(hidden, batch)}
    lead = 0.3 * max(0.0, 1 - progress / 0.6)
    last = max(lead, 0.1)
    loss = losses["answer"] + lead * sum(leads.values()) + last * sum(lasting.values())
    return {"loss": loss, **losses, **leads, **lasting}


def rehearsal(nano: Nano, batch: Batch, progress: float) -> Losses:
    """The decoder's lesson as if all tokens were there: else it does not learn to ignore so much ground."""
    return decoder(nano, batch, progress, k=128, weigh=True)


def _stand_for(batch: Batch, chosen: Tensor) -> Tensor:
    """ln of how many tokens of its sort (ground, edge of a thing, what counts) a chosen one stands for."""
    sort = (batch.patches[..., 0] >= 0).long() + (batch.share > 0.01)
    there = functional.one_hot(sort, 3)
    kept = there.gather(1, chosen[..., None].expand(-1, -1, 3))
    weight = (there.sum(1) / kept.sum(1).clamp(min=1)).log()
    return weight.gather(1, sort.gather(1, chosen))


def _surprise(mass: Tensor) -> Tensor:
    """Mean of -ln of attention mass; 0 of none."""
    if not len(mass):
        return mass.sum()
    return -(mass.float() + 1e-4).log().mean()


def joint(nano: Nano, batch: Batch, progress: float) -> Losses:
    """From pixels to answers on all tokens; projected tokens are still drawn to the ideal ones, ever less."""
    visual = nano.vlm.model.multi_modal_projector(nano.look(batch))
    everything = torch.arange(N_VISUAL).expand(len(visual), -1)
    hidden, _ = nano.read(visual, everything, batch, attend=False)
    losses = nano.answer_losses(hidden, batch)
    losses |= {"thing": nano.thing_loss(hidden, batch), "gap": gap(nano, visual, batch)}
    teach = max(0.2, 1 - progress / 0.5)
    return {"loss": losses["answer"] + 0.1 * losses["thing"] + teach * losses["gap"], **losses}
