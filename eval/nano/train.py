"""Train a shipped model: `python -m arr_coc.eval.nano.train all --model nano-qwen` (goes on if stopped).

Four stages. `tower`: the vision tower and the projector learn to say of every visual token what is there, as
ideal ones do: sums of word embeddings. `decoder`: the language model learns to answer from a random
part of ideal tokens; `rehearsal`: as if from all of them, most of all what is hard. `joint`: all together, on
all tokens, from pixels to answers. The words' embeddings are fixed until then, so that the tower and the
language model need nothing of each other and may be trained at the same time.

nano-qwen has six more, for pictures of any size and for counting: `sizes` goes on from the tower, `again`,
`counting` and `exactly` from the rehearsal, `joint` from both and led to count; then the language model
learns once more `precisely`, and last of all both go on `settling`. Weights are kept in float32 and used in
bfloat16, in the last two in float32, as users do; matrices are trained with Muon, the rest with AdamW.
"""

import argparse
import copy
import logging
import math
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from arr_coc.eval.models import load
from arr_coc.eval.nano.curriculum import joint, sizes, tower
from arr_coc.eval.nano.design import DESIGNS, Design
from arr_coc.eval.nano.learner import Nano
from arr_coc.eval.nano.lessons import Lessons
from arr_coc.eval.nano.stages import FROM_IDEAL, STAGES, stages
from arr_coc.eval.nano.start import start

log = logging.getLogger("nano")
WHOLE = ("joint", "precisely")
"""Stages that eyes and language model come from together."""
MUON = 5.0
"""Learning rate of Muon over that of AdamW."""


