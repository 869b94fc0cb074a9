"""Algorithms × environments × seeds → cells → packs. Pure: it reads the registries and decides; it starts nothing."""

import dataclasses
import itertools
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from savo_bench.bench import cost, grammar, profiles
from savo_bench.bench.errors import UserError
from savo_bench.bench.grammar import nearest
from savo_bench.results.format import SeedFolder, label, text

if TYPE_CHECKING:
    from savo_bench.algos.agent import Spaces
    from savo_bench.bench.options import Options, Setting

LARGEST_PACK = 10  # ours: the usual number of seeds; more gain little and lose more when a worker dies


@dataclass(frozen=True)
class Budget:
    """How long a cell trains and how it is evaluated."""

    profile: str
    steps: int
    eval_every: int
    eval_episodes: int


@dataclass(frozen=True)
class Cell:
    """A variant of an algorithm on an environment under a budget."""

    environment: str
    env_keywords: dict[str, Any]  # those that differ from the factory's defaults
    algorithm: str
    config: Any  # the whole frozen config
    overrides: dict[str, Any]  # its fields that differ from defaults, profile and preset
    budget: Budget

    @property
    def env_label(self) -> str:
        """For instance `restricted-hopper:balls=990`."""
        return label(self.environment, self.env_keywords)

    @property
    def variant(self) -> str:
        """For instance `savo:extra_actors=5,target_noise=0`."""
        return label(self.algorithm, self.overrides)

    def spec(self, seed: int) -> dict[str, Any]:
        """The identity of one seed's run, as JSON's own types."""
        from savo_bench import envs  # here, because most of this module works without a simulator

        return {
            "environment": envs.get(self.environment).identity(
                {key: _plain(value) for key, value in self.env_keywords.items()}
            ),
            "algorithm": {
                "name": self.algorithm,
                "variant": self.variant,
                "config": {
                    field.name: _plain(getattr(self.config, field.name)) for field in dataclasses.fields(self.config)
                },
            },
            "budget": dataclasses.asdict(self.budget),
            "seed": seed,
        }


@dataclass(frozen=True)
class Pack:
    """Seeds of one cell that one process trains together. The same for every launcher, and picklable."""

    cell: Cell
    seeds: tuple[int, ...]
    root: Path  # runs/<name>
    device: str  # "cpu" or "cuda"
    checkpoint_every: float  # seconds
    launcher: str
    command: str | None = None  # the command line that asked for it, for run.json; None: that of this process

    def folder(self, seed: int) -> Path:
        """The folder of one seed."""
        return seed_folder(self.root, self.cell, seed).path


def seed_folder(root: Path, cell: Cell, seed: int) -> SeedFolder:
    """Where a seed of a cell is or will be."""
    return SeedFolder.of(root, cell.env_label, cell.variant, seed)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


# ---- cells


def cells(options: "Options") -> tuple[Cell, ...]:
    """Every chosen variant on every chosen environment, in the order in which they were named.

    Raises:
        UserError: a name, a field or a value is not valid.
    """
    from savo_bench import algos, envs

    variants = _variants(options, algos)
    tasks, left_out = _tasks(options, envs)
    if not tasks:
        raise UserError("; ".join(left_out))
    settings = [*options.file_settings, *options.settings]
    _check_settings(settings, variants, [task for task, _ in tasks])

    found: dict[tuple[str, str], Cell] = {}
    for task, keywords in tasks:
        for entry, fields in variants:
            cell = _cell(options, entry, fields, task, keywords)
            found.setdefault((cell.env_label, cell.variant), cell)
    return tuple(found.values())


def unavailable(options: "Options") -> list[str]:
    """Why environments that a tag or `all` stands for are left out, a line each: this machine lacks what they need."""
    from savo_bench import envs

    return _tasks(options, envs)[1]


def _variants(options: "Options", algos: Any) -> list[tuple[Any, dict[str, Any]]]:
    """The registry's entries named by `--algos`, each with its fields as written, by precedence."""
    if not options.algos:
        raise UserError(f"--algos: say what to train, for instance --algos {','.join(algos.names()[:2])}")
    variants = []
    for item in grammar.items(options.algos, "--algos"):
        entry = algos.get(grammar.choose(item.name, algos.names(), "algorithm"))
        known = field_types(entry.config)
        for key in item.fields:
            _known_field(key, known, f"{item.name}:{key}={item.fields[key]}", f"{item.name} has no field {key!r}")
        layers = [_for_algorithm(source, entry.name, known) for source in (options.file_settings, options.settings)]
        variants.append((entry, {**layers[0], **layers[1], **item.fields}))
    return variants


