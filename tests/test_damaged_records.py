"""Every field of a run's JSON files, of another type: its seed is named or the field does no harm, and nothing ends."""

import copy
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from test_frame import fake_run, rewrite_status

from savo_bench.bench.commands.status import print_status
from savo_bench.results import files, provenance, regression
from savo_bench.results import format as fmt
from savo_bench.results.format import SeedFolder
from savo_bench.results.frame import MixedRuns, load, load_train
from savo_bench.results.report import write_report

ORIGIN = {
    "git": "a", "dirty": False, "code": {"savo-bench": "1"}, "packages": {"torch": "2"}, "python": "3", "cpu": "A",
    "processor": {"name": "A", "flags": ["avx"], "capability": "x", "arithmetic": "z"}, "gpu": None, "pack": [0],
}  # fmt: skip
WRONG = [None, True, -1, 10**30, 2.5, "x", "", "\udc80", "[bold]", [], ["x"], [[1]], {}, {"a": 1}, {"a": [{}]}]
OTHERS, STATES = ("status.json", "attempts.jsonl", "asked.jsonl"), ("done", "running", "failed")


def recorded(root: Path, state: str) -> SeedFolder:
    """A seed whose files hold every field, beside another."""
    seeds = [fake_run(root, [1, 2, 3, 4], provenance=ORIGIN, state=state, metrics={"valid": 0.5})]
    seeds.append(fake_run(root, [1, 2, 3, 4], provenance=ORIGIN, metrics={"valid": 0.5}, seed=1))
    for folder in seeds:
        run = folder.read_run()
        assert run is not None
        folder.add_attempt({**run["provenance"], "attempt": 1, "resumed_from": 0, "new_episode": False})
        files.write_json(folder.run_json, run | {"metrics": {"valid": {"label": "V", "unit": "u", "how": "mean"}}})
    owner = {"host": "h", "pid": 3, "launcher": "local", "job": "3", "pack": [0, 1]}
    costs = {"peak_memory": 1e9, "action_seconds": 0.1, "parameters": 100}
    rewrite_status(seeds[0], attempt=1, last_return=3.0, owner=owner, **costs)
    fmt.ask(root, "restricted-hopper", "td3", [0, 1, 2], ["td3:tau=0.1"])
    return seeds[0]


def fields(document: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of a document and of everything in it."""
    yield path
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in inner:
        yield from fields(value, (*path, key))


def changed(document: Any, path: tuple, value: Any) -> Any:
    if not path:
        return value
    document = copy.deepcopy(document)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


def read_by_all(root: Path) -> None:
    """What `status`, `report` and `check` read."""
    print_status(root, Console(file=io.TextIOWrapper(io.BytesIO(), "utf-8"), width=200))
    try:
        runs = load(root)
    except MixedRuns:
        return
    load_train(root)
    provenance.line(runs.runs)
    provenance.differences(runs.runs)
    list(provenance.doubtful(runs.runs))
    try:
        regression.baseline_table(runs)
    except regression.NotMeasured:
        return


@pytest.mark.parametrize(("name", "state"), [("run.json", "done"), *itertools.product(OTHERS, STATES)])
def test_a_field_of_another_type_ends_no_command(tmp_path, name, state):
    root = tmp_path / "x"
    folder = recorded(root, state)
    path = folder.path / name if name != fmt.ASKED else folder.path.parent / name
    document = json.loads(path.read_bytes())
    for number, field in enumerate(fields(document)):
        for value in WRONG[(number + STATES.index(state)) % 5 :: 5]:  # each field meets a fifth in each state
            damaged = changed(document, field, value)
            path.write_text(json.dumps(damaged) + "\n")
            read_by_all(root)
            if name == "run.json" and field[:1] == ("spec",) and isinstance(damaged["spec"], dict):  # by who can hash
                path.write_text(json.dumps(damaged | {"hash": fmt.spec_hash(damaged["spec"])}) + "\n")
                read_by_all(root)


@pytest.mark.parametrize("episodes", [0, -1, True, 10**30])
def test_a_budget_of_impossible_episodes_ends_no_command(tmp_path, episodes):
    folder = recorded(tmp_path / "x", "running")
    document = changed(json.loads(folder.run_json.read_bytes()), ("spec", "budget", "eval_episodes"), episodes)
    files.write_json(folder.run_json, document | {"hash": fmt.spec_hash(document["spec"])})
    read_by_all(tmp_path / "x")


def test_a_report_is_written_of_text_that_no_encoding_has(tmp_path):
    folder = recorded(tmp_path / "x", "failed")
    rewrite_status(folder, reason="\udc80 [bold] \0", owner={"host": "\udc80"})
    report = write_report(tmp_path / "x", tmp_path / "out")
    assert report.folder.joinpath("report.md").read_text()
    read_by_all(tmp_path / "x")
