"""The run directory: names of folders, identity of specs, and what its JSON files hold."""

import json
import re

import pytest

from savo_bench.results import files
from savo_bench.results import format as fmt
from savo_bench.results.files import CorruptFile
from savo_bench.results.format import OtherSchema, SeedFolder

SPEC = {
    "environment": {"name": "restricted-hopper", "id": "SavoBench/RestrictedHopper-v0", "keywords": {}},
    "algorithm": {"name": "td3", "variant": "td3", "config": {"tau": 0.005, "hidden": (64, 64), "actor_norm": None}},
    "budget": {"profile": "ci", "steps": 200, "eval_every": 100, "eval_episodes": 2},
    "seed": 3,
}


@pytest.fixture
def folder(tmp_path):
    folder = SeedFolder.of(tmp_path, "restricted-hopper", "td3", 3)
    folder.write_run(SPEC, {"version": "0"})
    return folder


def test_importing_the_state_of_a_seed_loads_no_heavy_package(run_python):
    code = "import sys, savo_bench.results.state; print({'pandas', 'torch', 'mujoco', 'scipy'} & set(sys.modules))"
    assert run_python(code).stdout == "set()\n"


def test_label_and_slug_of_a_variant():
    assert fmt.label("td3", {}) == "td3"
    fields = {"extra_actors": 5, "lr": 3e-4, "hidden": (64, 64), "actor_norm": None, "film": True, "noise_final": 0.0}
    name = fmt.label("savo", fields)
    assert name == "savo:extra_actors=5,lr=0.0003,hidden=64-64,actor_norm=none,film=true,noise_final=0"
    assert fmt.slug("savo:extra_actors=5,target_noise=0.2") == "savo__extra_actors-5__target_noise-0.2"
    assert fmt.text(1 / 3) == repr(1 / 3)
    assert fmt.text(()) == "none"


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


def test_seeds_asked_for_are_written_down_once_and_read_back(tmp_path):
    fmt.ask(tmp_path, "env:b=1", "td3", range(3))
    fmt.ask(tmp_path, "env:b=1", "td3", [2, 1])
    path = tmp_path / "env__b-1" / "td3" / fmt.ASKED
    assert path.read_text() == '{"environment": "env:b=1", "variant": "td3", "seeds": [0, 1, 2]}\n'
    with path.open("a") as file:
        file.write('{"environment": "env:b=1", "var')
    fmt.ask(tmp_path, "env:b=1", "td3", [7])
    assert fmt.read_asked(path.parent) == ("env:b=1", "td3", (0, 1, 2, 7), ())
    path.parent.rename(path.parent.with_name("td3-copy"))
    assert list(fmt.cells_asked(tmp_path)) == []
    assert fmt.read_asked(tmp_path) is None


def test_files_that_are_not_there_read_as_none(tmp_path):
    folder = SeedFolder(tmp_path / "seed-0000")
    assert folder.read_run() is None
    assert folder.read_status() is None


def test_a_run_of_another_version_is_named_and_not_misread(folder):
    run = files.read_json(folder.run_json)
    files.write_json(folder.run_json, {"schema": 2, "whatever": run})
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
    run = files.read_json(folder.run_json)
    change(run)
    files.write_json(folder.run_json, run)
    with pytest.raises(CorruptFile, match=rf"run\.json: .*{message}"):
        folder.read_run()


def test_a_damaged_status_is_named(folder):
    whole = {"state": "running", "step": 1, "steps": 2}
    for value in ([], whole | {"state": "asleep"}, whole | {"state": []}, {"state": "done"}):
        files.write_json(folder.status_json, value)
        with pytest.raises(CorruptFile, match=r"status\.json: not a seed's status"):
            folder.read_status()
    for change, said in [
        ({"step": None}, "step is None, not int"),
        ({"heartbeat": None}, "heartbeat is None, not int or float"),
        ({"reason": 3}, "reason is 3, not str or null"),
        ({"owner": "me"}, "owner is 'me', not dict"),
        ({"owner": {"pack": 3}}, "owner.pack is 3, not list or null"),
        ({"owner": {"pack": ["x"]}}, "owner.pack is ['x'], not a list of int"),
        ({"attempt": "x"}, "attempt is 'x', not int"),
        ({"steps_per_s": "x"}, "steps_per_s is 'x', not int or float or null"),
    ]:
        files.write_json(folder.status_json, whole | change)
        with pytest.raises(CorruptFile, match=re.escape(f"status.json: {said}")):
            folder.read_status()
    with pytest.raises(ValueError, match="state='asleep': must be one of running, interrupted, done, failed"):
        folder.write_status(status(state="asleep"))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_numbers_that_nobody_can_compute_with_are_named(folder, number):
    whole = folder.run_json.read_text()
    folder.run_json.write_text(whole.replace('"seed": 3', f'"seed": {number}'))
    with pytest.raises(CorruptFile, match=r"run\.json: not valid JSON \(.* is not finite\)"):
        folder.read_run()
    folder.status_json.write_text(f'{{"state": "running", "step": 1, "steps": 2, "heartbeat": {number}}}')
    with pytest.raises(CorruptFile, match=r"status\.json: not valid JSON"):
        folder.read_status()


