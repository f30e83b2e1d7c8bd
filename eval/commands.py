"""The commands of `arr-coc`, thin: each reads its options and calls the module that does the work."""

from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.text import Text
from typer import Argument, Exit, Option, Typer

from arr_coc.eval.bench_commands import agent, efficiency, kills, prefill, sweep
from arr_coc.eval.config import RunConfig
from arr_coc.eval.reading_commands import compare, export, leaderboard

console = Console(markup=False)
"""What users and models say is text: a bracket in it is a bracket."""
app = Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="How many visual tokens a question is worth, and which.",
    epilog="A mistake is said in one line; ARR_COC_DEBUG=1 shows where it came from.",
)
bench = Typer(no_args_is_help=True, help="Speed, measured side by side in one run.")
app.add_typer(bench, name="bench")
bench.command()(prefill)
bench.command()(agent)
bench.command()(sweep)
bench.command()(efficiency)
bench.command()(kills)
app.command()(compare)
app.command()(leaderboard)
app.command()(export)

FAILED = 3
"""Exit code of an evaluation that was finished, but for answers that failed."""
DEFAULT = RunConfig()
ModelOption = Annotated[str, Option(help="A shipped model, a folder, or a Hugging Face name.")]
DeviceOption = Annotated[str, Option(help="cpu, cuda, cuda:1, mps ...; auto spreads the model.")]
DtypeOption = Annotated[str, Option(help="float32, bfloat16 or float16.")]
FreshOption = Annotated[bool, Option("--fresh", help="Start over in a folder that holds another evaluation.")]


@app.command()
def demo(
    limit: Annotated[int, Option(min=1, help="Items of SceneVQA.")] = 300,
    out: Annotated[Path, Option(help="Folder of the results.")] = Path("demo"),
    batch_size: Annotated[int, Option(min=1, help="Items in one call.")] = DEFAULT.batch_size,
    fresh: FreshOption = False,
) -> None:
    """The main job, offline: the shipped model answers with ever fewer visual tokens, chosen five ways."""
    from arr_coc.eval.demo import run_demo
    from arr_coc.eval.terminal import evaluate_with_progress, show

    config = RunConfig(limit=limit, out=str(out), batch_size=batch_size, examples=0)
    results = evaluate_with_progress(config, fresh, console)
    if results is None:
        raise ValueError("the demo is for one process: start it without `accelerate launch`")
    pictures = run_demo(config, results)
    show(results, console)
    console.print("pictures of the kept tokens: " + ", ".join(map(str, pictures)), soft_wrap=True)
    console.print(f"report: {out / 'report.html'}", soft_wrap=True)


@app.command()
def ask(
    image: Annotated[Path, Argument(help="Your picture: PNG, JPEG, WEBP, GIF, BMP or TIFF.")],
    question: Annotated[str, Argument(help="Your question.")],
    model: ModelOption = DEFAULT.model,
    budget: Annotated[str, Option(help="0.11 (fraction kept) or 64 (count).")] = "0.11",
    method: Annotated[str, Option(help="A scorer with switches: efe, divprune+ln_n, efe+merge.")] = "efe",
    out: Annotated[Path, Option(help="Where the picture of the kept tokens goes.")] = Path("kept.png"),
    max_new_tokens: Annotated[int, Option(min=1, help="Longest answer.")] = 64,
    clip: Annotated[str, Option(help="For methods with +clip: NAME:WEIGHTS of open_clip.")] = DEFAULT.clip,
    device: DeviceOption = DEFAULT.device,
    dtype: DtypeOption = DEFAULT.dtype,
) -> None:
    """Answer about your own picture, with all visual tokens and with a budget, and show what was kept."""
    from arr_coc.eval.ask import ask as answer_twice
    from arr_coc.eval.method import Method, parse_budget
    from arr_coc.eval.models import load
    from arr_coc.eval.ratings import with_clip
    from arr_coc.eval.terminal import quiet, show_answers
    from arr_coc.eval.untrusted import open_picture

    if not question.strip():
        raise ValueError("the question is empty: ask something about the picture")
    quiet()
    picture, setting = open_picture(image), (Method.parse(method), parse_budget(budget))
    with console.status(Text(f"loading {model}")):
        loaded = with_clip(load(model, device, dtype), clip)
    with console.status("answering"):
        told = answer_twice(loaded, picture, question, [setting], max_new_tokens, out)
    show_answers(told, console)
    console.print(f"what was kept: {out}", soft_wrap=True)