def train(
    model: str, name: str, out: Path, seed: int, threads: int, every: int = 100, shipped: bool = False
) -> None:
    """Run one stage; after every so many steps a checkpoint, from which it goes on as if never stopped.

    With `shipped` it begins with the shipped weights, not with what earlier stages left in `out`.
    """
    stage, design = stages(model)[name], DESIGNS[model]
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    nano = Nano(design)
    start(nano)
    if shipped:
        nano.vlm.load_state_dict(load(model, "cpu", "float32").model.state_dict())
    else:
        _assemble(nano, out, stage.after)
    nano.table.requires_grad_(stage.losses is joint)
    if stage.fixed:
        nano.heads.requires_grad_(False)
        nano.vlm.model.visual.requires_grad_(False)
    master: list[Tensor] = list(nano.parameters())
    optimizers = _optimizers(nano, stage.rate)
    path, done = out / f"{name}.pt", 0
    if path.exists():
        saved = torch.load(path, weights_only=True)
        nano.load_state_dict(saved["nano"])
        for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        done = saved["step"]
    nano.vlm.set_attn_implementation({
        "text_config": "eager" if stage.eager else "sdpa", "vision_config": "sdpa"
    })  # fmt: skip
    work, used, rounding = _used(nano, torch.float32, torch.bfloat16)
    shown = design if stage.pages is None else replace(design, pages=stage.pages)
    lessons = Lessons(
        shown, seed, list(STAGES).index(name), stage.steps, stage.batch, stage.questions, stage.often,
        seen=stage.losses not in FROM_IDEAL, slope=stage.slope, usual=stage.usual, full=stage.full,
    )  # fmt: skip
    batches = DataLoader(
        Subset(lessons, range(done, stage.steps)), batch_size=None, num_workers=1, prefetch_factor=4
    )
    began = time.time()
    sums: dict[str, tuple[float, int]] = {}
    for step, batch in enumerate(batches, done):
        torch.manual_seed(seed * 1_000_003 + step)
        progress = step / stage.steps
        rate = stage.rate * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * progress))
        for optimizer, factor in zip(optimizers, (MUON, 1.0), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = factor * rate
        if progress >= 1 - stage.precise and used[0].dtype != torch.float32:
            work, used, rounding = _used(nano, design.dtype, torch.float32)
        losses = stage.losses(work, batch, progress)
        losses["loss"].backward()
        for p, q in zip(master, used, strict=True):
            p.grad = None if q.grad is None else q.grad.float()
            q.grad = None
        nn.utils.clip_grad_norm_(master, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        with torch.no_grad():
            torch._foreach_copy_(used, [p.to(rounding) for p in master])
        for key, value in losses.items():
            number = float(value.detach())
            if math.isfinite(number):  # a kind that the batch did not ask for has no share
                total, n = sums.get(key, (0.0, 0))
                sums[key] = (total + number, n + 1)
        if (step + 1) % 50 == 0:
            left = (time.time() - began) / (step + 1 - done) * (stage.steps - step - 1)
            log.info("%s %d/%d, %.0f min left: %s", name, step + 1, stage.steps, left / 60,
                     " ".join(f"{key} {total / n:.3f}" for key, (total, n) in sums.items()))  # fmt: skip
            sums = {}
        if (step + 1) % every == 0 or step + 1 == stage.steps:
            state = {"nano": nano.state_dict(), "step": step + 1}
            state["optimizers"] = [optimizer.state_dict() for optimizer in optimizers]
            torch.save(state, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)


def _used(nano: Nano, rounding: torch.dtype, dtype: torch.dtype) -> tuple[Nano, list[Tensor], torch.dtype]:
    """A copy to compute with in `dtype`, its parameters, and what those are rounded to first."""
    work = copy.deepcopy(nano).to(rounding).to(dtype)
    return work, list(work.parameters()), rounding


def _optimizers(nano: Nano, rate: float) -> list[torch.optim.Optimizer]:
    """Muon (https://kellerjordan.github.io/posts/muon/) for matrices of layers and projector, else AdamW."""
    inner = [
        p for key, p in nano.named_parameters()
        if p.ndim == 2 and any(part in key for part in (".layers.", "projector", ".blocks.", "merger"))
    ]  # fmt: skip
    rest = [p for p in nano.parameters() if not any(p is q for q in inner)]
    muon = torch.optim.Muon(inner, lr=MUON * rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    return [muon, adam]


def _assemble(nano: Nano, out: Path, after: tuple[str, ...]) -> None:
    """Start from what earlier stages trained: eyes and projector, the language model, or both."""
    state = nano.state_dict()
    for name in after:
        saved = torch.load(out / f"{name}.pt", weights_only=True)["nano"]
        eyes, both = STAGES[name].losses in (tower, sizes), name in WHOLE
        state |= {
            key: value
            for key, value in saved.items()
            if both or eyes != ("language_model" in key or "lm_head" in key)
        }
    nano.load_state_dict(state)


def export(design: Design, out: Path, stage: str) -> None:
    """Write the trained model and its processor as `from_pretrained` wants them."""
    nano = Nano(design)
    nano.load_state_dict(torch.load(out / f"{stage}.pt", weights_only=True)["nano"])
    nano.vlm.generation_config.max_new_tokens = design.longest
    nano.vlm.to(design.dtype).save_pretrained(design.folder)
    design.processor().save_pretrained(design.folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=[*STAGES, "export", "all"])
    parser.add_argument("--model", choices=list(DESIGNS), default="nano-llava")
    parser.add_argument("--out", type=Path, help="folder of the checkpoints; default: runs/MODEL")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--shipped", action="store_true", help="one stage, from the shipped weights on, not from checkpoints"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    out = args.out or Path("runs") / args.model
    out.mkdir(parents=True, exist_ok=True)
    known = stages(args.model)
    if args.stage not in (*known, "all", "export"):
        parser.error(f"{args.model} has no stage {args.stage}: its stages are {', '.join(known)}")
    if args.shipped and args.stage not in known:
        parser.error("--shipped is for one stage: name it")
    for name in known if args.stage == "all" else [args.stage]:
        if name in known:
            train(args.model, name, out, args.seed, args.threads, shipped=args.shipped)
    if args.stage in ("all", "export"):
        export(DESIGNS[args.model], out, list(known)[-1])


if __name__ == "__main__":
    main()
