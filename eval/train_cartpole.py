"""Deep active inference learns to act: `python -m arr_coc.eval.train_cartpole`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from typer import Option, Typer

from arr_coc.eval.atomic import write_json
from arr_coc.eval.environment import environment, source_folder

app = Typer(add_completion=False, pretty_exceptions_show_locals=False)
console = Console(markup=False)
EXTRAS = {"gymnasium": "gym", "stable_baselines3": "bench", "matplotlib": "eval"}
"""What installs the packages that a row may need."""


@app.command()
def train_cartpole(
    agents: Annotated[
        str, Option(help="Rows to train, with commas; `all`, or none at all to gather what is there.")
    ] = "all",
    seeds: Annotated[str, Option(help="With commas. 0 to 4 are reported; tune on others.")] = "0,1,2,3,4",
    runs: Annotated[Path, Option(help="Folder of finished jobs: these are not run again.")] = Path(
        "runs/cartpole"
    ),
    out: Annotated[
        Path | None, Option(help="Folder of cartpole.json and cartpole.png; a source checkout has one.")
    ] = None,
    episodes: Annotated[
        int | None, Option(min=1, help="Other than each row's own number, to try it.")
    ] = None,
) -> None:
    """Train agents on CartPole-v1, and on a task of pure exploration; evaluate each over 100 episodes.

    `efe` plans in a model that it learns, and sees neither reward nor the end of an episode; `no_epistemic`
    and `reward_only` are its ablations; `efe_value` acts by a value network instead of a plan. `random`,
    `rule`, `ppo` and `dqn` are anchors. Rows that begin with `car_` live in MountainCar-v0 and have a goal,
    but no reward. Every finished pair of agent and seed is kept under --runs, so a stopped command goes on
    where it was, and several may share the work. The table is made of all that is there.
    """
    from arr_coc.eval.deep.curves import learning_curves
    from arr_coc.eval.deep.jobs import AGENTS, length, run
    from arr_coc.eval.deep.life import SOLVED
    from arr_coc.eval.deep.parts import bars, gather, part, summary
    from arr_coc.eval.deep.published import PUBLISHED

    names = AGENTS if agents == "all" else [name.strip() for name in agents.split(",") if name.strip()]
    for name in names:
        if name not in AGENTS:
            raise ValueError(f"no agent called {name!r}; known: {', '.join(AGENTS)}")
    folder, made = out or source_folder() or Path(), environment()
    jobs = [(name, int(seed)) for seed in seeds.split(",") for name in names]
    bar = Progress(
        TextColumn("{task.description:<16}"), BarColumn(bar_width=20), MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[told]}"), console=console,
    )  # fmt: skip
    with bar:
        for name, seed in jobs:
            done = part(runs, name, seed).exists()
            shown = bar.add_task(f"{name} {seed}", total=None, told="done before" if done else "")
            if not done:
                bar.update(shown, total=episodes or length(name))
                run(name, seed, runs, episodes, made, partial(_tell, bar, shown))
    finished = gather(runs, AGENTS)
    results = made | {
        "solved_at": SOLVED, "bars": bars(finished), "rows": summary(finished), "published": PUBLISHED,
        "seed": sorted({job["seed"] for job in finished}),
        "seeds": [{key: value for key, value in job.items() if key != "curves"} for job in finished],
        "returns": {f"{job['agent']}-{job['seed']}": job["curves"]["return"] for job in finished},
    }  # fmt: skip
    write_json(folder / "cartpole.json", results)
    cart = [job for job in finished if not job["agent"].startswith("car_")]
    if any(job["curves"]["return"] for job in cart):
        learning_curves(cart, folder / "cartpole.png", SOLVED)
    _show(results["rows"])
    console.print(f"written: {folder / 'cartpole.json'}", soft_wrap=True)


def _tell(bar: Progress, shown: TaskID, told: dict[str, float]) -> None:
    words = " ".join(f"{key} {told[key]:.3g}" for key in ("return", "F", "G", "entropy") if key in told)
    bar.update(shown, advance=1, told=words)


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table(title="every seed in turn", title_justify="left", box=SIMPLE_HEAD)
    for name in ("agent", "first 500", "episode of 475", "steps of 475", "evaluation", "ended"):
        table.add_column(name, no_wrap=name == "agent")
    for row in rows:
        keys = ("first_500", "episode_of_475", "steps_of_475", "eval_return_mean", "eval_ended_share")
        table.add_row(row["agent"], *(" ".join("-" if n is None else f"{n:g}" for n in row[k]) for k in keys))
    console.print(table)


def main() -> None:
    """A mistake of the user, or a missing extra, is one line."""
    try:
        app()
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(error.name or "")
        if extra is None:
            raise
        raise SystemExit(f"error: {error.name} is not installed: pip install 'arr-coc[{extra}]'") from error
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