def _for_algorithm(settings: Iterable["Setting"], name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one source that reach an algorithm; those that name it win over those that do not."""
    general = {key: value for key, value in settings if key in known}
    own = {key.removeprefix(f"{name}."): value for key, value in settings if key.startswith(f"{name}.")}
    return general | own


def _tasks(options: "Options", envs: Any) -> tuple[list[tuple[Any, dict[str, Any]]], list[str]]:
    """The environments named by `--envs`, tags and `all` spelt out, each with its keywords as written; those left out.

    Raises:
        UserError: one is not valid, or is named itself and this machine lacks what it needs.
    """
    if not options.envs:
        raise UserError("--envs: say on what to train, for instance --envs restricted-hopper, or a tag, or all")
    choices = ["all", *envs.tags(), *envs.names()]
    tasks, left_out = [], []
    for item in grammar.items(options.envs, "--envs"):
        grammar.choose(item.name, choices, "environment or tag")
        for environment in _expand(item.name, envs):
            for key in item.fields:
                where = f"{item.name}:{key}={item.fields[key]}"
                _known_field(key, environment.keywords, where, f"{environment.name} has no keyword {key!r}")
            layers = [
                {key.removeprefix("env."): value for key, value in source if key.startswith("env.")}
                for source in (options.file_settings, options.settings)
            ]
            reaching = {key: value for key, value in (layers[0] | layers[1]).items() if key in environment.keywords}
            keywords = reaching | item.fields
            lacks = environment.unavailable(keywords)
            if lacks is None:
                tasks.append((environment, keywords))
            elif item.name == environment.name:
                raise UserError(lacks)
            elif lacks not in left_out:
                left_out.append(lacks)
    return tasks, left_out


def _expand(name: str, envs: Any) -> list[Any]:
    if name in envs.names():
        return [envs.get(name)]
    if name == "all":
        return [environment for environment in map(envs.get, envs.names()) if environment.benchmark]
    return [envs.get(member) for member in envs.names(name)]


def _check_settings(settings: Iterable["Setting"], variants: Sequence[tuple[Any, Any]], tasks: Sequence[Any]) -> None:
    """Refuse a setting that reaches nothing.

    Raises:
        UserError: naming what was meant, as far as one can guess.
    """
    known = {entry.name: field_types(entry.config) for entry, _ in variants}
    chosen = ", ".join(known)
    keywords = {key for task in tasks for key in task.keywords}
    for key, value in settings:
        where = f"--set {key}={text(value)}"
        owner, dot, field = key.rpartition(".")
        if not dot:
            every = {name for fields in known.values() for name in fields}
            _known_field(field, every, where, f"none of {chosen} has a field {field!r}")
        elif owner == "env":
            _known_field(field, keywords, where, f"no chosen environment has a keyword {field!r}")
        elif owner not in known:
            raise UserError(f"{where}: {owner!r} is not among the chosen algorithms ({chosen}) and is not env")
        else:
            _known_field(field, known[owner], where, f"{owner} has no field {field!r}")


def _known_field(field: str, known: Iterable[str], where: str, complaint: str) -> None:
    if field not in known:
        raise UserError(f"{where}: {complaint}; {nearest(field, known)}")


def field_types(config: type) -> dict[str, Any]:
    """A config's fields, in order, with their types."""
    hints = typing.get_type_hints(config)
    return {field.name: hints[field.name] for field in dataclasses.fields(config)}


def _cell(options: "Options", entry: Any, written: Mapping[str, Any], task: Any, keywords: Mapping[str, Any]) -> Cell:
    profile = profiles.get(options.profile)
    budget = Budget(
        profile=profile.name,
        steps=options.steps or profiles.steps(profile, task),
        eval_every=options.eval_every or profile.eval_every,
        eval_episodes=options.eval_episodes or profile.eval_episodes,
    )
    config, overrides = resolve(entry, profiles.config_fields(profile, task, budget.steps), written)
    return Cell(
        environment=task.name,
        env_keywords=_keywords(task, keywords),
        algorithm=entry.name,
        config=config,
        overrides=overrides,
        budget=budget,
    )


def resolve(entry: Any, profile: Mapping[str, Any], written: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A config and what to call it: the class's defaults < the profile < the preset, if one is asked for < `written`.

    Returns:
        The config, and those of the written fields that change something, in the config's order.

    Raises:
        UserError: a value is not of its field's type, or the config refuses it.
    """
    types = field_types(entry.config)
    asked = {}
    for key, value in written.items():
        try:
            asked[key] = grammar.convert(value, types[key])
        except ValueError as error:
            raise UserError(f"{key}={text(value)}: {error} ({entry.name})") from None
    base = {key: value for key, value in profile.items() if key in types}
    try:
        usual = entry.config(**base)  # the variant without any field
        if "preset" in asked and asked["preset"] != usual.preset:
            base |= entry.config.PRESETS[asked["preset"]]
            usual = entry.config(**base)
        config = entry.config(**(base | asked))
    except ValueError as error:
        raise UserError(f"{error} ({entry.name})") from None
    overrides = {key: asked[key] for key in types if key in asked and asked[key] != getattr(usual, key)}
    return config, overrides


def _keywords(task: Any, written: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of an environment with the factory's types, without those that say what the default is anyway."""
    typed = {}
    for key, parameter in task.keywords.items():
        if key in written:
            try:
                value = grammar.convert(written[key], grammar.parameter_type(parameter))
            except ValueError as error:
                raise UserError(f"{key}={text(written[key])}: {error} ({task.name})") from None
            if value != parameter.default:
                typed[key] = value
    return typed


def probe(cell: Cell) -> "Spaces":
    """Make a cell's environment once, which checks its keywords, and see what agents must know of it.

    Raises:
        UserError: it cannot be made.
    """
    from savo_bench import envs
    from savo_bench.bench.spaces import spaces_of

    try:
        environment = envs.make(cell.environment, **cell.env_keywords)
    except Exception as error:  # whatever a plug-in's factory raises, the user's mend is the same: other keywords
        reason = str(error) or type(error).__name__
        plain = reason if isinstance(error, ValueError) else f"{cell.env_label} cannot be made: {reason}"
        raise UserError(plain) from None
    spaces = spaces_of(environment)
    environment.close()
    return spaces


def check_fit(cell: Cell, spaces: "Spaces") -> None:
    """Check a config against the task that it is for.

    Raises:
        UserError: it cannot work there.
    """
    check = getattr(cell.config, "check_spaces", None)  # a plug-in's config need not have it
    try:
        if check is not None:
            check(spaces)
    except ValueError as error:
        raise UserError(f"{error} ({cell.algorithm} on {cell.env_label})") from None


# ---- packs


def with_seeds(pack: Pack, seeds: tuple[int, ...]) -> Pack:
    """The same pack with other seeds."""
    return dataclasses.replace(pack, seeds=seeds)


@dataclass(frozen=True)
class Todo:
    """A seed that has to be trained, and where it stands."""

    cell: Cell
    seed: int
    step: int  # of what can be resumed; seeds at one step can go together
    pack: tuple[int, ...] = ()  # it was trained with, for a GPU


def packs(todo: Iterable[Todo], options: "Options", device: str, workers: int) -> list[Pack]:
    """Put seeds together: of one cell, at one step; on a GPU an interrupted pack comes back as it was. Longest first.

    No pack exceeds `--pack`. On CPUs no pack is left to hold more than one worker's share of the work, so that a grid
    of few cells still uses all workers: a seed costs more in a small pack, but less than an idle worker, and its
    results do not depend on the pack at all.
    """
    groups: dict[tuple[str, str, int, tuple[int, ...]], list[Todo]] = {}
    for item in todo:
        key = (item.cell.env_label, item.cell.variant, item.step, item.pack if device == "cuda" else ())
        groups.setdefault(key, []).append(item)
    costs = [sum(cost.seconds(item.cell, item.step) for item in group) for group in groups.values()]
    share = sum(costs) / workers
    found = []
    for group, seconds in zip(groups.values(), costs, strict=True):
        parts = -(-len(group) // (options.pack or LARGEST_PACK))
        if device == "cpu" and options.pack is None:
            parts = max(parts, min(len(group), round(seconds / share)))
        for part in _split(sorted(group, key=lambda item: item.seed), parts):
            pack = Pack(
                cell=part[0].cell,
                seeds=tuple(item.seed for item in part),
                root=options.root,
                device=device,
                checkpoint_every=options.checkpoint_every,
                launcher=options.on,
                command=options.command,
            )
            found.append((cost.pack_seconds(pack, part[0].step), pack))
    return [pack for _, pack in sorted(found, key=lambda pair: -pair[0])]


def _split(group: list[Todo], parts: int) -> list[list[Todo]]:
    """Cut a list into parts whose lengths differ by at most one."""
    bounds = [len(group) * index // parts for index in range(parts + 1)]
    return [group[start:stop] for start, stop in itertools.pairwise(bounds)]