@app.command("eval")
def evaluate(
    config: Annotated[Path | None, Option(help="YAML with these settings; options given here win.")] = None,
    model: Annotated[str | None, Option(help="A shipped model, a folder, or a Hugging Face name.")] = None,
    task: Annotated[str | None, Option(help="What is asked; `arr-coc list` names them.")] = None,
    data: Annotated[
        str | None, Option(help="The task's rows: folder, .parquet, .jsonl, or `sample`.")
    ] = None,
    task_option: Annotated[
        list[str] | None, Option(help="Of the task: n_frames=16; may be given several times.")
    ] = None,
    methods: Annotated[str | None, Option(help="efe,divprune+ln_n,efe+merge ...")] = None,
    budgets: Annotated[str | None, Option(help="0.33,64,auto:0.11: fraction kept, count, or a mean.")] = None,
    limit: Annotated[
        int | None, Option(min=0, help="The first so many items, by default 300; 0: all of them.")
    ] = None,
    split: Annotated[str | None, Option(help="Part of the task's items.")] = None,
    batch_size: Annotated[int | None, Option(min=1, help="Items in one call.")] = None,
    seed: Annotated[int | None, Option(help="Of the random control and of the bootstrap.")] = None,
    merge: Annotated[bool | None, Option(help="Pool dropped tokens into kept ones, all methods.")] = None,
    precision: Annotated[bool | None, Option(help="ln n on the attention logits, all methods.")] = None,
    positions: Annotated[str | None, Option(help="original, compact or centroid, all methods.")] = None,
    share_vision: Annotated[bool | None, Option(help="Encode each batch's pictures once for all.")] = None,
    need: Annotated[str | None, Option(help="File of arr-coc calibrate: auto:, cascade:, +learned.")] = None,
    clip: Annotated[
        str | None, Option(help="For methods with +clip: NAME:WEIGHTS of open_clip, or local-dir:FOLDER.")
    ] = None,
    device: Annotated[str | None, Option(help="cpu, cuda, cuda:1, mps ...; auto spreads the model.")] = None,
    dtype: Annotated[str | None, Option(help="float32, bfloat16 or float16.")] = None,
    out: Annotated[
        str | None,
        Option(help="Folder of the results; runs/TASK by default. The same command goes on there."),
    ] = None,
    name: Annotated[str | None, Option(help="Of the run: a folder of its own in --out.")] = None,
    examples: Annotated[int | None, Option(min=0, help="Wins and losses that are drawn.")] = None,
    fresh: FreshOption = False,
    retry: Annotated[bool, Option("--retry", help="Ask again what failed before.")] = False,
) -> None:
    """Accuracy against visual tokens kept, with intervals. Stop it at any time: run again, and it goes on."""
    from arr_coc.eval.folder import settings_from
    from arr_coc.eval.terminal import evaluate_with_progress, show

    given: dict[str, Any] = {
        "model": model, "task": task, "task_options": tuple(task_option or ()) or None,
        "methods": _listed(methods), "budgets": _listed(budgets),
        "limit": limit, "split": split, "batch_size": batch_size, "seed": seed, "merge": merge,
        "precision": precision, "positions": positions, "share_vision": share_vision, "device": device,
        "dtype": dtype, "out": out,
        "name": name, "data": data, "examples": examples, "need": need, "clip": clip,
    }  # fmt: skip
    settings = settings_from(config) if config else {}
    settings |= {key: value for key, value in given.items() if value is not None}
    if settings.get("limit") == 0:
        settings["limit"] = None
    run = RunConfig(**settings)
    results = evaluate_with_progress(run, fresh, console, retry)
    if results is None:
        console.print("this process is done; the last one of the others writes the results")
        return
    show(results, console)
    console.print(f"report: {run.folder / 'report.html'}", soft_wrap=True)
    if results["failures"]["reasons"]:
        raise Exit(FAILED)


@app.command()
def calibrate(
    model: Annotated[str, Argument(help="A shipped model, a folder, or a Hugging Face name.")],
    task: Annotated[str, Option(help="Whose prompts it answers; `arr-coc list` names them.")] = "scene_vqa",
    data: Annotated[str | None, Option(help="Folder or file of the task's schema; none: the hub.")] = None,
    split: Annotated[str, Option(help="Part of the task's items. Not one that you report on.")] = "train",
    method: Annotated[str, Option(help="What chooses the tokens.")] = "efe+ln_n",
    limit: Annotated[int, Option(min=50, help="Prompts; labels are not read.")] = 600,
    batch_size: Annotated[int, Option(min=1, help="Items in one call.")] = 32,
    device: DeviceOption = "cpu",
    dtype: Annotated[str, Option(help="float32, bfloat16 or float16.")] = "float32",
    out: Annotated[str, Option(help="Folder. The same command goes on where it was.")] = "runs/calibration",
) -> None:
    """Learn, without labels, where to look, what questions need, and when a model is sure.

    For methods with +learned and for the budgets auto: and cascade:.
    """
    from arr_coc.eval.calibrate import calibrate as learn

    run = RunConfig(
        model=model, task=task, data=data, split=split, methods=(method,), limit=limit, batch_size=batch_size,
        device=device, dtype=dtype, out=out, budgets=(1,),
    )  # fmt: skip
    _, path = learn(run, console)
    uses = "--methods efe+learned+ln_n, --budgets auto:0.11,cascade:0.05"
    console.print(f"written: {path}; for {uses} with --need {path}", soft_wrap=True)


@app.command("list")
def list_parts() -> None:
    """What there is: models, tasks, scorers, selectors, model families."""
    from arr_coc.eval.parts import show_parts

    show_parts(console)


@app.command()
def cite(method: Annotated[str, Argument(help="A scorer, as `arr-coc list` names it.")]) -> None:
    """Where a method comes from: the equation it is, and its source."""
    from arr_coc.eval.parts import show_source

    show_source(method, console)


def _listed(words: str | None) -> tuple[str, ...] | None:
    return None if words is None else tuple(word.strip() for word in words.split(","))
