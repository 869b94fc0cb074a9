"""What a `bench run` was asked for: the command line over a TOML file over the defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from savo_bench.bench import flags, grammar, profiles
from savo_bench.bench.errors import UserError
from savo_bench.bench.flags import Flag
from savo_bench.bench.grammar import choose
from savo_bench.results.declared import MEASURES

DEVICES = ("auto", "cpu", "cuda")

Setting = tuple[str, Any]  # ("lr" | "savo.lr" | "env.balls", text or a TOML value)


def _joined(value: Any) -> str:
    """`--algos a --algos b` or algos = ["a", "b"] as "a,b"."""
    return ",".join(grammar.convert(item, str) for item in (value if isinstance(value, list) else [value]))


def _seeds(value: Any) -> str:
    """Seeds as text or a TOML value. [4] is seed 4, where 4 are seeds 0 to 3."""
    if isinstance(value, list):
        return ",".join(f"{number}-{number}" for number in (grammar.convert(item, int) for item in value))
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(grammar.convert(value, int)) if number else grammar.convert(value, str)


def _settings(value: list[str]) -> tuple[Setting, ...]:
    return tuple(grammar.setting(text) for text in value)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What `bench run` declares to be compared; in a file the table [comparisons]. See results/comparisons.py."""

    pairs: Annotated[
        str,
        Flag(
            "What the report compares: savo/td3,savo/ensemble. Declare it before the first result.",
            name="--compare", repeatable=True, read=_joined,
        ),
    ] = ""  # fmt: skip
    measure: Annotated[str, Flag(f"By which score: {', '.join(MEASURES)}.")] = MEASURES[0]
    margin: Annotated[
        float | None, Flag("Differences within it are equivalent: .05 is a twentieth of the range of a task's bounds.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `bench run`, in the order of its help. None: depends on the profile or on the machine."""

    algos: Annotated[
        str,
        Flag("What to train: savo,td3:target_noise=0 or savo:extra_actors=1,3,5.", repeatable=True, read=_joined),
    ] = ""
    envs: Annotated[
        str,
        Flag("On what: names, tags, all; with keywords: restricted-hopper:balls=990.", repeatable=True, read=_joined),
    ] = ""
    controls: Annotated[bool, Flag("Train the controls of each algorithm, too: see bench list controls.")] = False
    seeds: Annotated[str, Flag("10 (0 to 9), 3-7 or 0,4. Without it one seed, 0.", read=_seeds)] = "1"
    profile: Annotated[str, Flag(f"The budget: {', '.join(profiles.PROFILES)}. Without it {profiles.DEFAULT}.")] = (
        profiles.DEFAULT
    )
    steps: Annotated[int | None, Flag("Steps, instead of the profile's.")] = None
    eval_every: Annotated[int | None, Flag("Steps between evaluations, instead of the profile's.")] = None
    eval_episodes: Annotated[int | None, Flag("Episodes of one, instead of the profile's.")] = None
    settings: Annotated[
        tuple[Setting, ...],
        Flag(
            "FIELD=VALUE for all that have it, ALGORITHM.FIELD=VALUE or env.KEYWORD=VALUE.",
            name="--set", repeatable=True, in_file=False, read=_settings,
        ),
    ] = ()  # fmt: skip
    config: Annotated[
        Path | None,
        Flag("A TOML file with these options and a table named set. The command line wins.", in_file=False),
    ] = None
    name: Annotated[str, Flag("The folder under --runs that the cells join.")] = "default"
    runs: Annotated[Path, Flag("The folder of all runs.")] = Path("runs")
    on: Annotated[str, Flag("The launcher.")] = "local"
    device: Annotated[str, Flag("auto, cpu or cuda.")] = "auto"
    workers: Annotated[int | None, Flag("Processes at a time. Without it one per core or GPU.")] = None
    pack: Annotated[int | None, Flag("Most seeds that one process trains together.")] = None
    dry_run: Annotated[bool, Flag("Only say what would be done, and what it costs.", in_file=False)] = False
    checkpoint_every: Annotated[float, Flag("Seconds between checkpoints.")] = 300.0
    keep_policies: Annotated[
        int, Flag("Policies of each seed to keep on the way, at evaluations; 0: only the last.")
    ] = 0
    wait: Annotated[bool, Flag("Follow what SLURM was given until it is through.")] = False

    compared: Compared = Compared()
    own: Any = None  # the options of the launcher alone, as its own class; None: all by default
    file_settings: tuple[Setting, ...] = ()  # of the file's table [set]
    command: str | None = None  # the command line itself, for run.json

    @property
    def root(self) -> Path:
        """The folder of the name."""
        return self.runs / self.name


def make(given: Mapping[str, Any], launchers: Mapping[str, type], command: str | None = None) -> Options:
    """Merge the defaults, a TOML file and the command line, each winning over the one before.

    Args:
        given: what the command line gives, by the names of the fields of Options and of the launchers' options
        launchers: a dataclass of options for each launcher, by its name, which is also that of its table in the file
        command: the command line itself

    Raises:
        UserError: a key is unknown or a value is not allowed.
    """
    path = given.get("config")
    general, compared, own, file_settings = _read(path, launchers) if path else ({}, {}, {}, ())
    general |= flags.from_command_line(Options, given)
    general["compared"] = Compared(**compared | flags.from_command_line(Compared, given))
    on = choose(general.get("on", Options.on), launchers, "--on")
    for launcher, declared in launchers.items():
        fields = flags.from_command_line(declared, given)
        if fields and launcher != on:
            option = flags.written(next(iter(fields)))
            raise UserError(f"{option}: is for --on {launcher} only; add that, or leave it out")
        own[launcher] = own.get(launcher, {}) | fields
    options = Options(**general, own=launchers[on](**own[on]), file_settings=file_settings, command=command)
    _check(options)
    return options


def _check(options: Options) -> None:
    for key in ("steps", "eval_every", "eval_episodes", "workers", "pack"):
        value = getattr(options, key)
        if value is not None:
            at_least_one(key, value)
    if not 0 < options.checkpoint_every < float("inf"):
        raise UserError(f"--checkpoint-every {options.checkpoint_every:g}: must be a number of seconds above 0")
    if options.keep_policies < 0:
        raise UserError(f"--keep-policies {options.keep_policies}: must be 0 or more")
    choose(options.device, DEVICES, "--device")
    profiles.get(options.profile)
    grammar.name(options.name)
    grammar.seeds(options.seeds)
    compared = options.compared
    choose(compared.measure, MEASURES, "--measure")
    if compared.margin is not None and not 0 < compared.margin < float("inf"):
        raise UserError(f"--margin {compared.margin:g}: must be a share above 0, as .05")
    if not compared.pairs and compared != Compared():
        raise UserError("--measure and --margin belong to --compare: say what is compared, as --compare savo/td3")


def at_least_one(field: str, value: int) -> None:
    """Check an option that counts something.

    Raises:
        UserError: it is below 1.
    """
    if value < 1:
        raise UserError(f"{flags.written(field)} {value}: must be at least 1")


def _read(
    path: Path, launchers: Mapping[str, type]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, dict[str, Any]], tuple[Setting, ...]]:
    """A TOML file: the general options, what is compared, the options of every launcher, and the settings."""
    document = flags.document(path)
    where = f"--config {path}: "
    settings = _table(document, "set", where)
    compared = flags.from_table(Compared, _table(document, "comparisons", where), where, "comparisons.")
    own = {
        launcher: flags.from_table(options, _table(document, launcher, where), where, f"{launcher}.")
        for launcher, options in launchers.items()
    }
    tables = ("set", "comparisons", *(name for name, options in launchers.items() if flags.flags(options)))
    general = flags.from_table(Options, document, where, tables=tables)
    return general, compared, own, tuple(_flatten(settings, where))


def _table(document: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    """Take a table out of a TOML document."""
    table = document.pop(name, {})
    if not isinstance(table, dict):
        raise UserError(f"{where}{name} must be a table, written [{name}]")
    return table


def _flatten(table: Mapping[str, Any], where: str, prefix: str = "") -> list[Setting]:
    """[set] with its tables [set.savo] and [set.env] as ("savo.extra_actors", 5)."""
    flat: list[Setting] = []
    for key, value in table.items():
        if isinstance(value, str) and not value.strip():
            raise UserError(f"{where}set.{prefix}{key} = {value!r}: must not be empty")
        flat += _flatten(value, where, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return flat
