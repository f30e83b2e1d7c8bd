"""The evidence: `python -m arr_coc.eval.allocation --model nano-llava` writes eval/results/allocation/MODEL.*

Every selector with and without the log-precision ln n, and with merging; five budgets; unseen items of
every task the model was made for, by task and all together; each stratum by itself. What is compared with
ours is the *best* of the others, at each budget, chosen on the very items that are reported: the choice
favours them. Goes on where it was stopped.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from arr_coc.eval.allocation_report import drawn, written
from arr_coc.eval.atomic import write_json, write_text
from arr_coc.eval.config import RunConfig
from arr_coc.eval.environment import environment, source_folder
from arr_coc.eval.flops import DecoderShape
from arr_coc.eval.method import BLIND, FULL
from arr_coc.eval.models import load
from arr_coc.eval.nano.dataset import crowd
from arr_coc.eval.nano.quality import TASKS
from arr_coc.eval.samples import Sample, read
from arr_coc.eval.table import Group, compared, grouped, rows
from arr_coc.eval.terminal import evaluate_with_progress

OURS = ("efe+merge+ln_n", "efe+ln_n", "efe")
"""The first is the one that the claims are about; chosen on validation items."""
LARGE, SMALL = (0.33, 0.22), (0.11, 0.055, 0.028)
"""Fractions kept. At the large ones hardly anything is lost: a fifth of the items is asked."""
CLAIMED = (0.11, 0.055)
BY_ATTENTION = ("agileprune", "fastervlm", "hiprune", "holov", "id_selection", "prumerge_plus", "scope",
                "visionzip", "vispruner")  # fmt: skip
"""By the class token's attention. These models have none that was trained: what patches receive instead."""
RATED = ("cdpruner", "dart", "divprune", "eadp", "mmtok", "trim", "trim+received",
         *(f"{name}+received" for name in BY_ATTENTION))  # fmt: skip
POOLED = ("prumerge+received", "tome")
"""Those that merge anyway, besides some of the above, whose switch for it does nothing."""
INSIDE = ("fastv", "sparsevlm", "pyramiddrop", "autoprune")
"""Of methods that drop between the layers of the language model, at equal token-layers."""
ALSO_OURS = ("efe_depth", "quadtree", "saccade")
"""Between the layers, over a pyramid, and after a glimpse: neither the claim nor among the others."""
LEADERS = ("cdpruner", "eadp", "trim")
"""The best of the others as published: asked, as ours, about `MANY` items of each task, for its strata."""
MANY = 2000
CONTROLS = ("random", "stride", "seed", "seed_per_sample")
SMALLER = ("pool", "downsample")
ABLATIONS = (
    "efe+indifferent+ln_n", "efe+text+ln_n", "efe+words+ln_n", "efe+modular+ln_n", "efe+trace+ln_n",
    "efe+nearest+ln_n", "efe+logdet+ln_n", "efe+facility+ln_n", "efe+merge", "efe+ln_n+compact",
    "efe+merge+ln_n+centroid",
)  # fmt: skip
KEPT = ("method", "budget", "n", "failed", "accuracy", "ci95", "above_blind", "kept_tokens", "visual_tokens",
        "token_layers", "prefill_flops")  # fmt: skip
"""Of a row of an evaluation, what a row of the evidence says."""
TOGETHER = "all tasks"
"""Name of what is said of all items of a model."""
APART = ("large", "leaders")
"""Runs of other items than the rest."""
Part = tuple[str, str]
"""A task, and which run of other items than the rest, if any."""
SEEDS = (1, 2)
"""Of the control that draws, besides 0."""


