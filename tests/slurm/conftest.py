"""A real SLURM of two nodes, for the tests of this folder."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from on_slurm import ONE, ROOT, SLOW, bench

SCRIPT = Path(__file__).parent / "cluster.sh"
CANNOT = 77  # the script's code for a machine on which it cannot work


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a SLURM that runs; the commands of this process and of its children speak to it.

    Where CI is set, as CI services do, a machine on which it cannot run is a failure: a skip would be taken for a pass.
    """
    folder = tmp_path_factory.mktemp("cluster")
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        done = subprocess.run([SCRIPT, "start", folder], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode == CANNOT and not os.environ.get("CI"):
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
            for name in [name for name in os.environ if name.startswith(("SLURM_JOB", "SBATCH_"))]:
                patch.delenv(name)
            yield folder
    finally:
        subprocess.run([SCRIPT, "stop", folder], check=True)
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables with which trainings are slow."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "sitecustomize.py").write_text(SLOW)
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT / 'src'}"}


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeds 0 and 1 of ONE, trained here and undisturbed."""
    runs = tmp_path_factory.mktemp("calm")
    assert bench("run", *ONE, "--seeds", "2", "--pack", "2", "--on", "inline", "--runs", runs)[0] == 0
    return runs


def _terminated(*_: object) -> NoReturn:
    """End as after Ctrl-C, so that no daemon is left behind."""
    raise KeyboardInterrupt
