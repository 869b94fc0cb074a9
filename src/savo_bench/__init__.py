"""The one import name of savo-bench. `import savo_bench` registers its tasks, and those of plug-ins, with Gymnasium.

    savo_bench.bench     the command line: cells, packs, training, launchers
    savo_bench.algos     the algorithms
    savo_bench.envs      the tasks
    savo_bench.results   run directories, statistics, reports; works without torch and Gymnasium

The four are folders at the top of the repository, linked in here, so that an installation claims no general name such
as `envs`. Gymnasium from 1.0 on loads no entry points: `gym.make("savo_bench:SavoBench/RestrictedHopper-v0")` is its
way to make a task without an import.
"""

import os
import sys


def _is_command() -> bool:
    """Whether this process is `bench` or a worker of it.

    They import the tasks themselves, where they can say in one line what fails, and end with the right exit code.
    """
    started = sys.argv[0] if sys.argv else ""
    if started == "-m":  # as long as Python looks for the module
        return any(word.removeprefix("-m").startswith("savo_bench.bench.") for word in sys.orig_argv)
    return os.path.basename(started) in ("bench", "bench.exe", "bench-script.py")  # noqa: PTH119 - pathlib takes time


if not _is_command():
    import importlib.util

    if importlib.util.find_spec("gymnasium"):  # without it, runs can still be read and reported
        import savo_bench.envs  # noqa: F401
