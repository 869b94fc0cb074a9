"""The registry of environments: names, tags, keywords, and the one way to make them.

An environment is one decorated function that returns a Gymnasium environment; heavy imports stay inside it:

    @environment("line", id="Example/Line-v0", tags=("example",), max_episode_steps=100)
    def line(*, friction: float = 0.1) -> gym.Env:
        ...

It then is in `names()` and `tags()`, and made by `make("line", friction=0.2)` and by `gym.make("Example/Line-v0")`.
Another package does the same in a module that it names as an entry point of the group `savo_bench.envs`.

`reset` resets every environment completely, and an environment draws random numbers only from its `np_random`. So the
random state at reset and the actions determine an episode; this is how an interrupted run is resumed.
"""

import difflib
import functools
import importlib.metadata
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar, get_args

import gymnasium as gym
import numpy as np

from savo_bench.envs.simulator import close, picture
from savo_bench.envs.values import reason_of

ENTRY_POINTS = "savo_bench.envs"

# A factory may take these two. They say how an environment is used, not what it is: users cannot set them.
RENDER_MODE = "render_mode"  # how pictures are drawn
EVALUATION = (
    "evaluation"  # whether to make the environment for evaluations, where that differs from the one for training
)
_HIDDEN = (RENDER_MODE, EVALUATION)

USUAL_STEP_SECONDS = 1 / 7_000  # ours: Hopper's, measured and rounded; for environments that do not say theirs

Factory = TypeVar("Factory", bound=Callable[..., gym.Env])
FromKeywords = Callable[[Mapping[str, Any]], str | None]
Reduction = Literal["mean", "max", "sum"]


def _none(_keywords: Mapping[str, Any]) -> None:
    """The default of `unavailable` and `data`: always available, and made from code and keywords alone."""


class UnknownEnvironment(LookupError):
    """No environment has this name; the message is one line that names the nearest ones."""


@dataclass(frozen=True)
class Metric:
    """A number that evaluations store per episode beside the return, taken from `info`, and how reports show it.

    Attributes:
        how: How the values of an episode's steps become one number: "mean", "max" or "sum".
        label: The name in reports; the key of `info` if it is empty.
        unit: The unit in reports. With "%" the stored number is a share from 0 to 1, and reports show it times 100.
        complement: Whether reports show 1 − the stored share: of valid actions, the invalid ones.
    """

    how: Reduction
    label: str = ""
    unit: str = ""
    complement: bool = False


@dataclass(frozen=True)
class Environment:
    """A registered environment: all that is known without making it.

    Attributes:
        name: The name on the command line, `restricted-hopper`.
        id: The id for `gym.make`, `SavoBench/RestrictedHopper-v0`.
        tags: The groups that it belongs to, `("restricted",)`.
        keywords: The keywords of its factory, with annotation and default.
        metrics: By key of `info`, what evaluations store beside the return.
        benchmark: Whether it belongs to the benchmark, that is to `--envs all`.
        summary: One line for people.
        unavailable: Given the keywords, returns why it cannot be made on this machine and what to do, in one line; None
            if it can be made. It is quick and makes no environment.
        data: Given the keywords, returns a name for the data on this machine that it is made from, which differs for
            other data; None if code and keywords determine it. Raises ValueError if it is unavailable.
        pictures: Whether its factory takes a `render_mode`.
        step_seconds: The time of a step, roughly, for the estimate of a run's time.
    """

    name: str
    id: str
    tags: tuple[str, ...]
    keywords: Mapping[str, inspect.Parameter]
    metrics: Mapping[str, Metric]
    benchmark: bool
    summary: str
    unavailable: FromKeywords = _none
    data: FromKeywords = _none
    pictures: bool = False
    step_seconds: float = USUAL_STEP_SECONDS

    def identity(self, keywords: Mapping[str, Any]) -> dict[str, Any]:
        """Name, id, keywords and data, in JSON's types: results with different identities are never mixed.

        Raises:
            ValueError: It needs data that are missing on this machine.
        """
        identity = {"name": self.name, "id": self.id, "keywords": dict(keywords)}
        data = self.data(keywords)
        return identity if data is None else identity | {"data": data}

    def metric_labels(self) -> dict[str, dict[str, Any]]:
        """Its metrics in JSON's types, for run.json: by key of `info`, how, label, unit and complement."""
        return {name: asdict(metric) for name, metric in self.metrics.items()}


@dataclass(frozen=True)
class _Entry:
    environment: Environment
    factory: Callable[..., gym.Env]
    open: Callable[..., gym.Env]  # the factory's environment as Gymnasium makes it: with spec and time limit


_entries: dict[str, _Entry] = {}


