"""What the models learn from: the losses of the stages."""

import torch
from torch import Tensor
from torch.nn import functional

from arr_coc.eval.nano.bodies import PREFIX, Seen
from arr_coc.eval.nano.build import CENTRE
from arr_coc.eval.nano.learner import Losses, Nano
from arr_coc.eval.nano.lessons import Batch
from arr_coc.eval.nano.scene import CELLS

SINK = 6
"""Things that the first token weighs as much as, for the head that counts: it sees n of n + 6."""
REACH = 6.0
"""Nats between a patch that counts as one thing and one that counts as none, where a head counts by them."""


def tower(nano: Nano, batch: Batch, progress: float, count: float = 0.0) -> Losses:
    """Every patch says its words: through linear heads, and as a projected token like the ideal one.

    `count` is the weight of `tally`.
    """
    seen = nano.look(batch)
    groups = nano.design.groups
    *said, counts = nano.heads(seen.states).split([*(len(words) for words in groups.values()), 1], -1)
    logits = dict(zip(groups, said, strict=True))
    thing = batch.patches[..., 0] >= 0
    losses, right = {}, {}
    for i, group in enumerate(groups):
        here = thing & (batch.patches[..., i] >= 0)
        if len(groups[group]) == 1 or group == "cell" or not here.any():
            continue
        guess, truth = logits[group][here].float(), batch.patches[here][:, i]
        losses[group] = functional.cross_entropy(guess, truth)
        right[f"{group}?"] = (guess.argmax(-1) == truth).float().mean()
    losses["ground"] = functional.binary_cross_entropy_with_logits(
        logits["ground"][..., 0].float(), (~thing).float()
    )
    losses["centre"] = functional.binary_cross_entropy_with_logits(
        counts[..., 0].float(), loudness(batch.share)
    )
    losses["gap"] = gap(nano, seen, batch)
    loss = sum(losses.values()) + 2.0 * losses["gap"]
    if count:
        losses["tally"] = tally(nano, seen, batch)
        loss = loss + count * losses["tally"]
    return {"loss": loss, **losses, **right}


def sizes(nano: Nano, batch: Batch, progress: float) -> Losses:
    """The tower's lesson, and that every thing counts as one."""
    return tower(nano, batch, progress, count=1.0)


def tally(nano: Nano, seen: Seen, batch: Batch) -> Tensor:
    """Mean squared error of how many things one thing counts as: what its visual tokens say, added up.

    That is to be learned better than each token's share, which is lost where places are seen badly.
    """
    word = nano.table[nano.design.ids[CENTRE]].detach().float()
    missed = (seen.tokens.float() - ideal(nano, batch).detach().float()) @ word / word.square().sum()
    said = (REACH * (loudness(batch.share) + missed - 1)).clamp(max=1).exp()
    thing = batch.patches[..., 0] >= 0
    cell = batch.patches[..., 4].clamp(min=0)  # no two things stand in one
    off = torch.zeros(len(cell), CELLS**2).scatter_add(1, cell, (said - batch.share) * thing)
    return off.square().sum() / batch.share.sum().clamp(min=1)


def loudness(share: Tensor) -> Tensor:
    """How loud a patch says that it counts, 0 to 1: the log of its share, for attention is exponential."""
    return (1 + share.clamp(min=1e-6).log() / REACH).clamp(min=0)


def ideal(nano: Nano, batch: Batch) -> Tensor:
    """Visual tokens as they should be: the sum of the embeddings of what the patch says."""
    centre = loudness(batch.share)[..., None].to(nano.table.dtype) * nano.table[nano.design.ids[CENTRE]]
    return centre + _sum(nano, batch, tuple(nano.design.groups))


def ideal_planes(nano: Nano, batch: Batch) -> tuple[Tensor, ...]:
    """DeepStack's plane as it should be: the fine print once more."""
    return (_sum(nano, batch, nano.design.plane),) if nano.design.plane else ()


def _sum(nano: Nano, batch: Batch, groups: tuple[str, ...]) -> Tensor:
    """Of the embeddings of what the visual tokens say in some groups."""
    total = torch.zeros(*batch.share.shape, nano.table.shape[1], dtype=nano.table.dtype)
    for said, (group, words) in zip(batch.patches.unbind(-1), nano.group_words.items(), strict=True):
        if group in groups:
            total = total + nano.words(words[said.clamp(min=0)]) * (said >= 0)[..., None]
    return total


def gap(nano: Nano, seen: Seen, batch: Batch) -> Tensor:
    """Energy of what visual tokens miss of the ideal ones, over that of those; of things and of ground."""
    goal = ideal(nano, batch).detach().float()
    missed, energy = (seen.tokens.float() - goal).square().sum(-1), goal.square().sum(-1)
    thing = batch.patches[..., 0] >= 0
    total = missed[thing].mean() / energy[thing].mean() + missed[~thing].mean() / energy[~thing].mean()
    for plane, ideal_plane in zip(seen.planes, ideal_planes(nano, batch), strict=True):
        fine = ideal_plane.detach().float()
        missed, energy = (plane.float() - fine).square().sum(-1), fine.square().sum(-1)
        total = total + (missed[thing].mean() + missed[~thing].mean()) / energy[thing].mean()
    return total


