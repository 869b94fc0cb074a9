"""Reading runs needs nothing that only Unix has: `status`, `report` and `check` work on Windows, too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_frame import fake_run

from savo_bench.results import format as fmt

pytest.importorskip("typer")  # the package results is also tested where only what it needs is installed

LACKING = """
import os, signal, sys
for module in ("fcntl", "resource", "pwd", "termios"):
    sys.modules[module] = None
for name in ("pread", "pwrite", "sched_getaffinity", "statvfs", "getpgid", "setsid"):
    delattr(os, name)
for name in ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGKILL", "SIGQUIT", "pthread_sigmask", "pause"):
    delattr(signal, name)
"""


@pytest.mark.parametrize("command", ["status", "check --update base.csv", "check --against base.csv", "report", "list"])
def test_a_command_that_trains_nothing_needs_no_unix(tmp_path, command):
    root = tmp_path / "runs" / "default"
    for seed in range(2):
        fake_run(root, [1, 2, 3, 4 + seed], seed=seed)
        (root / "restricted-hopper" / "td3" / f"seed-000{seed}" / "lock").touch()
    fmt.ask(root, "restricted-hopper", "td3", range(2))

    def bench(arguments: str, before: str = "") -> str:
        code = f"{before}\nimport sys\nsys.argv = ['bench', *{arguments.split()}]\n"
        code += "from savo_bench.bench import cli\ncli.main()"
        source = str(Path(__file__).parent.parent / "src")
        environment = {**os.environ, "PYTHONPATH": source, "COLUMNS": "200"}
        line = [sys.executable, "-c", code]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    if command.endswith("--against base.csv"):
        bench("check --update base.csv")
    assert bench(command, LACKING) == bench(command)
