"""A real SLURM of two nodes, for the tests of this folder: one for each process that runs some of them."""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from on_slurm import ONE, ROOT, SLOW, bench, slurm, until

SCRIPT = Path(__file__).parent / "cluster.sh"
CANNOT = 77  # the script's code for a machine on which it cannot work


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a SLURM that runs; the commands of this process and of its children speak to it.

    Where CI is set, as CI services do, a machine on which it cannot run is a failure: a skip would be taken for a pass.
    """
    folder = tmp_path_factory.mktemp("cluster")
    # It stops when the pipe to it is closed, also where this process is killed; signals to our group do not reach it.
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([SCRIPT, "lend", folder], text=True, start_new_session=True, **pipes) as lent:
        assert lent.stdin is not None
        assert lent.stdout is not None
        assert lent.stderr is not None
        if not lent.stdout.readline():
            said = lent.stderr.read().strip()
            if lent.wait() == CANNOT and not os.environ.get("CI"):
                pytest.skip(said)
            pytest.fail(said)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
            for name in [name for name in os.environ if name.startswith(("SLURM_JOB", "SBATCH_"))]:
                patch.delenv(name)
            yield folder
        lent.stdin.close()
        assert lent.wait() == 0


@pytest.fixture(autouse=True)
def cancelled(cluster: Path) -> Iterator[None]:
    """Cancel what a test that failed has left, so that the next one finds an empty queue."""
    assert cluster.is_dir()
    yield
    if slurm("squeue", "--noheader"):
        slurm("scancel", "--full", "--signal=KILL", "--user=root")
        slurm("scancel", "--user=root")
        until(lambda: not slurm("squeue", "--noheader"))


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables with which trainings are slow."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "sitecustomize.py").write_text(SLOW)
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT / 'src'}"}


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeds 0 and 1 of ONE, trained here and undisturbed: once for all processes."""
    folder = tmp_path_factory.getbasetemp()
    runs = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "calm"
    with runs.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, output = bench("run", *ONE, "--seeds", "2", "--pack", "2", "--on", "inline", "--runs", runs)
    assert code == 0, output
    return runs
