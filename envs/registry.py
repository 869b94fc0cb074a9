"""The registry of environments: names, tags, keywords, and the one way to make them.

An environment is one decorated function that returns a Gymnasium environment; heavy imports stay inside it:

    @environment("line", id="Example/Line-v0", tags=("example",), max_episode_steps=100)
    def line(*, friction: float = 0.1) -> gym.Env:
        ...

It then is in `names()` and `tags()`, and made by `make("line", friction=0.2)` and by `gym.make("Example/Line-v0")`.
Another package does the same in a module that it names as an entry point of the group `savo_bench.envs`.

Every environment is fully reset by `reset` and draws only from its `np_random`: an episode is its random state at
reset plus its actions, and that is how an interrupted run goes on.
"""

import difflib
import functools
import importlib.metadata
import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np

from savo_bench.envs.simulator import close, picture
from savo_bench.envs.values import reason_of

ENTRY_POINTS = "savo_bench.envs"

# Factories may take these; they are how an environment is used, not what it is, so they are no keywords of the task.
RENDER_MODE = "render_mode"  # how it is looked at
EVALUATION = (
    "evaluation"  # whether it is the twin on which agents are evaluated, where that is another than they train on
)
_HIDDEN = (RENDER_MODE, EVALUATION)

USUAL_STEP_SECONDS = 1 / 7_000  # ours: Hopper's, measured, rounded; for environments that say nothing

Factory = TypeVar("Factory", bound=Callable[..., gym.Env])
FromKeywords = Callable[[Mapping[str, Any]], str | None]


def _none(_keywords: Mapping[str, Any]) -> None:
    """What most environments are: never unavailable, and made from nothing but their code and keywords."""


class UnknownEnvironment(LookupError):
    """No environment has this name; the message is one line that names the nearest ones."""


@dataclass(frozen=True)
class Environment:
    """What is known of an environment without making it.

    Attributes:
        name: The name on the command line, `restricted-hopper`.
        id: The id for `gym.make`, `SavoBench/RestrictedHopper-v0`.
        tags: The groups that it belongs to, `("restricted",)`.
        keywords: What its factory accepts, with annotation and default.
        metrics: Which keys of `info` an evaluation records, and how those of an episode become one number:
            "mean", "max" or "sum".
        benchmark: Whether it is one of the benchmark's tasks, which `all` stands for.
        summary: One line for people.
        unavailable: From keywords, why it cannot be made with them on this machine, in one line that says what mends
            it; None where it can. It is quick, and makes nothing.
        data: From keywords, a name for the data of this machine that it is made from, another for other data; None
            where code and keywords say all. A ValueError if it is unavailable.
        pictures: Whether its factory takes a `render_mode`.
        step_seconds: How long a step takes, roughly, for the estimate of a run's time.
    """

    name: str
    id: str
    tags: tuple[str, ...]
    keywords: Mapping[str, inspect.Parameter]
    metrics: Mapping[str, str]
    benchmark: bool
    summary: str
    unavailable: FromKeywords = _none
    data: FromKeywords = _none
    pictures: bool = False
    step_seconds: float = USUAL_STEP_SECONDS

    def identity(self, keywords: Mapping[str, Any]) -> dict[str, Any]:
        """What makes it the task that it is with these keywords, as JSON's own types; results of others never mix.

        Raises:
            ValueError: It needs data that are not there.
        """
        identity = {"name": self.name, "id": self.id, "keywords": dict(keywords)}
        data = self.data(keywords)
        return identity if data is None else identity | {"data": data}


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
    metrics: Mapping[str, str] | None = None,
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
        metrics: See `Environment`.
        benchmark: See `Environment`.
        summary: One line; by default the first line of the factory's docstring.
        unavailable: See `Environment`. The factory raises the same line as a ValueError.
        data: See `Environment`.
        step_seconds: See `Environment`.

    A factory that takes `evaluation: bool = False` gives agents another environment to be evaluated on, with the same
    spaces.

    Raises:
        ValueError: The name or the id is taken, a keyword has no default, or a metric is unknown.
    """

    def register(factory: Factory) -> Factory:
        if id in gym.registry:
            raise ValueError(f"id={id!r}: is registered with Gymnasium already; choose another")
        opened = functools.partial(gym.make, id, disable_env_checker=True)
        _add(name, id, tags, metrics or {}, benchmark, summary, factory, opened, unavailable, data, step_seconds)
        # One entry point for all, a string: so a spec can be pickled and written as JSON whatever the factory is.
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

    It is no task of the benchmark. `open` returns it with its time limit.
    """
    _add(name, id, tags, {}, False, summary, open, open, step_seconds=step_seconds)


