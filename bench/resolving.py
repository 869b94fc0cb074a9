"""The names, fields and keywords of a `bench run` → cells. The registries say what there is; nothing is started."""

import dataclasses
import typing
from collections.abc import Iterable, Mapping, Sequence

from savo_bench import algos, envs
from savo_bench.bench import controls, grammar, profiles
from savo_bench.bench.cells import AnyConfig, Budget, Cell
from savo_bench.bench.errors import UserError
from savo_bench.bench.grammar import nearest
from savo_bench.bench.options import Options, Setting
from savo_bench.results import foreign
from savo_bench.results.declared import Pair
from savo_bench.results.format import label, text

Values = Mapping[str, object]  # field or keyword → value: as written (text, or typed in TOML) or converted
Variant = tuple[algos.Entry, Values]  # an algorithm and its fields as written
Task = tuple[envs.Environment, Values]  # an environment and its keywords as written


def cells(options: Options) -> tuple[Cell, ...]:
    """Every chosen variant on every chosen environment, in the order in which they were named.

    Raises:
        UserError: a name, a field or a value is not valid.
    """
    variants = _variants(options)
    tasks, left_out = _tasks(options)
    if not tasks:
        raise UserError("; ".join(left_out))
    settings = [*options.file_settings, *options.settings]
    _check_settings(settings, [entry for entry, _ in variants], [environment for environment, _ in tasks])

    found: dict[tuple[str, str], Cell] = {}
    for task in tasks:
        for variant in variants:
            cell = _cell(options, variant, task)
            found.setdefault(cell.key, cell)
            for control in _controls(cell) if options.controls else []:
                cell = _cell(options, control, task)
                found.setdefault(cell.key, cell)
    return tuple(found.values())


def pairs(options: Options) -> tuple[Pair, ...]:
    """What `--compare` names, as variants are called; () if it names nothing.

    Raises:
        UserError: a comparison is not written as two variants with a slash between them, or a variant is not valid.
    """
    tasks, _ = _tasks(options)
    found: dict[Pair, None] = {}
    for sides in grammar.pairs(options.compared.pairs, "--compare"):
        first, second = (_named(options, side, tasks) for side in sides)
        for pair in zip(first, second, strict=True):
            if pair[0] == pair[1]:
                raise UserError(f"--compare {'/'.join(sides)}: both are {pair[0]}")
            found[pair] = None
    return tuple(found)


def _named(options: Options, text: str, tasks: Sequence[Task]) -> list[str]:
    """What a variant is called on each of some environments; a foreign one is called the same on all."""
    if text.startswith(foreign.PREFIX):
        return [text for _ in tasks]
    (variant,) = _variants(dataclasses.replace(options, algos=text))
    return [_cell(options, variant, task).variant for task in tasks]


def with_controls(cell: Cell) -> Cell:
    """The cell with the names of its variant's controls, but for its own.

    Raises:
        UserError: the environment cannot be made.
    """
    profile = profiles.config_fields(profiles.get(cell.budget.profile), envs.get(cell.environment), cell.budget.steps)
    found = [label(entry.name, resolve(entry, profile, fields)[1]) for entry, fields in _controls(cell)]
    return dataclasses.replace(cell, controls=tuple(variant for variant in found if variant != cell.variant))


def _controls(cell: Cell) -> list[Variant]:
    """The controls of a cell's variant, with those of its fields that they have, too."""
    from savo_bench.bench.spaces import probe  # needs torch

    listed = controls.CONTROLS.get(cell.algorithm, ())
    if not listed:
        return []
    spaces = probe(cell)
    kind = "box" if spaces.catalogue is None else "catalogue"
    found = []
    for control in (each for each in listed if kind in each.kinds):
        algorithm = algos.get(control.algorithm)
        known = set(field_types(algorithm.config)) - set(control.drops)
        shared = {key: value for key, value in cell.overrides.items() if key in known}
        found.append((algorithm, shared | control.values(cell.config, spaces)))
    return found


def unavailable(options: Options) -> list[str]:
    """The environments that a tag or `all` stands for and this machine cannot make: one line each that says why.

    Raises:
        UserError: an environment is not valid.
    """
    return _tasks(options)[1]


def _variants(options: Options) -> list[Variant]:
    """The algorithms named by `--algos`; a field that is given more than once has the value of highest precedence."""
    if not options.algos:
        raise UserError(f"--algos: say what to train, for instance --algos {','.join(algos.names()[:2])}")
    variants = []
    for item in grammar.items(options.algos, "--algos", _algorithm_takes):
        entry = algos.get(grammar.choose(item.name, algos.names(), "algorithm"))
        known = field_types(entry.config)
        for key, value in item.fields.items():
            _check_field(key, known, f"{item.name}:{key}={value}", f"{item.name} has no field {key!r}")
        layers = [_for_algorithm(source, entry.name, known) for source in (options.file_settings, options.settings)]
        variants.append((entry, {**layers[0], **layers[1], **item.fields}))
    return variants


def _algorithm_takes(item: grammar.Item, word: str) -> bool:
    """Whether a word among the algorithms is a value of the last field of the one before it."""
    names = algos.names()
    return item.name in names and _takes(word, names, field_types(algos.get(item.name).config), item)


def _environment_takes(item: grammar.Item, word: str) -> bool:
    """Whether a word among the environments is a value of the last keyword of the one before it."""
    names = ["all", *envs.tags(), *envs.names()]
    members = _members(item.name) if item.name in names else []
    types = {key: grammar.parameter_type(value) for each in members for key, value in each.keywords.items()}
    return _takes(word, names, types, item)


