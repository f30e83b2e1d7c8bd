"""Train nano-llava: `python -m arr_coc.eval.nano.train all` (resumes where it was stopped).

Three stages. `tower`: the vision tower learns to say of every patch what is on it. `decoder`: the language model
learns to answer from ideal visual tokens (sums of word embeddings, a random part of them). `joint`: both together,
on all 576 tokens, from pixels to answers. Weights are kept in float32 and used in a bfloat16 copy.
"""

import argparse
import copy
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset

from arr_coc.eval.nano.build import BOS, N_VISUAL, model, processor
from arr_coc.eval.nano.lessons import GROUPS, IDS, PREFIX, WORDS, Batch, Lessons
from arr_coc.eval.nano.questions import KINDS

log = logging.getLogger("nano")
Losses = dict[str, Tensor]
MASKED = -1e4


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
            # A common part of all words, for attention by place; what differs is for attention by content.
            self.vlm.model.language_model.embed_tokens.weight.add_(0.5 * hidden**-0.5)
            for layer in self.vlm.model.language_model.layers:
                # Attention starts out as "look at what shares words with me and copy it" (mimetic initialisation,
                # https://arxiv.org/abs/2305.09828): a question finds the patches that it names from the first step on.
                layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight)
                # Branches start small beside word embeddings of norm 1, or they would drown them.
                layer.self_attn.o_proj.weight.copy_(0.05 * layer.self_attn.v_proj.weight.T)
                layer.mlp.down_proj.weight.mul_(0.1)

    def look(self, batch: Batch) -> Tensor:
        """Last hidden states of the patches."""
        return self.vlm.model.vision_tower(batch.pixels.to(self.heads.weight.dtype)).last_hidden_state[:, 1:]

    def words(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, self.vlm.model.language_model.embed_tokens.weight)

    def read(self, visual: Tensor, chosen: Tensor, batch: Batch, attend: bool) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Hidden states of the packed questions after the visual tokens at `chosen`, and attention if asked for."""
        n, k = chosen.shape
        start = self.words(torch.tensor([[IDS[BOS], IDS["user:"]]]).expand(n, -1))
        embeds = torch.cat([start, visual, self.words(batch.ids)], 1)
        past = torch.arange(PREFIX).expand(n, -1)
        positions = torch.cat([past, PREFIX + chosen, PREFIX + N_VISUAL + batch.place], 1)
        block = torch.cat([torch.zeros(n, PREFIX + k, dtype=torch.long), batch.block], 1)
        order = torch.arange(block.shape[1])
        same = (block[:, None, :] == block[:, :, None]) & (batch.block.new_ones(1, 1, 1) > 0)
        prefix = (order < PREFIX + k)[None, None, :]
        allowed = (order[None, :, None] >= order[None, None, :]) & (prefix | same)
        mask = torch.zeros(allowed.shape, dtype=embeds.dtype).masked_fill(~allowed, MASKED)[:, None]
        out = self.vlm.model.language_model(
            inputs_embeds=embeds, attention_mask=mask, position_ids=positions, use_cache=False, output_attentions=attend
        )
        return out.last_hidden_state[:, PREFIX + k :], out.attentions

    def answer_losses(self, hidden: Tensor, batch: Batch) -> Losses:
        """Cross-entropy of answers and ends, and the share of right answers of each kind."""
        asked = batch.target >= 0
        logits = self.vlm.lm_head(hidden[asked]).float()
        target, kind = batch.target[asked], batch.kind[asked]
        loss = F.cross_entropy(logits, target, reduction="none")
        is_answer = kind >= 0
        right = (logits.argmax(-1) == target).float()
        shares = {name: right[kind == i].mean() for i, name in enumerate(KINDS)}
        return {"answer": loss[is_answer].mean() + 0.05 * loss[~is_answer].mean(), **shares}


def _waves(side: int, hidden: int) -> Tensor:
    """Sine and cosine waves over rows and columns: (side * side, hidden)."""
    rate = 1 / 100 ** (torch.arange(hidden // 4) / (hidden // 4))
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.cat([f(t.flatten()[:, None] * rate) for t in (x, y) for f in (torch.sin, torch.cos)], 1)


def patch_loss(logits: dict[str, Tensor], patches: Tensor) -> Losses:
    """Cross-entropy of every group over the patches that say something in it; `part` is a detector of centres."""
    losses = {}
    for i, group in enumerate(GROUPS):
        truth, said = patches[..., i], patches[..., i] >= 0
        if group == "cell":
            said = said & (patches[..., 0] >= 0)
        if group == "part":
            continue
        losses[group] = F.cross_entropy(logits[group][said].float(), truth[said])
    part, truth = logits["part"].float(), patches[..., -1]
    losses["centre"] = F.binary_cross_entropy_with_logits(part[..., 0], (truth == 0).float(), pos_weight=torch.tensor(8.0))
    losses["ground"] = F.binary_cross_entropy_with_logits(part[..., 1], (truth == 1).float())
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
    """Answer from a random part of ideal tokens, with noise; attention of three heads is led.

    One to the word before, one from a word to what it names, one to the neighbour that is asked for.
    """
    thing = batch.patches[..., 0] >= 0
    centre = batch.patches[..., -1] == 0
    urge = torch.rand(thing.shape) + 2.0 * centre + 0.7 * thing
    chosen = urge.topk(k, 1).indices.sort(1).values
    visual = ideal(nano, batch.patches).gather(1, chosen[..., None].expand(-1, -1, nano.heads.in_features))
    visual = visual + 0.3 * visual.detach().std() * torch.randn_like(visual)
    hidden, attentions = nano.read(visual, chosen, batch, attend=True)
    losses = nano.answer_losses(hidden, batch)
    look = batch.look.gather(2, chosen[:, None].expand(-1, batch.look.shape[1], -1))
    led = []
    for rows, layer in ((batch.kind < 0, 1), (batch.kind >= 0, 3)):
        advice = look & rows[..., None]
        seen = attentions[layer][:, 0, PREFIX + k :, PREFIX : PREFIX + k]
        mass = (seen * advice).sum(-1)[advice.any(-1)]
        led.append(-(mass.float() + 1e-4).log().mean())
    before = attentions[0][:, 0].diagonal(-1, dim1=1, dim2=2)[:, PREFIX + k - 1 :][batch.place > 0]
    losses |= {"noun": led[0], "end": led[1], "before": -(before.float() + 1e-4).log().mean()}
    lead = 0.3 * max(0.0, 1 - progress / 0.6)
    return {"loss": losses["answer"] + lead * (led[0] + led[1] + losses["before"]), **losses}


def joint(nano: Nano, batch: Batch, progress: float) -> Losses:
    """From pixels to answers on all tokens; projected tokens are drawn to the ideal ones."""
    features = nano.look(batch)
    visual = nano.vlm.model.multi_modal_projector(features)
    table = nano.vlm.model.language_model.embed_tokens.weight
    tied = {group: visual @ table[words].T for group, words in WORDS.items()}
    said = patch_loss(tied, batch.patches)
    goal = ideal(nano, batch.patches).detach().float()
    gap = (visual.float() - goal).square().mean() / goal.square().mean()
    everything = torch.arange(N_VISUAL).expand(len(visual), -1)
    hidden, _ = nano.read(visual, everything, batch, attend=False)
    losses = nano.answer_losses(hidden, batch)
    teach = max(0.05, 1 - progress / 0.5)
    patch = said["color"] + said["shape"] + said["size"] + said["character"]
    return {"loss": losses["answer"] + teach * gap + 0.1 * teach * patch, "gap": gap, **said, **losses}


@dataclass(frozen=True)
class Stage:
    """One stage of training."""

    losses: Callable[[Nano, Batch, float], Losses]
    steps: int
    batch: int
    questions: int
    rate: float
    """Peak learning rate; warm-up over 100 steps, then a cosine to zero."""
    eager: bool = False


STAGES = {
    "tower": Stage(tower, steps=2400, batch=16, questions=1, rate=2e-3),
    "decoder": Stage(decoder, steps=2000, batch=16, questions=20, rate=2e-3, eager=True),
    "joint": Stage(joint, steps=1800, batch=12, questions=24, rate=1.2e-3),
}


def train(name: str, out: Path, seed: int, threads: int) -> None:
    """Run one stage; a checkpoint every 100 steps, from which it goes on."""
    stage = STAGES[name]
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    nano = Nano()
    if name == "joint":
        _assemble(nano, out)
    master = list(nano.parameters())
    optimizer = torch.optim.AdamW(
        [{"params": [p for p in master if p.ndim > 1], "weight_decay": 0.05},
         {"params": [p for p in master if p.ndim < 2], "weight_decay": 0.0}],
        lr=stage.rate, betas=(0.9, 0.98), fused=True,
    )  # fmt: skip
    path, start = out / f"{name}.pt", 0
    if path.exists():
        saved = torch.load(path, weights_only=True)
        nano.load_state_dict(saved["nano"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["step"]
    nano.vlm.set_attn_implementation("eager" if stage.eager else "sdpa")
    work = copy.deepcopy(nano).bfloat16()
    used = list(work.parameters())
    lessons = Lessons(seed, list(STAGES).index(name), stage.steps, stage.batch, stage.questions)
    batches = DataLoader(Subset(lessons, range(start, stage.steps)), batch_size=None, num_workers=1, prefetch_factor=4)
    began, sums, count = time.time(), {}, 0
    for step, batch in enumerate(batches, start):
        torch.manual_seed(seed * 1_000_003 + step)
        progress = step / stage.steps
        rate = stage.rate * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = rate
        losses = stage.losses(work, batch, progress)
        losses["loss"].backward()
        for p, q in zip(master, used, strict=True):
            p.grad = None if q.grad is None else q.grad.float()
            q.grad = None
        nn.utils.clip_grad_norm_(master, 1.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_copy_(used, master)
        for key, value in losses.items():
            value = float(value.detach())
            if math.isfinite(value):
                total, n = sums.get(key, (0.0, 0))
                sums[key] = (total + value, n + 1)
        count += 1
        if (step + 1) % 50 == 0:
            left = (time.time() - began) / count * (stage.steps - step - 1)
            log.info("%s %d/%d, %.0f min left: %s", name, step + 1, stage.steps, left / 60,
                     " ".join(f"{key} {total / n:.3f}" for key, (total, n) in sums.items()))  # fmt: skip
            sums = {}
        if (step + 1) % 200 == 0 or step + 1 == stage.steps:
            state = {"nano": nano.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(state, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)


def _assemble(nano: Nano, out: Path) -> None:
    """The tower of one stage, the language model of the other."""
    parts = {stage: torch.load(out / f"{stage}.pt", weights_only=True)["nano"] for stage in ("tower", "decoder")}
    state = {key: parts["tower" if "vision_tower" in key or key.startswith("heads") else "decoder"][key]
             for key in nano.state_dict()}  # fmt: skip
    nano.load_state_dict(state)


def export(out: Path, folder: Path) -> None:
    """Write the trained model and its processor as `from_pretrained` wants them."""
    nano = Nano()
    nano.load_state_dict(torch.load(out / "joint.pt", weights_only=True)["nano"])
    nano.vlm.generation_config.max_new_tokens = 4
    nano.vlm.save_pretrained(folder)
    processor().save_pretrained(folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=[*STAGES, "export", "all"])
    parser.add_argument("--out", type=Path, default=Path("runs/nano"), help="folder of the checkpoints")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "nano-llava", help="where to export")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    args.out.mkdir(parents=True, exist_ok=True)
    for name in STAGES if args.stage == "all" else [args.stage]:
        if name in STAGES:
            train(name, args.out, args.seed, args.threads)
    if args.stage in ("all", "export"):
        export(args.out, args.folder)


if __name__ == "__main__":
    main()