def get(name: str) -> Environment:
    """The environment of this name.

    Raises:
        UnknownEnvironment: There is none.
    """
    return _entry(name).environment


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

    Observations are float32 vectors; a Box of actions is [-1, 1]^A; the time limit is applied. With `evaluation` it is
    the twin for evaluations; most environments are their own.

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
    """Casts observations to float32 vectors and scales a Box of actions to [-1, 1]^A. See `agent_view`."""

    def __init__(self, env: gym.Env) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        seen = env.observation_space
        if not isinstance(seen, gym.spaces.Box):
            raise ValueError(f"observation_space={seen}: must be a Box; flatten it in the environment")
        self.observation_space = float32_box(seen)
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
        """The environment's picture, or `envs.simulator.NoRenderer`."""
        return picture(self.env)

    def close(self) -> None:
        """Close the environment."""
        close(self.env)


def agent_view(env: gym.Env) -> gym.Env:
    """The environment itself where it already is as agents see it, else wrapped in an `AgentView`."""
    seen, box = env.observation_space, env.action_space
    vector = isinstance(seen, gym.spaces.Box) and seen.dtype == np.float32 and len(seen.shape) == 1
    if vector and (not isinstance(box, gym.spaces.Box) or _is_unit_box(box)):
        return env
    return AgentView(env)


def box_scale(box: gym.spaces.Box) -> tuple[np.ndarray, np.ndarray]:
    """(half, middle), each (A,): an action a in [-1, 1]^A stands for a * half + middle in the box.

    Raises:
        ValueError: The box has no bounds.
    """
    if not box.is_bounded():
        raise ValueError(f"action_space={box}: must be bounded")
    return (box.high - box.low) / 2, (box.high + box.low) / 2


def float32_box(box: gym.spaces.Box) -> gym.spaces.Box:
    """The Box of a Box's elements as float32 vectors (O,)."""
    with np.errstate(over="ignore"):  # a bound beyond float32 becomes infinite
        low, high = box.low.ravel().astype(np.float32), box.high.ravel().astype(np.float32)
    return gym.spaces.Box(low, high, dtype=np.float32)


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error's line: the nearest known words, else all of them."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)  # ours: names are long
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(known)}" if known else "there are none"


def load_plugins() -> None:
    """Import the environments that other packages offer; warn of one that fails and go on.

    An entry point names a module that registers as it is imported, or a function that registers when it is called.
    """
    found = importlib.metadata.entry_points(group=ENTRY_POINTS)
    for entry_point in sorted(found, key=lambda entry_point: entry_point.name):
        try:
            offered = entry_point.load()
            registered = any(entry.factory is offered for entry in _entries.values())
            if callable(offered) and not registered:
                offered()
        except Exception as error:  # whatever it is: a plug-in must not take the others down
            package = entry_point.dist.name if entry_point.dist else "?"
            warnings.warn(
                f"environments of the package {package!r} left out: its entry point {entry_point.name!r} "
                f"({entry_point.value}) failed: {type(error).__name__}: {reason_of(error)}",
                RuntimeWarning,
                stacklevel=2,
            )


def _build(name: str, **keywords: Any) -> gym.Env:
    """Gymnasium's entry point for every environment that is registered here."""
    factory = _entry(name).factory
    _check_keywords(name, factory, keywords)
    return factory(**keywords)


def _add(
    name: str,
    id: str,
    tags: tuple[str, ...],
    metrics: Mapping[str, str],
    benchmark: bool,
    summary: str,
    factory: Callable[..., gym.Env],
    opened: Callable[..., gym.Env],
    unavailable: FromKeywords = _none,
    data: FromKeywords = _none,
    step_seconds: float = USUAL_STEP_SECONDS,
) -> None:
    """Check and enter an environment."""
    if name in _entries:
        raise ValueError(f"name={name!r}: is registered already, as {_entries[name].environment.id}; choose another")
    for key, how in metrics.items():
        if how not in ("mean", "max", "sum"):
            raise ValueError(f"metrics[{key!r}]={how!r}: must be mean, max or sum")
    parameters = inspect.signature(factory, eval_str=True).parameters
    for parameter in parameters.values():
        if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise ValueError(f"{name}: {parameter} in its factory: every keyword must be named")
        if parameter.default is parameter.empty:
            raise ValueError(f"{name}: keyword {parameter.name!r} of its factory: must have a default")
    keywords = {key: parameter for key, parameter in parameters.items() if key not in _HIDDEN}
    if not summary:
        summary = (inspect.getdoc(factory) or name).splitlines()[0].removesuffix(".")
    known = (name, id, tuple(tags), keywords, dict(metrics), benchmark, summary, unavailable, data)
    environment = Environment(*known, pictures=RENDER_MODE in parameters, step_seconds=step_seconds)
    _entries[name] = _Entry(environment, factory, opened)


def _entry(name: str) -> _Entry:
    if name not in _entries:
        raise UnknownEnvironment(f"unknown environment {name!r}; {nearest(name, _entries)}")
    return _entries[name]


def _check_keywords(name: str, factory: Callable[..., gym.Env], keywords: Mapping[str, Any]) -> None:
    """Refuse what the factory does not take."""
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