def environment(
    name: str,
    *,
    id: str,
    tags: tuple[str, ...],
    max_episode_steps: int | None,
    metrics: Mapping[str, Metric | Reduction] | None = None,
    benchmark: bool = True,
    summary: str = "",
    unavailable: FromKeywords = _none,
    data: FromKeywords = _none,
    step_seconds: float = USUAL_STEP_SECONDS,
) -> Callable[[Factory], Factory]:
    """Register the decorated factory here and, under `id`, with Gymnasium.

    Args:
        name: The name on the command line.
        id: The Gymnasium id, new.
        tags: The groups that it belongs to.
        max_episode_steps: The time limit, or None.
        metrics: By key of `info`, the `Metric` that evaluations store; "mean", "max" or "sum" is one without a label.
        benchmark: See `Environment`.
        summary: One line; by default the first line of the factory's docstring.
        unavailable: See `Environment`. The factory raises the same line as a ValueError.
        data: See `Environment`.
        step_seconds: See `Environment`.

    A factory that takes `evaluation: bool = False` may return another environment for evaluations, with the same
    spaces.

    Raises:
        ValueError: The name or the id is taken, a keyword has no default, or a metric is unknown.
    """

    def register(factory: Factory) -> Factory:
        if id in gym.registry:
            raise ValueError(f"id={id!r}: is registered with Gymnasium already; choose another")
        opened = functools.partial(gym.make, id, disable_env_checker=True)
        _add(
            factory,
            opened,
            name,
            id,
            summary,
            metrics or {},
            tags=tuple(tags),
            benchmark=benchmark,
            unavailable=unavailable,
            data=data,
            step_seconds=step_seconds,
        )
        # One entry point for all, as a string: so every spec can be pickled and written as JSON.
        gym.register(id, "savo_bench.envs.registry:_build", max_episode_steps=max_episode_steps, kwargs={"name": name})
        return factory

    return register


def adopt(
    name: str,
    *,
    id: str,
    tags: tuple[str, ...],
    open: Callable[..., gym.Env],
    summary: str = "",
    step_seconds: float = USUAL_STEP_SECONDS,
) -> None:
    """List an environment that Gymnasium or another package has registered under `id`.

    It does not belong to the benchmark. `open` returns it with its time limit.
    """
    _add(open, open, name, id, summary, {}, tags=tuple(tags), benchmark=False, step_seconds=step_seconds)


def get(name: str) -> Environment:
    """The environment of this name.

    Raises:
        UnknownEnvironment: There is none.
    """
    return _entry(name).environment


def built_in(name: str) -> bool:
    """Whether an environment is defined in this package, and not by a plug-in.

    Raises:
        UnknownEnvironment: There is none of this name.
    """
    return str(getattr(_entry(name).factory, "__module__", "")).startswith(f"{__package__}.")


def names(tag: str | None = None) -> list[str]:
    """The names of all environments, or of those with a tag: the benchmark's first, then in order of registration."""
    listed = [entry.environment for entry in _entries.values()]
    listed.sort(key=lambda environment: not environment.benchmark)
    return [environment.name for environment in listed if tag is None or tag in environment.tags]


def tags() -> list[str]:
    """All tags, in the order of `names`."""
    return list(dict.fromkeys(tag for name in names() for tag in get(name).tags))


def make(name: str, *, evaluation: bool = False, **keywords: Any) -> gym.Env:
    """Make an environment as agents see it.

    Observations are float32 vectors (O,). Actions are a Box [-1, 1]^A or a Discrete(N). The time limit is applied. With
    `evaluation` it is the environment for evaluations, which for most is the same.

    Raises:
        UnknownEnvironment: No environment has this name.
        ValueError: An unknown keyword or a wrong value, in one line.
    """
    entry = _entry(name)
    _check_keywords(name, entry.factory, keywords)
    if evaluation and EVALUATION in inspect.signature(entry.factory).parameters:
        keywords[EVALUATION] = True
    return agent_view(entry.open(**keywords))


