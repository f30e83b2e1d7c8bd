"""A model and what only training needs: how packed questions are read, and what is lost."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from arr_coc.eval.nano.bodies import PREFIX, Seen
from arr_coc.eval.nano.build import BOS
from arr_coc.eval.nano.design import Design
from arr_coc.eval.nano.lessons import ALL_KINDS, Batch
from arr_coc.eval.nano.questions import COUNTS

Losses = dict[str, Tensor]
"""`loss` is what is minimised; the others are shown."""
MASKED = -1e4


class Nano(nn.Module):
    """A model of a design and what only training needs."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        self.vlm = design.body.build()
        self.heads = nn.Linear(design.body.width, sum(len(words) for words in design.groups.values()) + 1)
        self.group_words = design.words
        self.numbers = torch.tensor([design.ids[word] for word in COUNTS])

    @property
    def table(self) -> Tensor:
        """The embeddings of the words: (words, hidden)."""
        weight: Tensor = self.vlm.model.language_model.embed_tokens.weight
        return weight

    def look(self, batch: Batch) -> Seen:
        """What the eyes see."""
        return self.design.body.see(self.vlm, batch.pixels.to(self.heads.weight.dtype))

    def words(self, ids: Tensor) -> Tensor:
        return functional.embedding(ids, self.table)

    def read(
        self,
        visual: Tensor,
        planes: tuple[Tensor, ...],
        chosen: Tensor,
        batch: Batch,
        attend: bool,
        bias: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """Hidden states of the packed questions after the visual tokens at `chosen`, and attention.

        `bias` is added to the attention logits of the visual tokens.
        """
        n, k = chosen.shape
        ids = self.design.ids
        start = self.words(torch.tensor([[ids[BOS], ids["user:"]]]).expand(n, -1))
        embeds = torch.cat([start, visual, self.words(batch.ids)], 1)
        block = torch.cat([torch.zeros(n, PREFIX + k, dtype=torch.long), batch.block], 1)
        order = torch.arange(block.shape[1])
        same = block[:, None, :] == block[:, :, None]
        prefix = (order < PREFIX + k)[None, None, :]
        allowed = (order[None, :, None] >= order[None, None, :]) & (prefix | same)
        mask = torch.zeros(allowed.shape, dtype=embeds.dtype).masked_fill(~allowed, MASKED)[:, None]
        if bias is not None:
            mask[..., PREFIX : PREFIX + k] += bias[:, None, None].to(mask.dtype)
        stacked = {}
        if planes:
            here = (prefix & (order >= PREFIX))[0].expand(n, -1)
            stacked = {"visual_pos_masks": here, "deepstack_visual_embeds": [p.flatten(0, 1) for p in planes]}
        out = self.vlm.model.language_model(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=self.design.body.positions(batch.grid, chosen, batch.place),
            use_cache=False,
            output_attentions=attend,
            **stacked,
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
        shares = {name: right[kind == i].mean() for i, name in enumerate(ALL_KINDS)}
        ends = loss[~is_answer].mean() if not is_answer.all() else loss.new_zeros(())
        return {"answer": loss[is_answer].mean() + 0.05 * ends, **shares}

    def thing_loss(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy at words that name one thing: what is it like? And at others: how many are there?"""
        losses = [hidden.new_zeros((), dtype=torch.float32)]
        for words, truth in zip(
            [*self.group_words.values(), self.numbers], [*batch.thing.unbind(-1), batch.number], strict=True
        ):
            asked = truth >= 0
            if asked.any():
                logits = (hidden[asked] @ self.table[words].T).float()
                losses.append(functional.cross_entropy(logits, truth[asked]))
        return torch.stack(losses).sum()
