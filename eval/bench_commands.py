"""`arr-coc bench ...`: what pruning saves, how fast the agent is, what an evaluation costs and survives."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from typer import Option

from arr_coc.eval.atomic import write_json

console = Console(markup=False)
OutOption = Annotated[Path | None, Option(help="JSON file; a source checkout has a place for it.")]


def prefill(
    methods: Annotated[
        str, Option(help="Methods beside the full prefill.")
    ] = "efe,efe+merge+ln_n,divprune,seed,random,stride",
    budget: Annotated[int, Option(min=1, max=576, help="Visual tokens kept of 576.")] = 64,
    repeats: Annotated[int, Option(min=1, help="Rounds; each measures every method once.")] = 5,
    layers: Annotated[int, Option(min=1, help="Layers of the decoder, 13 M parameters each.")] = 22,
    seed: Annotated[int, Option(help="Of the random weights, picture and words.")] = 0,
    out: OutOption = None,
) -> None:
    """Prefill of a random 300 M Llama decoder with 576 visual and 40 text tokens: full, and with a budget."""
    from arr_coc.eval.bench.prefill import measure, place
    from arr_coc.eval.terminal import show_bench

    path = place(out)
    with console.status("building the model") as status:
        results = measure(
            [name.strip() for name in methods.split(",")], budget, repeats, layers, seed, status.update
        )
    write_json(path, results)
    show_bench(results, console)
    console.print(f"written: {path}", soft_wrap=True)


def agent(
    rounds: Annotated[
        int, Option(min=1, help="Rounds; each measures every form of every program once.")
    ] = 11,
    seed: Annotated[int, Option(help="Of the random models, beliefs and observations.")] = 0,
    compiled: Annotated[bool, Option(help="Measure torch.compile too; takes minutes.")] = True,
    case: Annotated[
        list[str] | None,
        Option(help="Only cases whose name has this in it, as 'unrelated'; written only where --out says."),
    ] = None,
    out: OutOption = None,
) -> None:
    """Planning and perception of the agent core beside jitted pymdp, one thread, CPU time."""
    from arr_coc.eval.bench.agent import chosen, measure, place
    from arr_coc.eval.terminal import show_agent_bench

    # Some cases alone do not take the place of the figures of all.
    path = None if case and out is None else place(out)
    modes = ("eager", "compiled") if compiled else ("eager",)

    def save(found: dict[str, Any]) -> None:
        if path is not None:
            write_json(path, found)

    with console.status("starting") as status:
        results = measure(rounds, seed, chosen(case or ()), not case, modes, say=status.update, save=save)
    show_agent_bench(results, console)
    if path is not None:
        console.print(f"written: {path}", soft_wrap=True)


def sweep(
    model: Annotated[str, Option(help="A shipped model, a folder, or a Hugging Face name.")] = "nano-llava",
    limit: Annotated[int, Option(min=1, help="Items of SceneVQA.")] = 64,
    batch_size: Annotated[int, Option(min=1, help="Items in one call.")] = 32,
    out: OutOption = None,
) -> None:
    """Four methods at five budgets in one pass over the data, and each in a pass of its own."""
    from arr_coc.eval.bench.prefill import place
    from arr_coc.eval.bench.sweep import BUDGETS, METHODS, measure
    from arr_coc.eval.config import RunConfig
    from arr_coc.eval.terminal import quiet

    quiet()
    path = place(out, "sweep.json")
    config = RunConfig(model=model, methods=METHODS, budgets=BUDGETS, limit=limit, batch_size=batch_size)
    with console.status("loading") as status:
        results = measure(config, status.update)
    write_json(path, results)
    same = "the same answers" if results["same_answers"] else "OTHER ANSWERS"
    _table(f"{limit} items, {same}", results["rows"], ("case", "ours_ms", "peer_ms", "speedup_vs_separate"))
    console.print(f"written: {path}", soft_wrap=True)


def efficiency(
    methods: Annotated[str, Option(help="The first is measured over batches and prompt lengths.")] = "efe,"
    "divprune,random,stride",
    budget: Annotated[str, Option(help="0.11 (fraction kept) or 64 (count).")] = "0.11",
    rounds: Annotated[int, Option(min=1, help="Each measures every case once.")] = 5,
    layers: Annotated[int, Option(min=1, help="Layers of the decoder, 13 M parameters each.")] = 22,
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, mps ...")] = "cpu",
    out: OutOption = None,
) -> None:
    """First token, later tokens, memory, FLOPs, energy; by batch and prompt length; where pruning pays."""
    from arr_coc.eval.bench.efficiency import measure
    from arr_coc.eval.bench.prefill import place
    from arr_coc.eval.bench.random_llava import RandomLlava
    from arr_coc.eval.method import parse_budget

    path = place(out, "efficiency.json")
    names = [name.strip() for name in methods.split(",")]
    with console.status("building the model") as status:
        results = measure(
            names, parse_budget(budget), rounds, llava=RandomLlava(layers=layers), device=device,
            say=status.update,
        )  # fmt: skip
    write_json(path, results)
    columns = (
        "case",
        "prompt_tokens",
        "batch",
        "ours_ms",
        "peer_ms",
        "tpot_p50_ms",
        "select_ms",
        "seen",
        "flops",
    )
    for name in ("rows", "batch_sweep", "length_sweep"):
        _table(name.replace("_", " "), results[name], columns)
    console.print(
        f"pruning pays from {results['break_even']['prompt_tokens']} prompt tokens on (null: never)"
    )
    console.print(f"written: {path}", soft_wrap=True)


def kills(
    limit: Annotated[int, Option(min=1, help="Items of SceneVQA.")] = 5000,
    times: Annotated[int, Option("--kills", min=1, help="How often it is killed.")] = 20,
    model: Annotated[str | None, Option(help="A model; without one a tiny random LLaVA is made.")] = None,
    batch_size: Annotated[int, Option(min=1, help="Items in one call.")] = 50,
    seed: Annotated[int, Option(help="Of the moments.")] = 0,
    fork: Annotated[bool, Option("--fork", help="Restart as a copy of this process, imports done.")] = False,
    out: OutOption = None,
) -> None:
    """Kill an evaluation at random moments, start it again, compare its records with an unbroken run's."""
    from arr_coc.eval.bench.kills import Forked, measure, start
    from arr_coc.eval.bench.prefill import place
    from arr_coc.eval.bench.small_llava import save
    from arr_coc.eval.config import RunConfig

    path = place(out, "kills.json")
    with TemporaryDirectory(prefix="arr-coc-small-") as made:
        config = RunConfig(
            model=model or str(save(Path(made))), methods=("stride",), budgets=(16,), limit=limit,
            batch_size=batch_size, examples=0,
        )  # fmt: skip
        results = measure(config, times, seed, start=Forked if fork else start, say=console.print)
    results["model"] = model or "tiny random LLaVA"
    write_json(path, results)
    console.print(
        f"{results['kills']} kills, {results['records']} records of {results['expected_records']}, "
        + ("the same as unbroken" if results["same"] else "NOT the same as unbroken")
    )
    console.print(f"written: {path}", soft_wrap=True)


def _table(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in columns:
        table.add_column(name.replace("_", "\n"), justify="left" if name == "case" else "right")
    for row in rows:
        table.add_row(*(f"{row[c]:,.1f}" if isinstance(row[c], float) else str(row[c]) for c in columns))
    console.print(table)