@pytest.mark.parametrize("depth", [100, 900, 100_000])
def test_what_is_nested_too_deeply_is_named(folder, depth):
    for path, read in ((folder.run_json, folder.read_run), (folder.status_json, folder.read_status)):
        for content in ("[" * depth, "[" * depth + "]" * depth):
            path.write_text(content)
            with pytest.raises(CorruptFile, match=rf"{path.name}: not valid JSON"):
                read()
    folder.attempts_jsonl.write_text("[" * depth + "]" * depth + '\n{"resumed_from": 0}\n')
    assert folder.read_attempts() == [{"resumed_from": 0}]


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": 3}, {"seeds": "12"}, {"seeds": ["1"]}, {"seeds": [-1]}, {"seeds": [2.5]}, {"seeds": None},
        {"environment": 3}, {"variant": None}, {"controls": "td3"}, {"controls": [3]},
    ],
)  # fmt: skip
def test_a_damaged_line_of_what_was_asked_for_counts_for_nothing(tmp_path, changes):
    fmt.ask(tmp_path, "env", "td3", [0])
    path = fmt.cell_folder(tmp_path, "env", "td3") / fmt.ASKED
    files.append_json(path, {"environment": "env", "variant": "td3", "seeds": [7], **changes})
    with path.open("a") as file:
        file.write('{"environment": "env", "variant": "td3", "seeds": [Infinity]}\n')
    fmt.ask(tmp_path, "env", "td3", [1])
    asked = fmt.read_asked(path.parent)
    assert asked is not None
    assert asked.seeds == (0, 1)


def test_a_run_json_of_another_seed_or_cell_is_named(folder):
    for name in ("seed-0009", "seed-3"):
        folder.path.rename(folder.path.with_name(name))
        moved = SeedFolder(folder.path.with_name(name))
        with pytest.raises(CorruptFile, match=f"{name}: its run.json belongs to restricted-hopper/td3/seed-0003"):
            moved.read_run()
        moved.path.rename(folder.path)
    folder.path.parent.rename(folder.path.parent.with_name("savo"))
    with pytest.raises(CorruptFile, match="copied or renamed"):
        SeedFolder(folder.path.parent.with_name("savo") / "seed-0003").read_run()


def test_how_metrics_are_shown_is_kept_beside_the_spec(folder):
    assert "metrics" not in folder.read_run()
    before = folder.read_run()["hash"]
    shown: dict[str, fmt.Metric] = {"success": {"label": "success rate", "unit": "%", "how": "mean"}}
    folder.write_run(SPEC, {}, shown)
    assert folder.read_run()["metrics"] == shown
    assert folder.read_run()["hash"] == before
    for damaged in ([], {"success": "rate"}, {"success": {"label": "rate"}}):
        files.write_json(folder.run_json, files.read_json(folder.run_json) | {"metrics": damaged})
        with pytest.raises(CorruptFile, match=r"run\.json: metrics is"):
            folder.read_run()


def test_a_checkpoint_s_files_are_found_by_their_numbers(tmp_path):
    assert fmt.state_steps(tmp_path / "none") == []
    for step in (400, 1_200, 800):
        fmt.state_file(tmp_path, step).touch()
    for first in (0, 100_000):
        fmt.replay_file(tmp_path, first).touch()
    (tmp_path / ".state-000002000.pt").touch()
    assert fmt.state_steps(tmp_path) == [1_200, 800, 400]
    assert fmt.state_file(tmp_path, 12_345).name == "state-000012345.pt"
    assert fmt.replay_files(tmp_path) == {
        0: tmp_path / "replay-000000000.bin",
        100_000: tmp_path / "replay-000100000.bin",
    }