def _takes(word: str, names: Sequence[str], types: Mapping[str, object], item: grammar.Item) -> bool:
    """Whether a word is a value of an item's last field, and no name nor, where every text is a value, like one."""
    annotation = types.get(list(item.fields)[-1])
    if annotation is None or word in names or (annotation is str and grammar.alike(word, names)):
        return False
    try:
        grammar.convert(word, annotation)
    except ValueError:
        return False
    return True


def _for_algorithm(settings: Iterable[Setting], name: str, known: Iterable[str]) -> dict[str, object]:
    """The settings of one source that an algorithm takes; those that name it win over those that do not."""
    general = {key: value for key, value in settings if key in known}
    own = {key.removeprefix(f"{name}."): value for key, value in settings if key.startswith(f"{name}.")}
    return general | own


def _tasks(options: Options) -> tuple[list[Task], list[str]]:
    """The environments named by `--envs`, also by a tag or `all`; and lines about those that cannot be made here.

    Raises:
        UserError: one is not valid, or is named itself and cannot be made here.
    """
    if not options.envs:
        raise UserError("--envs: say on what to train, for instance --envs restricted-hopper, or a tag, or all")
    choices = ["all", *envs.tags(), *envs.names()]
    tasks: list[Task] = []
    left_out: list[str] = []
    for item in grammar.items(options.envs, "--envs", _environment_takes):
        grammar.choose(item.name, choices, "environment or tag")
        for environment in _members(item.name):
            for key, value in item.fields.items():
                where = f"{item.name}:{key}={value}"
                _check_field(key, environment.keywords, where, f"{environment.name} has no keyword {key!r}")
            layers = [
                {key.removeprefix("env."): value for key, value in source if key.startswith("env.")}
                for source in (options.file_settings, options.settings)
            ]
            taken = {key: value for key, value in (layers[0] | layers[1]).items() if key in environment.keywords}
            keywords = taken | item.fields
            reason = environment.unavailable(keywords)
            if reason is None:
                tasks.append((environment, keywords))
            elif item.name == environment.name:
                raise UserError(reason)
            elif reason not in left_out:
                left_out.append(reason)
    return tasks, left_out


def _members(name: str) -> list[envs.Environment]:
    """The environments that a name, a tag or `all` stands for."""
    if name in envs.names():
        return [envs.get(name)]
    if name == "all":
        return [environment for environment in map(envs.get, envs.names()) if environment.benchmark]
    return [envs.get(member) for member in envs.names(name)]


def _check_settings(
    settings: Iterable[Setting], entries: Sequence[algos.Entry], environments: Sequence[envs.Environment]
) -> None:
    """Refuse a setting that no chosen algorithm or environment takes.

    Raises:
        UserError: it names the nearest ones that there are.
    """
    known = {entry.name: field_types(entry.config) for entry in entries}
    chosen = ", ".join(known)
    keywords = {key for environment in environments for key in environment.keywords}
    for key, value in settings:
        where = f"--set {key}={text(value)}"
        owner, dot, field = key.rpartition(".")
        if not dot:
            every = {name for fields in known.values() for name in fields}
            _check_field(field, every, where, f"none of {chosen} has a field {field!r}")
        elif owner == "env":
            _check_field(field, keywords, where, f"no chosen environment has a keyword {field!r}")
        elif owner not in known:
            raise UserError(f"{where}: {owner!r} is not among the chosen algorithms ({chosen}) and is not env")
        else:
            _check_field(field, known[owner], where, f"{owner} has no field {field!r}")


def _check_field(field: str, known: Iterable[str], where: str, complaint: str) -> None:
    if field not in known:
        raise UserError(f"{where}: {complaint}; {nearest(field, known)}")


def field_types(config: type) -> dict[str, object]:
    """The fields of a config's class, in order, with their types."""
    hints = typing.get_type_hints(config)
    return {field.name: hints[field.name] for field in dataclasses.fields(config)}


def _cell(options: Options, variant: Variant, task: Task) -> Cell:
    """A variant on an environment, with the budget and the values that the options say."""
    entry, fields = variant
    environment, keywords = task
    profile = profiles.get(options.profile)
    budget = Budget(
        profile=profile.name,
        steps=options.steps or profiles.steps(profile, environment),
        eval_every=options.eval_every or profile.eval_every,
        eval_episodes=options.eval_episodes or profiles.eval_episodes(profile, environment),
    )
    config, overrides = resolve(entry, profiles.config_fields(profile, environment, budget.steps), fields)
    return Cell(
        environment=environment.name,
        env_keywords=_keywords(environment, keywords),
        algorithm=entry.name,
        config=config,
        overrides=overrides,
        budget=budget,
    )


def resolve(entry: algos.Entry, profile: Values, written: Values) -> tuple[AnyConfig, dict[str, object]]:
    """Build a config. Later sources win: the class's defaults, the profile, the preset if one is chosen, `written`.

    Returns:
        The config, and those of the written fields that change something, in the config's order: they name the variant.

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


def _keywords(environment: envs.Environment, written: Values) -> dict[str, object]:
    """Keywords of an environment with the factory's types, without those whose value is the default."""
    typed: dict[str, object] = {}
    for key, parameter in environment.keywords.items():
        if key in written:
            try:
                value = grammar.convert(written[key], grammar.parameter_type(parameter))
            except ValueError as error:
                raise UserError(f"{key}={text(written[key])}: {error} ({environment.name})") from None
            if value != parameter.default:
                typed[key] = value
    return typed
