"""What nano-llava learns from: the losses of the four stages."""

import torch
from torch import Tensor
from torch.nn import functional

from arr_coc.eval.nano.build import CENTRE, N_VISUAL
from arr_coc.eval.nano.learner import Losses, Nano
from arr_coc.eval.nano.lessons import GROUPS, IDS, PREFIX, WORDS, Batch

SINK = 6
"""Things that the first token weighs as much as, for the head that counts: it sees n of n + 6."""
REACH = 6.0
"""Nats between a patch that counts as one thing and one that counts as none, where a head counts by them."""


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
    bias = stand_for(batch, chosen) if weigh else None
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


def stand_for(batch: Batch, chosen: Tensor) -> Tensor:
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
