"""Launchers: where packs are trained. All of them run the same function on the same pickled Pack.

    launcher.py    the interface
    attached.py    the loop of those that train while the command runs: inline.py, local.py
    slurm/         tasks of a cluster's queue
    stop.py        signals
    problems.py    what is noted about seeds whose process died

A new launcher is a module or a folder beside these and one line below. Other packages add theirs through the
entry-point group `savo_bench.launchers`, each entry point giving a subclass of `launcher.Launcher`.
"""

import sys
import warnings
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from savo_bench.bench import grammar
from savo_bench.bench.flags import flags
from savo_bench.bench.grid import Queue
from savo_bench.bench.launch.inline import Inline
from savo_bench.bench.launch.launcher import Launcher
from savo_bench.bench.launch.local import Local
from savo_bench.bench.launch.slurm.launcher import Slurm
from savo_bench.bench.options import Compared, Options

BUILT_IN: tuple[type[Launcher], ...] = (Local, Slurm, Inline)


@cache
def _registry() -> dict[str, type[Launcher]]:
    registry = {launcher.name: launcher for launcher in BUILT_IN}
    taken = {
        *flags(Options),
        *flags(Compared),
        *(name for launcher in BUILT_IN for name in flags(launcher.options_type)),
    }
    for point in entry_points(group="savo_bench.launchers"):
        try:
            launcher: type[Launcher] = point.load()
            own = set(flags(launcher.options_type))
            if twice := own & taken:
                raise ValueError(f"the option {min(twice)} is there already")
            registry.setdefault(launcher.name, launcher)
            taken |= own
        except (Exception, SystemExit) as error:  # a broken plug-in must not stop the launchers that work
            _warn(f"launcher plug-in {point.name} ({point.value}) is left out: {error!r}")
    return registry


def _warn(text: str) -> None:
    """Warn of a plug-in, also where warnings are errors, which would stop what works."""
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=3)
    except RuntimeWarning:
        print(f"warning: {text}", file=sys.stderr)


def names() -> list[str]:
    """All launchers, built-in ones first."""
    return list(_registry())


def get(name: str) -> type[Launcher]:
    """The class of a launcher.

    Raises:
        UserError: there is none of that name; names the nearest.
    """
    return _registry()[grammar.choose(name, names(), "--on")]


def create(options: Options) -> Launcher:
    """The launcher that `--on` names.

    Raises:
        UserError: there is none of that name, or the options do not fit it.
    """
    return get(options.on)(options)


def options_types() -> dict[str, type]:
    """Each launcher's dataclass of options, by its name."""
    return {name: launcher.options_type for name, launcher in _registry().items()}


def queues(root: Path) -> dict[str, Queue]:
    """What each launcher knows of the seeds in runs/<name>, by its name."""
    return {name: launcher.queue(root) for name, launcher in _registry().items()}
