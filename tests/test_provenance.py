"""What run.json records of code, packages, hardware and command."""

import os
import subprocess

from savo_bench.bench import provenance


def test_provenance_names_code_packages_hardware_and_command(monkeypatch):
    import json

    monkeypatch.setenv(provenance.COMMAND, "bench run --algos td3")
    record = provenance.provenance(device="cpu", launcher="local", pack=(0, 1))
    assert list(record) == [
        "version", "git", "dirty", "packages", "python", "platform", "cpu", "cores", "device", "gpu", "host",
        "command", "launcher", "pack", "started",
    ]  # fmt: skip
    assert json.loads(json.dumps(record)) == record
    assert record["command"] == "bench run --algos td3"
    assert record["pack"] == [0, 1]
    assert {"numpy", "torch", "gymnasium", "mujoco"} <= set(record["packages"])
    assert record["cores"] == len(os.sched_getaffinity(0))


def test_the_commit_is_that_of_our_code_not_of_a_repository_around_it(tmp_path):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    code = tmp_path / "bench" / "provenance.py"
    code.parent.mkdir()
    code.write_text("a")
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "a"], check=True)
    assert provenance.checkout(tmp_path) == (None, None)  # a virtual environment in somebody's repository
    subprocess.run([*git, "add", "bench"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "b"], check=True)
    provenance.checkout.cache_clear()
    commit, dirty = provenance.checkout(tmp_path)
    assert (len(str(commit)), dirty) == (40, False)
    code.write_text("b")
    provenance.checkout.cache_clear()
    assert provenance.checkout(tmp_path) == (commit, True)