def decoder(
    nano: Nano,
    batch: Batch,
    progress: float,
    k: int = 112,
    weigh: bool = False,
    firm: float = 0.1,
    exact: float = 0.0,
    seen: Seen | None = None,
) -> Losses:
    """Answer from a random part of ideal tokens, with noise, or of `seen`; attention of five heads is led.

    To the word before; from a word to what it names; from a word to the centres of what is to be counted and
    to the first token, so that the split tells the number; from the end of a question to those words; from
    there to the neighbour that is asked for. A word that names one thing learns to say all about it, one that
    names several their number: this, and the split, weighs `firm` at least; `exact` is the weight of how far
    off the number is that the split tells, which its divergence hardly feels: of 8 from 9 it is 0.002 nats.
    With `weigh`, tokens stand for those like them that were left out.
    """
    thing = batch.patches[..., 0] >= 0
    counts = (batch.share > 0.01) | (batch.patches[..., 6:] >= 0).any(-1)
    urge = torch.rand(thing.shape) + 2.0 * counts + 0.7 * thing
    k = min(k, urge.shape[1])
    chosen = urge.topk(k, 1).indices.sort(1).values
    every = chosen[..., None].expand(-1, -1, nano.table.shape[1])
    if seen is None:
        visual, *planes = (x.gather(1, every) for x in (ideal(nano, batch), *ideal_planes(nano, batch)))
        noise = 0.05 * visual.detach().std()
        visual, *planes = (x + noise * torch.randn_like(x) for x in (visual, *planes))
    else:
        visual, *planes = (x.gather(1, every) for x in (seen.tokens, *seen.planes))
    bias = stand_for(batch, chosen) if weigh else None
    hidden, attentions = nano.read(visual, tuple(planes), chosen, batch, attend=True, bias=bias)
    assert attentions is not None
    losses = nano.answer_losses(hidden, batch)
    look = batch.look.gather(2, chosen[:, None].expand(-1, batch.look.shape[1], -1))
    led = []
    for rows, layer in ((batch.kind < 0, 1), (batch.kind >= 0, 3)):
        advice = look & rows[..., None]
        attended = attentions[layer][:, 0, PREFIX + k :, PREFIX : PREFIX + k]
        mass = (attended * advice).sum(-1)[advice.any(-1)]
        led.append(_surprise(mass))
    before = attentions[0][:, 0].diagonal(-1, dim1=1, dim2=2)[:, PREFIX + k - 1 :][batch.place > 0]
    counted = batch.number >= 0
    one = look[counted] * batch.share.gather(1, chosen)[counted.nonzero()[:, 0]]  # a thing adds up to one
    split = attentions[1][:, 1, PREFIX + k :, : PREFIX + k].float()[counted]
    told = torch.cat([torch.full_like(one[:, :1], SINK), torch.zeros_like(one[:, :1]), one], 1)
    told = told / told.sum(1, keepdim=True)
    counting = (told * ((told + 1e-6).log() - (split + 1e-6).log())).sum(1)
    total = split[:, PREFIX:].sum(1) / split[:, 0].clamp(min=1e-4)
    off = ((SINK * total).clamp(min=0.1).log() - one.sum(1).clamp(min=1).log()).square()
    names = (attentions[2][:, 0, PREFIX + k :, PREFIX + k :] * batch.named[:, None]).sum(-1)[batch.kind >= 0]
    leads = {"noun": led[0], "end": led[1], "before": _surprise(before), "names": _surprise(names)}
    lasting = {"counting": counting.sum() / max(1, len(counting)), "thing": nano.thing_loss(hidden, batch)}
    lead = 0.3 * max(0.0, 1 - progress / 0.6)
    last = max(lead, firm)
    loss = losses["answer"] + lead * sum(leads.values()) + last * sum(lasting.values())
    if exact:
        lasting["off"] = off.sum() / max(1, len(off))
        loss = loss + exact * lasting["off"]
    return {"loss": loss, **losses, **leads, **lasting}


def rehearsal(nano: Nano, batch: Batch, progress: float) -> Losses:
    """The decoder's lesson as if all tokens were there: else it does not learn to ignore so much ground."""
    return decoder(nano, batch, progress, k=128, weigh=True)


def counting(nano: Nano, batch: Batch, progress: float) -> Losses:
    """The rehearsal from fewer tokens of more pictures, and more firmly led to count."""
    return decoder(nano, batch, progress, k=96, weigh=True, firm=0.5)


def exactly(nano: Nano, batch: Batch, progress: float) -> Losses:
    """`counting`, and the split is to tell the number itself."""
    return decoder(nano, batch, progress, k=96, weigh=True, firm=0.5, exact=5.0)


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
    seen = nano.look(batch)
    everything = torch.arange(seen.tokens.shape[1]).expand(len(seen.tokens), -1)
    hidden, _ = nano.read(seen.tokens, seen.planes, everything, batch, attend=False)
    losses = nano.answer_losses(hidden, batch)
    losses |= {"thing": nano.thing_loss(hidden, batch), "gap": gap(nano, seen, batch)}
    teach = max(0.2, 1 - progress / 0.5)
    return {"loss": losses["answer"] + 0.1 * losses["thing"] + teach * losses["gap"], **losses}


def together(nano: Nano, batch: Batch, progress: float) -> Losses:
    """As `exactly`, but from what the eyes say; they learn too, their lesson and what helps to answer."""
    seen = nano.look(batch)
    losses = decoder(nano, batch, progress, k=192, weigh=True, firm=0.5, exact=5.0, seen=seen)
    losses |= {"gap": gap(nano, seen, batch), "tally": tally(nano, seen, batch)}
    return losses | {"loss": losses["loss"] + 2.0 * losses["gap"] + losses["tally"]}


def precisely(nano: Nano, batch: Batch, progress: float) -> Losses:
    """As `together`, for the language model alone."""
    return decoder(nano, batch, progress, k=192, weigh=True, firm=0.5, exact=5.0, seen=nano.look(batch))
