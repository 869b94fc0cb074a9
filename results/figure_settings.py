"""Loads matplotlib and what draws with it as they are delivered: no variable and no file of the user steers a figure.

matplotlib reads MPLBACKEND and a file named matplotlibrc while it loads, and fails where it does not like them, as in
a notebook whose backend is not installed here. No window is ever opened, so none of that matters.
"""

import importlib
import importlib.util
import os
from pathlib import Path

_OWN = "matplotlib", "matplotlib.pyplot", "seaborn"


def _load() -> None:
    found = importlib.util.find_spec("matplotlib")
    assert found is not None, "a dependency"
    assert found.origin is not None, "a package with a file"
    delivered = Path(found.origin).parent / "mpl-data" / "matplotlibrc"
    ours = {"MPLBACKEND": "agg", "MATPLOTLIBRC": str(delivered)}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        for name in _OWN:
            importlib.import_module(name)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_load()
