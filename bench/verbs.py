"""The verbs of the command line and their arguments, as Typer reads them."""

import inspect
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from savo_bench.bench import completion, examples, flags, grammar, launch, options, report_options, run_directory, show
from savo_bench.bench.errors import USAGE, UserError
from savo_bench.results.declared import MEASURES

UsageError: Any = typer.BadParameter.__base__  # click's or, since typer brings its own parser, typer's

Name = Annotated[str, flags.argument("A set of cells: the folder under --runs.", "[NAME]", completion.names)]
Runs = Annotated[Path, flags.option(Path, "The folder of all runs.")]
OneEnv = Annotated[str, flags.option(str, "The environment, as bench run takes it.", complete=completion.environments)]
OneAlgo = Annotated[
    str, flags.option(str, "The algorithm or variant, as bench run takes it.", complete=completion.algorithms)
]
OneSeed = Annotated[int | None, flags.option(int, "The seed. Without it the lowest that is done.")]


def list_(
    what: Annotated[
        str | None,
        flags.argument(
            "algos, envs, profiles or controls; an algorithm; a field. Without it the first four.",
            "[WHAT]",
            completion.listed,
        ),
    ] = None,
) -> None:
    """List algorithms, environments, profiles and controls, or say what a field or those of an algorithm mean."""
    from savo_bench.bench.commands.list import print_lists

    print_lists(what, show.console())


def run(context: typer.Context, **_: Any) -> int:
    """Train what is asked for and not done yet. The same command again resumes where it was stopped."""
    from savo_bench.bench.commands import run as verb

    return verb.execute(options.make(_given(context), launch.options_types(), command_line()), show.console())


def status(name: Name = "default", runs: Runs = Path("runs")) -> int:
    """Say what is done, running, queued, failed and missing, and why. Exit code 1 if a seed failed or is unreadable."""
    from savo_bench.bench.commands.status import print_status

    return print_status(run_directory.find(runs, name), show.console())


def report(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        flags.argument(
            "Sets of cells: folders under --runs. Several are pooled into one report.", complete=completion.names
        ),
    ] = None,
    runs: Runs = Path("runs"),
    out: Annotated[
        Path | None, flags.option(Path, "Where to. Without it the folder report of the name; needed for several.")
    ] = None,
    config: Annotated[
        Path | None,
        flags.option(Path, "A TOML file with the options below and tables labels, colours. The command line wins."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Write it again while seeds train, until all are done.")
    ] = False,
    **_: Any,
) -> None:
    """Write a web page, Markdown, LaTeX, tables and figures, and print the scores."""
    from savo_bench.bench.commands.report import print_report

    asked = report_options.make(_given(context), config)
    roots = [run_directory.find(runs, name) for name in dict.fromkeys(names or ["default"])]
    if len(roots) > 1 and out is None:
        raise UserError("bench report: say with --out where a report of several names goes")
    print_report(roots, out or roots[0] / "report", show.console(), asked, watch=watch)


def compare(
    variant: Annotated[str, flags.argument("The first variant, as bench status writes it.")],
    against: Annotated[str, flags.argument("The second.")],
    names: Annotated[
        list[str] | None, flags.argument("Sets of cells, whose seeds count together.", complete=completion.names)
    ] = None,
    runs: Runs = Path("runs"),
    measure: Annotated[
        str | None, flags.option(str, f"By which score: {', '.join(MEASURES)}. Without it as declared, or last10.")
    ] = None,
    margin: Annotated[
        float | None, flags.option(float, "Differences within it are equivalent: .05 is a twentieth of the range.")
    ] = None,
    out: Annotated[Path | None, flags.option(Path, "The folder. Without it compare in that of the name.")] = None,
) -> int:
    """Say if one variant beats another. Exit codes: 0 better, 1 worse, 3 cannot tell, 4 no scores, 5 equivalent."""
    from savo_bench.bench.commands.compare import compare

    roots = {name: run_directory.find(runs, name) for name in names or ["default"]}
    return compare(roots, variant, against, show.console(), measure=measure, margin=margin, out=out)


def check(
    name: Name = "default",
    runs: Runs = Path("runs"),
    against: Annotated[Path | None, flags.option(Path, "The baseline to judge by.")] = None,
    update: Annotated[Path | None, flags.option(Path, "Write these runs as a baseline instead.")] = None,
    throughput: Annotated[
        float | None, flags.option(float, "Judge the speed, too: the smallest ratio to the baseline's that passes.")
    ] = None,
    markdown: Annotated[Path | None, flags.option(Path, "Where to write the verdict as Markdown.")] = None,
    junit: Annotated[Path | None, flags.option(Path, "Where to write it as JUnit XML.")] = None,
) -> int:
    """Judge runs by a baseline. Exit codes: 0 pass, 1 regression, 3 cannot tell, 4 not measured; others are errors."""
    from savo_bench.bench.commands import check as verdict

    if (against is None) == (update is None):
        raise UserError("bench check: give either --against FILE or --update FILE")
    root = run_directory.find(runs, name)
    if update is not None:
        return verdict.update(root, update, show.console())
    assert against is not None
    return verdict.check(root, against, show.console(), markdown=markdown, junit=junit, throughput=throughput)


