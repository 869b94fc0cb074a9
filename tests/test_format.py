"""The run directory: identity, atomic files, lines that tear, and what a seed's files say."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from savo_bench.results import format as fmt
from savo_bench.results.format import CorruptFile, OtherSchema, SeedFolder

SPEC = {
    "environment": {"name": "restricted-hopper", "id": "SavoBench/RestrictedHopper-v0", "keywords": {}},
    "algorithm": {"name": "td3", "variant": "td3", "config": {"tau": 0.005, "hidden": (64, 64), "actor_norm": None}},
    "budget": {"profile": "ci", "steps": 200, "eval_every": 100, "eval_episodes": 2},
    "seed": 3,
}
HEADER = ["step", "episode", "return", "length"]


@pytest.fixture
def folder(tmp_path):
    folder = SeedFolder.of(tmp_path, "restricted-hopper", "td3", 3)
    folder.write_run(SPEC, {"version": "0"})
    return folder


def files(path):
    return sorted(p.name for p in path.iterdir())


# ---- whole files


def test_importing_the_format_loads_no_heavy_package(run_python):
    code = "import sys, results.format; print({'pandas', 'torch', 'mujoco', 'numpy', 'scipy'} & set(sys.modules))"
    assert run_python(code).stdout == "set()\n"


def test_json_is_read_back_and_leaves_no_temporary_file(tmp_path):
    value = {"a": [1, 2.5, None, True], "b": {"c": "μ"}}
    for durable in (True, False):
        fmt.write_json(tmp_path / "x.json", value, durable=durable)
        assert fmt.read_json(tmp_path / "x.json") == value
    assert files(tmp_path) == ["x.json"]


def test_json_takes_numpy_numbers_and_writes_null_for_nan(tmp_path):
    fmt.write_json(tmp_path / "x.json", {"a": np.float32(0.5), "b": np.int64(3), "c": float("nan"), "d": (1, tmp_path)})
    assert fmt.read_json(tmp_path / "x.json") == {"a": 0.5, "b": 3, "c": None, "d": [1, str(tmp_path)]}
    with pytest.raises(TypeError, match="no place in a JSON file"):
        fmt.write_json(tmp_path / "x.json", object())


def test_a_file_stays_as_it_was_when_its_replacement_fails(tmp_path):
    path = tmp_path / "state.pt"
    path.write_bytes(b"old")

    def fail_half_way():
        with fmt.replacing(path) as file:
            file.write(b"new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["state.pt"]


def test_unreadable_json_is_named(tmp_path):
    for content in (b'{"a": 1', b"", b"\xff\xfe"):
        (tmp_path / "x.json").write_bytes(content)
        with pytest.raises(CorruptFile, match=r"x\.json: not valid JSON"):
            fmt.read_json(tmp_path / "x.json")


# ---- identity


def test_label_and_slug_of_a_variant():
    assert fmt.label("td3", {}) == "td3"
    fields = {"extra_actors": 5, "lr": 3e-4, "hidden": (64, 64), "actor_norm": None, "film": True, "noise_final": 0.0}
    name = fmt.label("savo", fields)
    assert name == "savo:extra_actors=5,lr=0.0003,hidden=64-64,actor_norm=none,film=true,noise_final=0"
    assert fmt.slug("savo:extra_actors=5,target_noise=0.2") == "savo__extra_actors-5__target_noise-0.2"
    assert fmt.text(1 / 3) == repr(1 / 3)


@pytest.mark.parametrize("label", ["a:b=/etc", "..", ".", ".hidden", "", "Ä", "x" * 400, "a b", "a:b=C:\\"])
def test_slug_is_always_a_safe_folder_name(label):
    slug = fmt.slug(label)
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    assert slug
    assert not slug.startswith(".")
    assert len(slug) < 200


def test_different_labels_have_different_slugs():
    labels = ["a:b=1e+06", "a:b=1e-06", "A", "a", "x" * 300, "x" * 301, "a:b=c", "a:b=C", "a b", "a/b", "", "."]
    assert len({fmt.slug(label) for label in labels}) == len(labels)


def test_hash_depends_on_values_and_not_on_their_order_or_container():
    assert fmt.spec_hash({"a": 1, "b": (1, 2)}) == fmt.spec_hash({"b": [1, 2], "a": 1})
    assert fmt.spec_hash({"a": 1}) != fmt.spec_hash({"a": 1.0})
    assert len(fmt.spec_hash(SPEC)) == 16
    with pytest.raises(ValueError, match="finite"):
        fmt.spec_hash({"a": float("inf")})


def test_hash_survives_the_way_through_the_file(folder):
    run = folder.read_run()
    assert run["hash"] == fmt.spec_hash(SPEC) == fmt.spec_hash(run["spec"])
    assert fmt.spec_differences(SPEC, run["spec"]) == []


def test_differences_name_the_fields():
    other = json.loads(json.dumps(SPEC))
    other["algorithm"]["config"] |= {"tau": 0.01, "extra_actors": 3}
    other["environment"]["keywords"] = {"balls": 9}
    assert fmt.spec_differences(SPEC, other) == [
        ("environment.keywords", {}, None),
        ("algorithm.config.tau", 0.005, 0.01),
        ("environment.keywords.balls", None, 9),
        ("algorithm.config.extra_actors", None, 3),
    ]
    assert fmt.spec_differences({"a": 1}, {"a": 1.0}) == [("a", 1, 1.0)]  # as their hashes do
    assert fmt.spec_differences({"a": None}, {}) == [("a", None, None)]


# ---- CSV


def test_rows_are_appended_and_floats_read_back_exactly(tmp_path):
    path = tmp_path / "evals.csv"
    numbers = [0.1, 1 / 3, 1e-310, -1.7976931348623157e308, float(np.float32(0.1))]
    length = fmt.append_csv(path, HEADER, [(100, 0, numbers[0], 7), (100, 1, np.float64(numbers[1]), np.int32(8))])
    assert length == path.stat().st_size
    fmt.append_csv(path, HEADER, [(200, i, x, True) for i, x in enumerate(numbers[2:])])
    assert path.read_text().startswith(
        "step,episode,return,length\n100,0,0.1,7\n100,1,0.3333333333333333,8\n200,0,1e-310,1"
    )
    assert fmt.read_csv(path)["return"].tolist() == numbers


def test_cutting_back_and_appending_again_gives_the_same_bytes(tmp_path):
    path = tmp_path / "evals.csv"
    length = fmt.append_csv(path, HEADER, [(100, 0, 1.5, 3)])
    fmt.append_csv(path, HEADER, [(200, 0, 2.5, 3)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(CorruptFile, match="torn line"):
        fmt.append_csv(path, HEADER, [(200, 0, 2.5, 3)])
    fmt.truncate(path, length)
    fmt.append_csv(path, HEADER, [(200, 0, 2.5, 3)])
    assert path.read_bytes() == whole
    fmt.truncate(path, 0)
    fmt.append_csv(path, HEADER, [(100, 0, 1.5, 3), (200, 0, 2.5, 3)])
    assert path.read_bytes() == whole


def test_truncate_refuses_a_file_that_is_too_short(tmp_path):
    fmt.truncate(tmp_path / "none.csv", 0)
    assert files(tmp_path) == []
    with pytest.raises(CorruptFile, match="0 bytes long where the checkpoint names 5"):
        fmt.truncate(tmp_path / "none.csv", 5)


def test_append_refuses_what_does_not_fit(tmp_path):
    path = tmp_path / "evals.csv"
    fmt.append_csv(path, HEADER, [(100, 0, 1.5, 3)])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="3 values under a header of 4"):
        fmt.append_csv(path, HEADER, [(100, 0, 1.5)])
    with pytest.raises(ValueError, match="its columns are not step"):
        fmt.append_csv(path, ["step"], [(100,)])
    with pytest.raises(ValueError, match="'a,b' is no number"):
        fmt.append_csv(path, HEADER, [(100, 0, 1.5, "a,b")])
    assert path.read_bytes() == before


def test_a_full_disk_leaves_whole_lines(tmp_path, run_python):
    # a limit on the file's size fails a write half-way, as a full disk does
    path = tmp_path / "evals.csv"
    code = f"""