class AgentView(gym.Wrapper[np.ndarray, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Casts observations to float32 vectors and scales a Box of actions to [-1, 1]^A. See `agent_view`.

    Raises:
        ValueError: Observations are no Box, or actions are a Box without bounds.
    """

    def __init__(self, env: gym.Env) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        observations = env.observation_space
        if not isinstance(observations, gym.spaces.Box):
            raise ValueError(f"observation_space={observations}: must be a Box; flatten it in the environment")
        self.observation_space = float32_box(observations)
        self._scale: tuple[np.ndarray, np.ndarray] | None = None
        box = env.action_space
        if isinstance(box, gym.spaces.Box) and not _is_unit_box(box):
            self._scale = box_scale(box)
            self.action_space = gym.spaces.Box(-1.0, 1.0, box.shape, np.float32)

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Scale the action, step, cast the observation."""
        if self._scale is not None:
            half, middle = self._scale
            action = action * half + middle
        obs, reward, terminated, truncated, info = self.env.step(action)
        return _float32_vector(obs), reward, terminated, truncated, info

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Reset, cast the observation."""
        obs, info = self.env.reset(seed=seed, options=options)
        return _float32_vector(obs), info

    def render(self) -> Any:
        """Return the environment's picture.

        Raises:
            NoRenderer: No picture can be drawn on this machine.
        """
        return picture(self.env)

    def close(self) -> None:
        """Close the environment."""
        close(self.env)


def agent_view(env: gym.Env) -> gym.Env:
    """Return the environment as agents see it: itself if it needs no change, else wrapped in an `AgentView`."""
    observations, box = env.observation_space, env.action_space
    vector = (
        isinstance(observations, gym.spaces.Box) and observations.dtype == np.float32 and len(observations.shape) == 1
    )
    if vector and (not isinstance(box, gym.spaces.Box) or _is_unit_box(box)):
        return env
    return AgentView(env)


def box_scale(box: gym.spaces.Box) -> tuple[np.ndarray, np.ndarray]:
    """Return (half, middle), each (A,): an action a in [-1, 1]^A stands for a * half + middle in the box.

    Raises:
        ValueError: The box has no bounds.
    """
    if not box.is_bounded():
        raise ValueError(f"action_space={box}: must be bounded")
    return (box.high - box.low) / 2, (box.high + box.low) / 2


def float32_box(box: gym.spaces.Box) -> gym.spaces.Box:
    """Return the Box of the same observations, flattened to float32 vectors (O,)."""
    with np.errstate(over="ignore"):  # a bound that is too large for float32 becomes infinite
        low, high = box.low.ravel().astype(np.float32), box.high.ravel().astype(np.float32)
    return gym.spaces.Box(low, high, dtype=np.float32)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the known words that are most similar to `word`, else all of them."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)  # ours: names are long
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(known)}" if known else "there are none"


def load_plugins() -> None:
    """Import the environments of other packages. One that fails is left out with a warning.

    An entry point names a module that registers when it is imported, or a function that registers when it is called.
    """
    found = importlib.metadata.entry_points(group=ENTRY_POINTS)
    for entry_point in sorted(found, key=lambda entry_point: entry_point.name):
        try:
            offered = entry_point.load()
            registered = any(entry.factory is offered for entry in _entries.values())
            if callable(offered) and not registered:
                offered()
        except (Exception, SystemExit) as error:  # of any kind: one broken package must not stop the others
            package = entry_point.dist.name if entry_point.dist else "?"
            _warn(
                f"environments of the package {package!r} left out: its entry point {entry_point.name!r} "
                f"({entry_point.value}) failed: {type(error).__name__}: {reason_of(error)}"
            )


def _warn(text: str) -> None:
    """Warn of a plug-in, also where warnings are errors, which would stop what works."""
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=3)
    except RuntimeWarning:
        print(f"warning: {text}", file=sys.stderr)


def _build(name: str, **keywords: Any) -> gym.Env:
    """Gymnasium's entry point for every environment that is registered here."""
    factory = _entry(name).factory
    _check_keywords(name, factory, keywords)
    return factory(**keywords)


def _add(
    factory: Callable[..., gym.Env],
    open: Callable[..., gym.Env],
    name: str,
    id: str,
    summary: str,
    metrics: Mapping[str, Metric | Reduction],
    **known: Any,
) -> None:
    """Check an environment and add it to the registry; `known` are other fields of `Environment`."""
    if name in _entries:
        raise ValueError(f"name={name!r}: is registered already, as {_entries[name].environment.id}; choose another")
    parameters = inspect.signature(factory, eval_str=True).parameters
    for parameter in parameters.values():
        if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise ValueError(f"{name}: {parameter} in its factory: every keyword must be named")
        if parameter.default is parameter.empty:
            raise ValueError(f"{name}: keyword {parameter.name!r} of its factory: must have a default")
    described = Environment(
        name=name,
        id=id,
        keywords={key: parameter for key, parameter in parameters.items() if key not in _HIDDEN},
        metrics={key: _metric(key, metric) for key, metric in metrics.items()},
        summary=summary or (inspect.getdoc(factory) or name).splitlines()[0].removesuffix("."),
        pictures=RENDER_MODE in parameters,
        **known,
    )
    _entries[name] = _Entry(described, factory, open)


def _metric(key: str, given: Metric | Reduction) -> Metric:
    """The metric with its label."""
    metric = given if isinstance(given, Metric) else Metric(given)
    if metric.how not in get_args(Reduction):
        raise ValueError(f"metrics[{key!r}]={metric.how!r}: must be mean, max or sum")
    return metric if metric.label else replace(metric, label=key)


def _entry(name: str) -> _Entry:
    if name not in _entries:
        raise UnknownEnvironment(f"unknown environment {name!r}; {nearest(name, _entries)}")
    return _entries[name]


def _check_keywords(name: str, factory: Callable[..., gym.Env], keywords: Mapping[str, Any]) -> None:
    """Raise ValueError for a keyword that the factory does not take."""
    taken = inspect.signature(factory).parameters
    known = [key for key in taken if key not in _HIDDEN]
    for key in keywords:
        if key not in taken:
            raise ValueError(f"{name}: unknown keyword {key!r}; {nearest(key, known)}")


def _is_unit_box(box: gym.spaces.Box) -> bool:
    return box.dtype == np.float32 and bool(np.all(box.low == -1) and np.all(box.high == 1))


def _float32_vector(obs: Any) -> np.ndarray:
    """A new float32 vector (O,): it shares no memory with what the environment holds."""
    return np.array(obs, dtype=np.float32).ravel()
