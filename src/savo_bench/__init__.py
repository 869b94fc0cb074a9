"""The one import name of savo-bench. `import savo_bench` registers its tasks, and those of plug-ins, with Gymnasium.

    savo_bench.bench     the command line: cells, packs, training, launchers
    savo_bench.algos     the algorithms
    savo_bench.envs      the tasks
    savo_bench.results   run directories, statistics, reports; works without torch and Gymnasium

The four are folders at the top of the repository, linked in here, so that an installation claims no general name such
as `envs`. Gymnasium from 1.0 on loads no entry points: `gym.make("savo_bench:SavoBench/RestrictedHopper-v0")` is its
way to make a task without an import.
"""

import importlib.util

if importlib.util.find_spec("gymnasium"):  # without it, runs can still be read and reported
    import savo_bench.envs  # noqa: F401