def play(
    env: OneEnv,
    algo: OneAlgo,
    name: Name = "default",
    seed: OneSeed = None,
    runs: Runs = Path("runs"),
    episodes: Annotated[int, flags.option(int, "How many episodes the film shows.")] = 1,
    steps: Annotated[int | None, flags.option(int, "Most steps of an episode that it shows.")] = None,
    fps: Annotated[
        float, flags.option(float, "Most pictures per second; the film keeps the task's own time.")
    ] = 25.0,  # ours: smooth, and a fifth of what Hopper's 125 steps per second would cost to draw
    out: Annotated[
        Path | None, flags.option(Path, "A .gif or .mp4. Without it film.mp4 or .gif with the policy.")
    ] = None,
) -> None:
    """Film the policy of a finished seed, and print the returns of its episodes. Exit code 1 if there is none."""
    from savo_bench.bench.commands.play import play

    root = run_directory.find(runs, name)
    play(root, env, algo, seed, show.console(), episodes=episodes, steps=steps, fps=fps, out=out)


def landscape(
    env: OneEnv,
    algo: OneAlgo,
    name: Name = "default",
    seed: OneSeed = None,
    runs: Runs = Path("runs"),
    state: Annotated[
        str | None, flags.option(str, "Steps of the last evaluation, as 0,250; or gap: where the gaps are largest.")
    ] = None,
    states: Annotated[int, flags.option(int, "How many states, where none are named.")] = 3,
    dims: Annotated[
        str | None, flags.option(str, "Draw these two action dimensions, as 0,1, and not a plane through proposals.")
    ] = None,
    film: Annotated[bool, typer.Option("--film", help="A film over the policies of --keep-policies instead.")] = False,
    out: Annotated[
        Path | None,
        flags.option(
            Path, "A .svg, .png or .pdf, or a .mp4 or .gif. Without it landscapes.svg, .png, .mp4 with the policy."
        ),
    ] = None,
) -> None:
    """Draw Q over actions in states that a finished seed visits, SAVO's surrogates, and where the proposals lie."""
    from savo_bench.bench.commands.landscape import draw

    root = run_directory.find(runs, name)
    draw(root, env, algo, seed, show.console(), state=state, states=states, dims=dims, filmed=film, out=out)


def gap(
    name: Name = "default",
    runs: Runs = Path("runs"),
    env: Annotated[str | None, flags.option(str, "Only this environment, as bench status writes it.")] = None,
    algo: Annotated[str | None, flags.option(str, "Only this variant, as bench status writes it.")] = None,
    states: Annotated[int, flags.option(int, "How many states of each seed's last evaluation.")] = 100,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Measure the policies of --keep-policies, too: a row for each step.")
    ] = False,
    out: Annotated[Path | None, flags.option(Path, "The CSV file. Without it gaps.csv in the name's folder.")] = None,
) -> None:
    """Measure how far below the maximum of its own Q each finished policy acts, and what keeps it there."""
    from savo_bench.bench.commands.gap import print_gaps

    root, console = run_directory.find(runs, name), show.console()
    print_gaps(root, console, env=env, algo=algo, states=states, checkpoints=checkpoints, out=out)


def cost(
    algos: Annotated[
        list[str] | None,
        flags.option(
            list[str], "As bench run takes them. Without it all built-in ones, and savo with 0 to 20 extra actors."
        ),
    ] = None,
    envs: Annotated[
        list[str] | None, flags.option(list[str], "As bench run takes them. Without it restricted-hopper.")
    ] = None,
    profile: Annotated[
        str | None, flags.option(str, "The profile whose widths and batch they have. Without it quick.")
    ] = None,
    settings: Annotated[
        list[str] | None, flags.option(list[str], "FIELD=VALUE, as bench run takes it.", name="--set")
    ] = None,
    rounds: Annotated[int, flags.option(int, "How often each is timed; the median counts.")] = 9,
    out: Annotated[Path, flags.option(Path, "The folder for costs.csv and the figures.")] = Path("costs"),
) -> None:
    """Count and time updates and actions on one CPU thread, and fit how they grow with the number of actors."""
    from savo_bench.bench.commands import cost as verb

    chosen = [verb.REFERENCE, *(algos or [verb.default_algos()])]
    given = {"algos": chosen, "envs": envs or [verb.ENVIRONMENT], "profile": profile, "settings": settings}
    read = flags.from_command_line(options.Options, {name: value for name, value in given.items() if value is not None})
    verb.print_costs(options.Options(**read), show.console(), rounds=rounds, out=out)


def export(
    name: Name = "default",
    to: Annotated[str, flags.option(str, "csv, tensorboard, trackio, wandb or mlflow.")] = "csv",
    runs: Runs = Path("runs"),
    out: Annotated[Path | None, flags.option(Path, "Where to. Without it exports/KIND in the name's folder.")] = None,
) -> None:
    """Write scores and scalars for another program, offline. Exported again, nothing is there twice."""
    from savo_bench.bench.commands import export as verb

    verb.export(run_directory.find(runs, name), show.console(), to=to, out=out)


