"""Train nano-llava: `python -m arr_coc.eval.nano.train all` (resumes where it was stopped).

Four stages. `tower`: the vision tower learns to say of every patch what is on it. `decoder`: the language
model learns to answer from ideal visual tokens (sums of word embeddings, a random part of them).
`projector`: real tokens become like ideal ones. `joint`: all together, on all 576 tokens, from pixels to
answers. The first two need nothing of each other and may run at the same time. Weights are kept in float32
and used in bfloat16.
"""

import argparse
import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from arr_coc.eval.nano.build import processor
from arr_coc.eval.nano.curriculum import Losses, Nano, decoder, joint, projector, tower
from arr_coc.eval.nano.lessons import Batch, Lessons

log = logging.getLogger("nano")


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
    "decoder": Stage(decoder, steps=1200, batch=16, questions=20, rate=2e-3, eager=True),
    "projector": Stage(projector, steps=300, batch=16, questions=1, rate=1.5e-3),
    "joint": Stage(joint, steps=700, batch=12, questions=10, rate=5e-4),
}


def train(name: str, out: Path, seed: int, threads: int, every: int = 200) -> None:
    """Run one stage; after every so many steps a checkpoint, from which it goes on as if never stopped."""
    stage = STAGES[name]
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    nano = Nano()
    if name == "projector":
        _assemble(nano, out)
    if name == "joint":
        nano.load_state_dict(torch.load(out / "projector.pt", weights_only=True)["nano"])
    master: list[Tensor] = list(nano.parameters())
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
    used: list[Tensor] = list(work.parameters())
    lessons = Lessons(seed, list(STAGES).index(name), stage.steps, stage.batch, stage.questions)
    batches = DataLoader(
        Subset(lessons, range(start, stage.steps)), batch_size=None, num_workers=1, prefetch_factor=4
    )
    began = time.time()
    sums: dict[str, tuple[float, int]] = {}
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
            number = float(value.detach())
            if math.isfinite(number):  # a kind that the batch did not ask for has no share
                total, n = sums.get(key, (0.0, 0))
                sums[key] = (total + number, n + 1)
        if (step + 1) % 50 == 0:
            left = (time.time() - began) / (step + 1 - start) * (stage.steps - step - 1)
            log.info("%s %d/%d, %.0f min left: %s", name, step + 1, stage.steps, left / 60,
                     " ".join(f"{key} {total / n:.3f}" for key, (total, n) in sums.items()))  # fmt: skip
            sums = {}
        if (step + 1) % every == 0 or step + 1 == stage.steps:
            state = {"nano": nano.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(state, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)


def _assemble(nano: Nano, out: Path) -> None:
    """The tower of one stage, the language model of the other; the projector is new."""
    saved = {
        stage: torch.load(out / f"{stage}.pt", weights_only=True)["nano"] for stage in ("tower", "decoder")
    }
    kept = {
        key: saved["tower"][key] for key in saved["tower"] if "vision_tower" in key or key.startswith("heads")
    }
    kept |= {
        key: saved["decoder"][key] for key in saved["decoder"] if "language_model" in key or "lm_head" in key
    }
    nano.load_state_dict(nano.state_dict() | kept)


def export(out: Path, folder: Path) -> None:
    """Write the trained model and its processor as `from_pretrained` wants them."""
    nano = Nano()
    nano.load_state_dict(torch.load(out / "joint.pt", weights_only=True)["nano"])
    nano.vlm.generation_config.max_new_tokens = 4
    nano.vlm.save_pretrained(folder)
    processor().save_pretrained(folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=[*STAGES, "export", "all"])
    parser.add_argument("--out", type=Path, default=Path("runs/nano"), help="folder of the checkpoints")
    parser.add_argument(
        "--folder", type=Path, default=Path(__file__).parent / "nano-llava", help="where to export"
    )
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