import resource, signal
from pathlib import Path
from savo_bench.results import format as fmt
path = Path({str(path)!r})
length = fmt.append_csv(path, ["step", "x"], [(1, 0.5)])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (length + 5, resource.RLIM_INFINITY))
try:
    fmt.append_csv(path, ["step", "x"], [(2, 0.5), (3, 0.5)])
except OSError:
    print("failed")
"""
    assert run_python(code).stdout == "failed\n"
    assert path.read_text() == "step,x\n1,0.5\n"


def test_a_torn_last_line_is_left_out_and_named(tmp_path):
    path = tmp_path / "evals.csv"
    fmt.append_csv(path, HEADER, [(100, 0, 1.5, 3), (200, 0, 2.5, 30)])
    whole = path.read_bytes()
    assert "torn" not in fmt.read_csv(path).attrs
    for cut in range(1, len(whole)):
        path.write_bytes(whole[:cut])
        frame = fmt.read_csv(path)
        assert len(frame) == max(0, whole[:cut].count(b"\n") - 1)
        assert ("torn" in frame.attrs) == (whole[cut - 1 : cut] != b"\n")
    assert fmt.read_csv(path).attrs["torn"] == f"{path}: torn last line left out: '200,0,2.5,30'"


def test_files_without_rows_read_as_empty_frames(tmp_path):
    path = tmp_path / "evals.csv"
    path.write_bytes(b"")
    assert len(fmt.read_csv(path)) == 0
    path.write_bytes(b"step,episode\n")
    assert fmt.read_csv(path).columns.tolist() == ["step", "episode"]
    with pytest.raises(FileNotFoundError):
        fmt.read_csv(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"1,2", "line 3"),
        (b"1,2,3,4,5", "line 3"),
        (b"", "line 3"),
        (b"\0,1,2,3", "line 3, column step: '\\\\x00'"),
        (b"1,2,x,4", "line 3, column return: 'x'"),
    ],
)
def test_a_broken_line_in_the_middle_is_named(tmp_path, line, message):
    path = tmp_path / "evals.csv"
    path.write_bytes(b"step,episode,return,length\n100,0,1.5,3\n" + line + b"\n200,0,2.5,3\n")
    with pytest.raises(CorruptFile, match=message):
        fmt.read_csv(path)


def test_nan_and_missing_values_read_as_nan(tmp_path):
    path = tmp_path / "train.csv"
    fmt.append_csv(path, ["step", "loss"], [(1, float("nan")), (2, None), (3, float("inf"))])
    assert fmt.read_csv(path)["loss"].tolist()[2] == float("inf")
    assert fmt.read_csv(path)["loss"].isna().tolist() == [True, True, False]


# ---- a seed


def status(**changes):
    return {"state": "running", "step": 100, "steps": 200, "heartbeat": 1000.0, **changes}


def test_folders_are_found_in_order_and_others_ignored(tmp_path):
    for seed in (10_000, 9_999, 2):
        SeedFolder.of(tmp_path, "env:b=1", "td3", seed).path.mkdir(parents=True)
    for foreign in ("env__b-1/td3/seed-x", "env__b-1/td3/seed-0001.bak", "env__b-1/other"):
        (tmp_path / foreign).mkdir()
    (tmp_path / "env__b-1/td3/seed-0004").write_text("a file")
    found = list(fmt.seed_folders(tmp_path))
    assert [folder.seed for folder in found] == [2, 9_999, 10_000]
    assert found[0].path == tmp_path / "env__b-1" / "td3" / "seed-0002"
    assert list(fmt.seed_folders(tmp_path / "none")) == []


def test_seeds_asked_for_are_recorded_once_and_read_back(tmp_path):
    fmt.ask(tmp_path, "env:b=1", "td3", range(3))
    fmt.ask(tmp_path, "env:b=1", "td3", [2, 1])
    path = tmp_path / "env__b-1" / "td3" / fmt.ASKED
    assert path.read_text() == '{"environment": "env:b=1", "variant": "td3", "seeds": [0, 1, 2]}\n'
    with path.open("a") as file:
        file.write('{"environment": "env:b=1", "var')
    fmt.ask(tmp_path, "env:b=1", "td3", [7])
    assert fmt.read_asked(path.parent) == ("env:b=1", "td3", (0, 1, 2, 7))
    path.parent.rename(path.parent.with_name("td3-copy"))
    assert list(fmt.cells_asked(tmp_path)) == []
    assert fmt.read_asked(tmp_path) is None


def test_files_that_are_not_there_read_as_none(tmp_path):
    folder = SeedFolder(tmp_path / "seed-0000")
    assert folder.read_run() is None
    assert folder.read_status() is None
    assert folder.state() == ("missing", "has no run.json")


def test_a_run_of_another_version_is_named_and_not_misread(folder):
    run = fmt.read_json(folder.run_json)
    fmt.write_json(folder.run_json, {"schema": 2, "whatever": run})
    with pytest.raises(OtherSchema, match=r"run\.json: schema 2, this version reads 1"):
        folder.read_run()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: run["spec"].update(seed=4), "its hash is not that of its spec"),
        (lambda run: run.pop("spec"), "no spec"),
        (lambda run: run.pop("schema"), "not a run's description"),
        (
            lambda run: (run["spec"].pop("budget"), run.update(hash=fmt.spec_hash(run["spec"]))),
            r"spec\.budget\.profile is None",
        ),
    ],
)
def test_a_damaged_run_json_is_named(folder, change, message):
    run = fmt.read_json(folder.run_json)
    change(run)
    fmt.write_json(folder.run_json, run)
    with pytest.raises(CorruptFile, match=rf"run\.json: .*{message}"):
        folder.read_run()


def test_a_damaged_status_is_named(folder):
    whole = {"state": "running", "step": 1, "steps": 2}
    changes = [{"state": "asleep"}, {"step": None}, {"heartbeat": None}, {"owner": "me"}]
    for value in ([], *(whole | change for change in changes)):
        fmt.write_json(folder.status_json, value)
        with pytest.raises(CorruptFile, match=r"status\.json: not a seed's status"):
            folder.read_status()
    with pytest.raises(ValueError, match="state='asleep': must be one of running, done, failed"):
        folder.write_status(status(state="asleep"))


def test_done_needs_the_status_and_the_last_evaluation(folder):
    folder.write_status(status(state="done", step=200))
    assert folder.state() == ("failed", "says done, but evals.csv ends at step 0 of 200")
    fmt.append_csv(folder.evals_csv, HEADER, [(100, 0, 1.0, 1)])
    assert folder.state() == ("failed", "says done, but evals.csv ends at step 100 of 200")
    fmt.append_csv(folder.evals_csv, HEADER, [(200, 0, 1.0, 1)])
    assert folder.state() == ("done", None)
    os.truncate(folder.evals_csv, folder.evals_csv.stat().st_size - 1)
    assert folder.state().name == "failed"


def test_running_needs_a_fresh_heartbeat_and_a_living_process(folder):
    assert folder.state() == ("missing", "never began")
    folder.write_status(status())
    assert folder.state(now=1000 + fmt.STALE_AFTER - 1).name == "running"
    assert folder.state(now=0).name == "running"  # the owner's clock is ahead
    assert folder.state(now=1000 + fmt.STALE_AFTER + 1) == ("interrupted", "no process trains it")
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    for pid, name in ((os.getpid(), "running"), (child.pid, "interrupted")):
        folder.write_status(status(owner={"host": socket.gethostname(), "pid": pid}))
        assert folder.state(now=1000).name == name
    folder.write_status(status(owner={"host": "elsewhere", "pid": child.pid}))
    assert folder.state(now=1000).name == "running"


def test_a_failed_seed_keeps_its_reason(folder):
    folder.write_status(status(state="failed", reason="returns are NaN"))
    assert folder.state() == ("failed", "returns are NaN")
    folder.write_status(status(state="failed"))
    assert folder.state() == ("failed", "no reason was recorded")
