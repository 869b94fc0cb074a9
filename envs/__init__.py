"""Environments. Importing this package registers them with Gymnasium: its own and those of installed plug-ins.

`names`, `tags` and `get` list them, `make` makes one as agents see it, `environment` registers another.

    registry.py    names, tags, keywords and metrics of all environments; what agents see of them
    restricted.py  locomotion whose actions count only in small balls
    locomotion.py  Gymnasium's locomotion, unrestricted
    adroit.py      tasks of a robot hand
    recsim.py      recommend an item to a simulated user
    movielens.py   recommend a film to a user simulated from MovieLens ratings
    mineworld.py   cross a mine field with tools
    landscape.py   a bandit whose Q has known peaks
    simulator.py   MuJoCo: quiet loading, pictures
    values.py      checks of keyword values, and one-line error messages
"""

from savo_bench.envs import locomotion, restricted, adroit, recsim, movielens, mineworld, landscape  # noqa: F401, I001 - they register, and are listed so
from savo_bench.envs.registry import (
    Environment,
    Metric,
    UnknownEnvironment,
    adopt,
    built_in,
    environment,
    get,
    load_plugins,
    make,
    names,
    tags,
)

__all__ = [
    "Environment",
    "Metric",
    "UnknownEnvironment",
    "adopt",
    "built_in",
    "environment",
    "get",
    "make",
    "names",
    "tags",
]

load_plugins()
