"""What the fixtures that run commands are, for annotations, and the folder of this checkout."""

import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent

Bench = Callable[..., tuple[int, str, str]]  # exit code, standard output, standard error
RunPython = Callable[..., subprocess.CompletedProcess[str]]