def import_(
    files: Annotated[list[str], flags.argument("A file per seed; a CSV file may hold several.", "FILE...")],
    kind: Annotated[str, flags.option(str, "sb3-npz, csv or tensorboard.", name="--from")],
    env: OneEnv,
    variant: Annotated[str, flags.option(str, "What to call it: sb3-td3 becomes foreign-sb3-td3.")],
    name: Annotated[
        str, flags.option(str, "The folder under --runs that the cell joins.", name="--name", complete=completion.names)
    ] = "default",
    seed: Annotated[int, flags.option(int, "The seed of the first file; the next ones follow.")] = 0,
    columns: Annotated[
        str | None, flags.option(str, "What columns or tags are called: return=eval/mean,step=t.")
    ] = None,
    runs: Runs = Path("runs"),
) -> None:
    """Take scores of another program into foreign cells: shown beside ours, never pooled, never checked."""
    from savo_bench.bench.commands import import_ as verb

    root, paths = runs / grammar.name(name), [grammar.path(file) for file in files]
    given = {"kind": kind, "env": env, "variant": variant, "seed": seed, "columns": columns}
    verb.import_files(root, paths, show.console(), **given)


def _say_version(wanted: bool) -> None:
    """Print the version, and end."""
    if wanted:
        from savo_bench.bench.provenance import version_of

        show.line(show.console(), f"savo-bench {version_of('savo-bench') or 'that is not installed'}")
        raise typer.Exit


def _bench(
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Say the version, and end.")
    ] = False,
) -> None:
    """Train and compare off-policy reinforcement learning algorithms."""


def app() -> typer.Typer:
    """The verbs, and for `run` the options of every launcher, plug-ins included."""
    made = typer.Typer(
        name="bench",
        help="Train and compare off-policy reinforcement learning algorithms.",
        rich_markup_mode=None,  # help is text: rich would make an emoji of H:M:S
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    )
    made.callback()(_bench)
    for name, verb in (
        ("list", list_),
        ("run", _with_options(run)),
        ("status", status),
        ("report", _with_report_options(report)),
        ("compare", compare),
        ("check", check),
        ("play", play),
        ("landscape", landscape),
        ("gap", gap),
        ("cost", cost),
        ("export", export),
        ("import", import_),
    ):
        made.command(name, cls=Command)(verb)
    return made


class Command(TyperCommand):
    """A verb whose help has a section for the options of each launcher."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of the arguments and options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                usual = "Arguments" if param.param_type_name == "argument" else "Options"
                sections.setdefault(getattr(param, "rich_help_panel", None) or usual, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - as click calls it
        """Write the example and the exit codes."""
        for title, text in examples.below(str(self.name)):
            with formatter.section(title):
                formatter.write_text(text)


def execute(arguments: Sequence[str]) -> int:
    """Do what a command line asks for; returns the exit code.

    Raises:
        UserError: the command line makes no sense, or as the verb.
    """
    command = typer.main.get_command(app())
    if completion.requested(arguments):
        return completion.answer(command, arguments)
    try:
        # without Typer's own main, which ends a process with exit code 1 for a closed pipe
        with command.make_context("bench", list(arguments) or ["--help"]) as context:
            code = command.invoke(context)
    except typer.Exit as done:  # after --help
        return done.exit_code if arguments else USAGE
    except UsageError as error:
        raise UserError(error.format_message()) from None
    return code if isinstance(code, int) else 0


def _given(context: typer.Context) -> dict[str, Any]:
    """What the command line gives, without defaults."""
    return {
        name: value
        for name, value in context.params.items()
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }


def _with_report_options(verb: Callable[..., None]) -> Callable[..., None]:
    """`report` with a signature that names its options, as Typer reads it."""
    declared = flags.parameters(report_options.ReportOptions)
    written = inspect.signature(verb, follow_wrapped=False).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    options = {each.name for each in declared}
    own = [each.replace(kind=kinds[1]) for each in written if each.kind in kinds and each.name not in options]
    verb.__signature__ = inspect.Signature([*own, *declared])  # type: ignore[attr-defined]
    return verb


def _with_options(verb: Callable[..., int]) -> Callable[..., int]:
    """`run` with a signature that names its options, as Typer reads it."""
    launchers = {name: launch.get(name) for name in launch.names()}
    on = "; ".join(f"{name}: {launcher.summary}" for name, launcher in launchers.items())
    context = next(iter(inspect.signature(verb).parameters.values()))
    declared = flags.parameters(options.Options, texts={"on": f"{on}."})
    declared += flags.parameters(options.Compared, panel="What is compared")
    for name, launcher in launchers.items():
        declared += flags.parameters(launcher.options_type, panel=f"With --on {name}")
    verb.__signature__ = inspect.Signature([context, *declared])  # type: ignore[attr-defined]
    return verb


def command_line() -> str:
    """The command as it was typed, for the provenance of the runs it starts."""
    return shlex.join(["bench", *sys.argv[1:]])