def settings() -> dict[str, tuple[tuple[str, ...], tuple[float, ...]]]:
    """Runs by name: methods and budgets. Those of one scorer stand together: they share its scores."""
    lent = ("+ln_n", "+merge+ln_n")
    before = (*RATED, *CONTROLS)
    every = (*OURS, *before, *POOLED, *SMALLER)
    return {
        "published": (every, SMALL),
        "lent": (
            (*(f"{m}{switch}" for m in before for switch in lent), *(f"{m}+ln_n" for m in POOLED + SMALLER)),
            CLAIMED,
        ),
        "inside": ((*INSIDE, *ALSO_OURS), SMALL),
        "ablations": (ABLATIONS, CLAIMED),
        **{f"draw-{seed}": (tuple(CONTROLS[0] + switch for switch in ("", *lent)), SMALL) for seed in SEEDS},
        "large": ((*every, *INSIDE, *ALSO_OURS), LARGE),
        "leaders": ((*OURS, *LEADERS), CLAIMED),
    }


def configs(
    model: str, limit: int, split: str, runs: Path, only: tuple[str, ...]
) -> Iterator[tuple[str, RunConfig]]:
    """What is run, by name."""
    for task in TASKS[model]:
        for name, (methods, budgets) in settings().items():
            if only and name not in only:
                continue
            yield (
                f"{task}-{name}",
                RunConfig(
                    model=model,
                    task=task,
                    methods=methods,
                    budgets=budgets,
                    limit={"large": max(1, limit // 5), "leaders": max(MANY, limit)}.get(name, limit),
                    split=split,
                    batch_size=100 if model == "nano-llava" else 25,
                    seed=int(name.removeprefix("draw-")) if name.startswith("draw") else 0,
                    share_choice=True,
                    examples=0,
                    out=str(runs / model),
                    name=f"{task}-{name}",
                ),
            )


def evidence(samples: list[Sample], shape: DecoderShape, config: RunConfig) -> dict[str, Any]:
    """Rows, strata, and ours against the best of the others, of one task."""
    groups = grouped(samples, list(dict.fromkeys((s.method, s.budget) for s in samples)))
    strata = {name: strata_of(sample) for name, sample in {s.id: s for s in samples}.items()}
    found = [
        {key: row[key] for key in KEPT}
        | {"strata": {name: _mean(part) for name, part in _by_stratum(group, strata).items()}}
        for row in rows(groups, shape, config.opened(), config.seed)
        for group in [groups[row["method"], row["budget"]]]
    ]
    return {
        "rows": found,
        "against_best": list(_against_best(groups, strata, config.seed)),
        "switched": list(_switched(groups, config.seed)),
    }


def _of_its_task(sample: Sample) -> Sample:
    """Named so that it can stand beside items of other tasks."""
    return replace(sample, id=f"{sample.task}/{sample.id}", picture=f"{sample.task}/{sample.picture}")


def strata_of(sample: Sample) -> tuple[str, ...]:
    """Kind of question; and of a scene, whether it is nearly empty or crowded."""
    if sample.task == "scene_reading":
        return (sample.kind,)
    split, number = sample.id.split("/")[-1].split("-")[:2]
    n = crowd(split, int(number))
    return (sample.kind, "empty" if n <= 3 else "crowded" if n >= 9 else "middling")


def _by_stratum(group: list[Sample], strata: dict[str, tuple[str, ...]]) -> dict[str, list[Sample]]:
    parts: dict[str, list[Sample]] = {}
    for sample in group:
        for name in strata[sample.id]:
            parts.setdefault(name, []).append(sample)
    return dict(sorted(parts.items()))


def _against_best(groups: Group, strata: dict[str, tuple[str, ...]], seed: int) -> Iterator[dict[str, Any]]:
    """At every budget: ours against the best as published, and against the best with our bias or merging."""
    apart = (FULL.name, BLIND.name, "efe", *ALSO_OURS)
    others = {method for method, _ in groups if method.split("+")[0] not in apart}
    published = {method for method in others if "+ln_n" not in method}
    # Lent at the budgets of the claims; further draws of the control have it in any case.
    lent = any(" seed " not in method for method in others - published)
    for budget in LARGE + SMALL:
        more = [("with our bias", others)] if lent and budget in CLAIMED else []
        for pool, among in [("as published", published), *more]:
            there = {m: _mean(groups[m, budget]) for m in sorted(among) if (m, budget) in groups}
            if not there or (OURS[0], budget) not in groups:
                continue
            best = max(there, key=lambda method: there[method])
            ours, theirs = groups[OURS[0], budget], groups[best, budget]
            parts, counterparts = _by_stratum(ours, strata), _by_stratum(theirs, strata)
            yield {
                "budget": budget,
                "ours": OURS[0],
                "among": pool,
                "best": best,
                "accuracy": [_mean(ours), there[best]],
                **compared(ours, theirs, seed),
                "strata": {name: compared(parts[name], counterparts[name], seed) for name in parts},
            }


def _switched(groups: Group, seed: int) -> Iterator[dict[str, Any]]:
    """What merging and precision are worth against dropping, and every part of ours against ours without."""
    pairs = [(OURS[0], OURS[-1]), (OURS[1], OURS[-1]), *((OURS[1], other) for other in ABLATIONS)]
    for budget in LARGE + SMALL:
        for one, other in pairs:
            if (one, budget) in groups and (other, budget) in groups:
                said = compared(groups[one, budget], groups[other, budget], seed)
                yield {"budget": budget, "method": one, "versus": other, **said}


def _mean(group: list[Sample]) -> float:
    return sum(sample.score for sample in group) / len(group)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=list(TASKS), default="nano-llava")
    parser.add_argument("--limit", type=int, default=2000, help="items of each task")
    parser.add_argument(
        "--split", default="retest2", help="validation: to choose settings by; others: seen before"
    )
    parser.add_argument("--only", nargs="*", default=(), choices=list(settings()), help="of the runs, these")
    parser.add_argument("--runs", type=Path, default=Path("runs/allocation"), help="of the evaluations")
    parser.add_argument("--out", type=Path, default=None, help="folder; a source checkout has a place for it")
    args = parser.parse_args()
    out = args.out or (source_folder() or Path()) / "allocation"
    console = Console()
    samples: dict[Part, dict[tuple[Any, ...], Sample]] = {}
    made: dict[Part, RunConfig] = {}
    for name, config in configs(args.model, args.limit, args.split, args.runs, tuple(args.only)):
        console.print(name)
        if evaluate_with_progress(config, False, console) is None:
            raise SystemExit("this evidence is made in one process")
        part = (config.task, next((of for of in APART if name.endswith(of)), ""))
        made[part] = config
        for sample in read(config.folder / "samples.jsonl"):
            if config.seed and sample.method not in (FULL.name, BLIND.name):
                sample = replace(sample, method=f"{sample.method} seed {config.seed}")
            samples.setdefault(part, {}).setdefault((sample.method, sample.budget, sample.id), sample)
    for (task, apart), config in list(made.items()):
        if len(TASKS[args.model]) == 1 or not all((one, apart) in made for one in TASKS[args.model]):
            continue
        made[TOGETHER, apart] = config
        of_all = samples.setdefault((TOGETHER, apart), {})
        of_all |= {(*key, task): _of_its_task(sample) for key, sample in samples[task, apart].items()}
    shape = DecoderShape.of(load(args.model, "cpu", "float32").model.config)
    tasks: dict[str, dict[str, Any]] = {}
    leaders: dict[str, dict[str, Any]] = {}
    for (task, apart), config in made.items():
        found = evidence(list(samples[task, apart].values()), shape, config)
        into = leaders if apart == "leaders" else tasks
        if task in into:  # the references are there already, on more items
            found["rows"] = [row for row in found["rows"] if row["method"] not in (FULL.name, BLIND.name)]
            for key, values in found.items():
                into[task][key] = into[task][key] + values
        else:
            into[task] = {**environment(), "seed": 0, **found}
    results = {
        "model": args.model, "limit": args.limit, "split": args.split, "tasks": tasks, "leaders": leaders
    }  # fmt: skip
    write_json(out / f"{args.model}.json", results)
    write_text(out / f"{args.model}.md", written(results))
    drawn(results, out / f"{args.model}.png")


if __name__ == "__main__":
    main()
