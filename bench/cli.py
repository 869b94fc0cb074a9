"""The command line: parse, call, print."""

import inspect
import os
import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from savo_bench.bench import flags, launch, options, run_directory, show
from savo_bench.bench.errors import UserError

UsageError: Any = typer.BadParameter.__base__  # click's or, since typer brings its own parser, typer's

Name = Annotated[str, typer.Argument(help="A set of cells: the folder under --runs.", show_default=True)]
Runs = Annotated[Path, typer.Option(help="The folder of all runs.")]


def list_(what: Annotated[str, typer.Argument(help="algos, envs or profiles; all three if left out.")] = "") -> None:
    """List algorithms, environments and profiles."""
    from savo_bench.bench.commands.list import print_lists

    print_lists(what, show.console())


def run(context: typer.Context, **_: Any) -> int:
    """Train what is asked for and not done yet. The same command again resumes where it was stopped."""
    from savo_bench.bench.commands import run as verb

    given = {
        name: value
        for name, value in context.params.items()
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }
    return verb.execute(options.make(given, launch.options_types(), command_line()), show.console())


def status(name: Name = "default", runs: Runs = Path("runs")) -> int:
    """Say what is done, running, queued, failed, interrupted and missing, and why. Exit code 1 if anything failed."""
    from savo_bench.bench.commands.status import print_status

    return print_status(run_directory.find(runs, name), show.console())


def report(
    name: Name = "default",
    runs: Runs = Path("runs"),
    out: Annotated[Path | None, typer.Option(help="Where to. Without it the folder report of the name.")] = None,
    summary: Annotated[str, typer.Option(help="What a seed's score is: last10, final or best.")] = "last10",
    curves: Annotated[str, typer.Option(help="What a learning curve is over seeds: mean or iqm.")] = "mean",
    per_seed: Annotated[bool, typer.Option("--per-seed", help="Draw a thin line per seed, too.")] = False,
) -> None:
    """Write a web page, Markdown, LaTeX, tables and figures, and print the scores."""
    from savo_bench.bench.commands.report import print_report

    root = run_directory.find(runs, name)
    options = {"summary": summary, "curves": curves, "per_seed": per_seed}
    print_report(root, out or root / "report", show.console(), **options)


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
    from savo_bench.bench.commands import check as verdict

    if (against is None) == (update is None):
        raise UserError("bench check: give either --against FILE or --update FILE")
    root = run_directory.find(runs, name)
    if update is not None:
        return verdict.update(root, update, show.console())
    assert against is not None
    return verdict.check(root, against, show.console(), markdown=markdown, junit=junit, throughput=throughput)


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
    """Film the policy of a finished seed, and print the returns of its episodes. Exit code 1 if that cannot be done."""
    from savo_bench.bench.commands.play import play

    root = run_directory.find(runs, name)
    play(root, env, algo, seed, show.console(), episodes=episodes, steps=steps, fps=fps, out=out)


def app() -> typer.Typer:
    """The verbs, and for `run` the options of every launcher, plug-ins included."""
    made = typer.Typer(
        name="bench",
        help="Train and compare off-policy reinforcement learning algorithms.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, verb in (
        ("list", list_),
        ("run", _with_options(run)),
        ("status", status),
        ("report", report),
        ("check", check),
        ("play", play),
    ):
        made.command(name)(verb)
    return made


def _with_options(verb: Callable[..., int]) -> Callable[..., int]:
    """`run` with a signature that names its options, as Typer reads it."""
    launchers = {name: launch.get(name) for name in launch.names()}
    on = "; ".join(f"{name}: {launcher.summary}" for name, launcher in launchers.items())
    context = next(iter(inspect.signature(verb).parameters.values()))
    declared = flags.parameters(options.Options, texts={"on": f"{on}."})
    for name, launcher in launchers.items():
        declared += flags.parameters(launcher.options_type, panel=f"With --on {name}")
    verb.__signature__ = inspect.Signature([context, *declared])  # type: ignore[attr-defined]
    return verb


def command_line() -> str:
    """The command as it was typed, for the provenance of the runs it starts."""
    return shlex.join(["bench", *sys.argv[1:]])


def main() -> None:
    """Run the command line; every mistake of the user ends in one line and exit code 2."""
    warnings.showwarning = _show_warning
    try:
        code = app()(standalone_mode=False)
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
