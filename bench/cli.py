"""The command line: parse, call, print."""

import os
import shlex
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from savo_bench.bench import profiles, provenance, show
from savo_bench.bench.errors import UserError

app = typer.Typer(
    name="bench",
    help="Train and compare off-policy reinforcement learning algorithms.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
UsageError: Any = typer.BadParameter.__base__  # click's or, since typer brings its own parser, typer's


def on_slurm(text: str) -> Any:
    """An option that is SLURM's business."""
    return typer.Option(help=text, rich_help_panel="With --on slurm")


Name = Annotated[str, typer.Argument(help="A set of cells: the folder under --runs.", show_default=True)]
Runs = Annotated[Path, typer.Option(help="The folder of all runs.")]


@app.command("list")
def list_(what: Annotated[str, typer.Argument(help="algos, envs or profiles; all three if left out.")] = "") -> None:
    """List algorithms, environments and profiles."""
    from savo_bench.bench import listing

    listing.print_lists(what, show.console())


@app.command()
def run(
    algos: Annotated[
        list[str] | None, typer.Option(help="What to train: savo,td3:target_noise=0 or savo:extra_actors=1,3,5.")
    ] = None,
    envs: Annotated[
        list[str] | None, typer.Option(help="On what: names, tags, all; with keywords: restricted-hopper:balls=990.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="10 (0 to 9), 3-7 or 0,4. Without it one seed, 0.")] = None,
    profile: Annotated[
        str | None, typer.Option(help=f"The budget: {', '.join(profiles.PROFILES)}. Without it {profiles.DEFAULT}.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps, instead of the profile's.")] = None,
    eval_every: Annotated[int | None, typer.Option(help="Steps between evaluations, instead of the profile's.")] = None,
    eval_episodes: Annotated[int | None, typer.Option(help="Episodes of one, instead of the profile's.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="FIELD=VALUE for all that have it, ALGORITHM.FIELD=VALUE or env.KEYWORD=VALUE."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with these options and a table named set. The command line wins.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The folder under --runs that the cells join.")] = None,
    runs: Annotated[Path | None, typer.Option(help="The folder of all runs.")] = None,
    on: Annotated[
        str | None, typer.Option(help="local: a pool of processes; slurm: tasks of an array job; inline: this one.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes at a time. Without it one per core or GPU.")] = None,
    pack: Annotated[int | None, typer.Option(help="Most seeds that one process trains together.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done, and what it costs.")] = False,
    checkpoint_every: Annotated[float | None, typer.Option(help="Seconds between checkpoints.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow what SLURM was given until it is through.")] = False,
    partition: Annotated[str | None, on_slurm("Partition.")] = None,
    account: Annotated[str | None, on_slurm("Account.")] = None,
    qos: Annotated[str | None, on_slurm("Quality of service.")] = None,
    time: Annotated[str | None, on_slurm("Limit of a task: minutes, H:M:S, D-H. At it it is requeued.")] = None,
    gres: Annotated[str | None, on_slurm("For each task, as gpu:1.")] = None,
    cpus: Annotated[int | None, on_slurm("CPUs of a task.")] = None,
    mem: Annotated[str | None, on_slurm("Memory of a task, as 4G.")] = None,
    constraint: Annotated[str | None, on_slurm("Features that nodes must have.")] = None,
    setup: Annotated[list[str] | None, on_slurm("A shell line to run first: module load cuda. Repeatable.")] = None,
    extra: Annotated[list[str] | None, on_slurm("Another option of sbatch, KEY=VALUE or KEY. Repeatable.")] = None,
    array_parallelism: Annotated[int | None, on_slurm("Most tasks that run at a time.")] = None,
) -> int:
    """Train what is asked for and not done yet. The same command again goes on where it was stopped."""
    from savo_bench.bench import grid, options, submit

    given = {
        "algos": ",".join(algos) if algos else None,
        "envs": ",".join(envs) if envs else None,
        "seeds": seeds,
        "profile": profile,
        "steps": steps,
        "eval_every": eval_every,
        "eval_episodes": eval_episodes,
        "name": name,
        "runs": runs,
        "on": on,
        "device": device,
        "workers": workers,
        "pack": pack,
        "checkpoint_every": checkpoint_every,
        "wait": wait or None,
        "slurm": {
            "partition": partition,
            "account": account,
            "qos": qos,
            "time": time,
            "gres": gres,
            "cpus": cpus,
            "mem": mem,
            "constraint": constraint,
            "setup": setup or None,
            "extra": extra or None,
            "array_parallelism": array_parallelism,
        },
    }
    planned = grid.prepare(options.make(config, given, settings or []))
    start = submit.run if planned.options.on == "slurm" else grid.run
    return (grid.dry_run if dry_run else start)(planned, show.console())


@app.command()
def status(name: Name = "default", runs: Runs = Path("runs")) -> int:
    """Say what is done, running, queued, failed, interrupted and missing, and why. Exit code 1 if anything failed."""
    from savo_bench.bench import jobs, run_directory
    from savo_bench.results.state import survey

    root = run_directory.find(runs, name)
    known = jobs.Jobs(root)
    cells = known.join(survey(root))
    console = show.console()
    console.print(show.states_table(cells, {}, console.width))
    for text in known.notes():
        show.line(console, f"note: {text}", "yellow")
    for text, style in show.reasons(cells):
        show.line(console, text, style)
    return 1 if any(cell.count()["failed"] or cell.count()["unreadable"] for cell in cells) else 0


@app.command()
def report(
    name: Name = "default",
    runs: Runs = Path("runs"),
    out: Annotated[Path | None, typer.Option(help="Where to. Without it the folder report of the name.")] = None,
    summary: Annotated[str, typer.Option(help="What a seed's score is: last10, final or best.")] = "last10",
    curves: Annotated[str, typer.Option(help="What a learning curve is over seeds: mean or iqm.")] = "mean",
    per_seed: Annotated[bool, typer.Option("--per-seed", help="Draw a thin line per seed, too.")] = False,
) -> None:
    """Write a web page, Markdown, LaTeX, tables and figures, and print the scores."""
    from savo_bench.bench import listing, run_directory
    from savo_bench.results.format import report_folder

    root = run_directory.find(runs, name)
    options = {"summary": summary, "curves": curves, "per_seed": per_seed}
    listing.print_report(root, out or report_folder(root), show.console(), **options)


@app.command()
def check(
    name: Name = "default",
    runs: Runs = Path("runs"),
    against: Annotated[Path | None, typer.Option(help="The baseline to judge by.")] = None,
    update: Annotated[Path | None, typer.Option(help="Write these runs as a baseline instead.")] = None,
    throughput: Annotated[
        float | None, typer.Option(help="Judge the speed, too: the smallest ratio to the baseline's that passes.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Where to write the verdict as Markdown.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Where to write it as JUnit XML.")] = None,
) -> int:
    """Judge runs by a baseline. Exit codes: 0 pass, 1 regression, 2 wrong usage, 3 cannot tell, 4 not measured."""
    from savo_bench.bench import gate, run_directory

    if (against is None) == (update is None):
        raise UserError("bench check: give either --against FILE or --update FILE")
    root = run_directory.find(runs, name)
    if update is not None:
        return gate.update(root, update, show.console())
    assert against is not None
    return gate.check(root, against, show.console(), markdown=markdown, junit=junit, throughput=throughput)


@app.command()
def play(
    env: Annotated[str, typer.Option(help="The environment, as bench run takes it.")],
    algo: Annotated[str, typer.Option(help="The algorithm or variant, as bench run takes it.")],
    name: Name = "default",
    seed: Annotated[int | None, typer.Option(help="The seed. Without it the lowest that is done.")] = None,
    runs: Runs = Path("runs"),
    episodes: Annotated[int, typer.Option(help="How many episodes the film shows.")] = 1,
    steps: Annotated[int | None, typer.Option(help="Most steps of an episode that it shows.")] = None,
    fps: Annotated[
        float, typer.Option(help="Most pictures per second; the film keeps the task's own time.")
    ] = 25.0,  # ours: smooth, and a fifth of what Hopper's 125 steps per second would cost to draw
    out: Annotated[Path | None, typer.Option(help="A .gif or .mp4. Without it film.mp4 or .gif by the policy.")] = None,
) -> None:
    """Film the policy of a finished seed, and print what its episodes brought. Exit code 1 if that cannot be done."""
    from savo_bench.bench import run_directory
    from savo_bench.bench.play import play

    root = run_directory.find(runs, name)
    play(root, env, algo, seed, show.console(), episodes=episodes, steps=steps, fps=fps, out=out)


def main() -> None:
    """Run the command line; every mistake of the user ends in one line and exit code 2."""
    os.environ[provenance.COMMAND] = shlex.join(["bench", *sys.argv[1:]])  # for the provenance, also of workers
    warnings.showwarning = _show_warning
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        code = _complain(str(error), error.exit_code)
    except UsageError as error:
        code = _complain(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = _complain("stopped before anything was started", 130)
    except BrokenPipeError:  # as in `bench list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int) -> int:
    show.line(show.console(stderr=True), f"error: {' '.join(message.split())}", "red")
    return code


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    show.line(show.console(stderr=True), f"warning: {' '.join(str(message).split())}", "yellow")


if __name__ == "__main__":
    main()
