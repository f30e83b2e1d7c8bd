"""nano-llava and what only training needs: where it starts from, and how packed questions are read."""

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
