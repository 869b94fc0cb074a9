"""Environments. Importing this package registers them: its own and those of installed plug-ins.

`names`, `tags` and `get` list them, `make` makes one as agents see it, `environment` registers another.
"""

from savo_bench.envs import locomotion, restricted, adroit, recsim, movielens, mineworld  # noqa: F401, I001 - they register, and are listed so
from savo_bench.envs.registry import (
    Environment,
    UnknownEnvironment,
    adopt,
    environment,
    get,
    load_plugins,
    make,
    names,
    tags,
)

__all__ = ["Environment", "UnknownEnvironment", "adopt", "environment", "get", "make", "names", "tags"]

load_plugins()
