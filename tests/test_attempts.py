"""Attempts: what each one records, what is left of it, and what is said of seeds that were not made by one kind."""

import io
import json
import os
import shutil
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pytest
import torch
from rich.console import Console
from small_runs import assert_same_run, cell, one_thread, pack, stop_at
from test_frame import fake_run

from savo_bench.bench import processor, provenance, train
from savo_bench.bench.commands.check import check, update
from savo_bench.bench.commands.status import print_status
from savo_bench.results.attempts import attempts_of, doubts, mixture
from savo_bench.results.format import SeedFolder, state_file, state_steps
from savo_bench.results.report import write_report
from savo_bench.results.state import state_of

__all__ = ["one_thread", "stop_at"]  # fixtures
ROOT = Path(__file__).parent.parent
NO_FMA = "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX,-FMA4,-AVX2_Usable,-FMA_Usable"
TINY = ["--steps", "300", "--eval-every", "100", "--eval-episodes", "2", "--workers", "1"]
TINY += ["--set", "warmup_steps=50", "--set", "hidden=8-8", "--set", "batch_size=16"]


def attempt(step, *, code=None, arithmetic=None, **entries):
    made = {"resumed_from": step, **entries}
    made |= {} if code is None else {"code": code}
    return made | ({} if arithmetic is None else {"processor": {"arithmetic": arithmetic}})


def left(folder: SeedFolder) -> list[int]:
    return [each["resumed_from"] for each in attempts_of(folder, {"provenance": {"cpu": "A"}})]


@pytest.mark.parametrize(
    ("steps", "kept"),
    [([0], [0]), ([0, 0], [0]), ([0, 100, 200], [0, 100, 200]), ([0, 100, 200, 100], [0, 100]), ([0, 50, 0], [0])],
)
def test_an_attempt_of_which_no_step_is_left_does_not_count(tmp_path, steps, kept):
    folder = SeedFolder(tmp_path)
    for step in steps:
        folder.add_attempt({"resumed_from": step})
    assert len(folder.read_attempts()) == len(steps)
    assert left(folder) == kept


def test_an_old_run_has_the_first_attempt_of_run_json(tmp_path):
    folder = SeedFolder(tmp_path)
    assert attempts_of(folder, {"provenance": {"cpu": "A"}}) == [{"cpu": "A", "attempt": 1, "resumed_from": 0}]
    folder.add_attempt({"resumed_from": 100})
    assert left(folder) == [0, 100]


def test_a_torn_line_counts_for_nothing_and_the_next_is_whole(tmp_path):
    folder = SeedFolder(tmp_path)
    folder.add_attempt({"resumed_from": 0})
    with folder.attempts_jsonl.open("ab") as file:
        file.write(b'{"resumed_from": 1')
    assert left(folder) == [0]
    folder.add_attempt({"resumed_from": 2})
    with folder.attempts_jsonl.open("ab") as file:
        file.write(b'[]\n{"resumed_from": "x"}\n\xff\n')
    assert left(folder) == [0, 2]


def test_what_changes_results_mixes_a_seed():
    first = attempt(0, code={"a": "1"}, arithmetic="x", packages={"torch": "2.4"}, device="cpu", host="n1")
    for changed, said in [
        ({"code": {"a": "2"}}, "other code of a"),
        ({"processor": {"arithmetic": "y"}}, "other arithmetic of the processor"),
        ({"packages": {"torch": "2.5"}}, "another version of torch"),
        ({"device": "cuda"}, "another device"),
    ]:
        assert mixture([first, first | changed | {"resumed_from": 100}]) == f"mixed: from step 100 on {said}"
    assert mixture([first]) is None
    assert mixture([first, first | {"resumed_from": 100, "host": "n2", "python": "3.12.1"}]) is None


def test_what_is_not_known_differs_from_nothing():
    old, new = attempt(0, packages={"torch": "2.4"}), attempt(9, code={"a": "1"}, arithmetic="x")
    assert mixture([old, new]) is None
    assert doubts({0: [old], 1: [new]}) == []
    more = attempt(9, packages={"torch": "2.4", "scipy": "1.13"})
    assert mixture([old, more]) is None
    assert mixture([more, old | {"resumed_from": 20}]) is None


def test_a_version_counts_only_where_no_hash_says_that_the_code_is_the_same():
    first = attempt(0, code={"a": "1"}, packages={"a": "1.0"})
    assert mixture([first, attempt(9, code={"a": "1"}, packages={"a": "1.1"})]) is None
    assert mixture([attempt(0, packages={"a": "1.0"}), attempt(9, packages={"a": "1.1"})]) is not None


def test_seeds_of_different_code_are_named_by_the_code_that_they_share():
    ours = {"savo-bench": "0"}
    seeds = {seed: [attempt(0, code=ours | {"mine": "1" if seed < 5 else "2"})] for seed in range(7)}
    assert doubts(seeds) == ["seeds 0-4 and 5-6 were made by different code of mine"]


def texts(root: Path) -> tuple[str, str]:
    """What status prints and report.md says."""
    console = Console(file=io.StringIO(), width=300)
    print_status(root, console)
    report = write_report(root, root.with_name("report-of-it"))
    return console.file.getvalue(), report.folder.joinpath("report.md").read_text()  # type: ignore[attr-defined]


def checked(root: Path) -> str:
    """What check prints of runs against themselves, which are identical to the last bit."""
    console = Console(file=io.StringIO(), width=300)
    update(root, root.with_name("base.csv"), console)
    junit = root.with_name("junit.xml")
    check(root, root.with_name("base.csv"), console, markdown=None, junit=junit, throughput=None)
    return console.file.getvalue() + junit.read_text()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("entry", "before", "after", "said"),
    [
        ("host", "n1", "n2", "host"),
        ("packages", {"torch": "2.4"}, {"torch": "2.5"}, "packages.torch"),
        ("processor", {"capability": "AVX2"}, {"capability": "AVX512"}, "processor.capability"),
    ],
)
def test_a_resume_elsewhere_is_in_the_report(tmp_path, entry, before, after, said):
    folder = fake_run(tmp_path / "x", [1] * 4, provenance={entry: before})
    run = folder.read_run()
    assert run is not None
    for step, value in ((0, before), (200, after)):
        folder.add_attempt({**run["provenance"], entry: value, "resumed_from": step})
    _, markdown = texts(tmp_path / "x")
    assert f"**Unlike runs:** they differ in `{said}`" in markdown
    assert "do not differ" not in markdown


def test_unknown_code_is_said_once(tmp_path):
    for seed in range(3):
        fake_run(tmp_path / "x", [1] * 4, seed=seed, provenance={"code": {"savo-bench": "1"}} if seed else None)
    status, markdown = texts(tmp_path / "x")
    assert "The code of 1 seed is not known. The runs do not differ in any of these." in markdown
    assert "Not of one kind" not in markdown
    assert "code" not in status


def test_unreadable_attempts_are_named(tmp_path):
    folder = fake_run(tmp_path / "x", [1] * 4)
    folder.attempts_jsonl.mkdir()
    status, markdown = texts(tmp_path / "x")
    assert "attempts.jsonl: Is a directory" in status
    assert "attempts.jsonl: Is a directory" in markdown


def interrupted(root, stop_at, environment="restricted-hopper", step=155):
    asked = pack(root / "x", cell("td3", environment, steps=300), 0)
    stop_at(step)
    with pytest.raises(train.Interrupted):
        train.train_pack(asked)
    stop_at(None)
    return asked, SeedFolder(asked.folder(0))


def perturb(folder: SeedFolder) -> None:
    """Let the stored observation be one that this machine does not reach."""
    path = state_file(folder.checkpoint, state_steps(folder.checkpoint)[0])
    state = torch.load(path)
    assert len(state["environment"]["actions"]) > 0
    state["environment"]["obs"] += 1e-6
    torch.save(state, path)


def forge(monkeypatch) -> None:
    """Let this process compute otherwise, as far as anyone can see."""
    monkeypatch.setattr(processor, "arithmetic", lambda: "libm 0, numpy 0, torch 0")


def test_an_episode_that_another_processor_left_is_begun_anew_and_the_seed_marked(
    tmp_path, stop_at, monkeypatch, capsys
):
    asked, folder = interrupted(tmp_path, stop_at)
    perturb(folder)
    forge(monkeypatch)
    train.train_pack(asked)
    assert state_of(folder).state == "done"
    assert [each["new_episode"] for each in folder.read_attempts()] == [False, True]
    assert "saved with other arithmetic of the processor (libm " in capsys.readouterr().out
    said = "mixed: from step 155 on other arithmetic of the processor and a new episode instead of the unfinished one"
    status, markdown = texts(tmp_path / "x")
    assert f"seed 0 {said}" in status
    assert markdown.index("**Not of one kind:**") < markdown.index("## ")
    assert said in markdown
    verdict = checked(tmp_path / "x")
    assert "identical; of runs that are not of one kind" in verdict
    assert verdict.count(said) == 3  # update, check, JUnit


NEWER = {"torch": "2.9", "gymnasium": "9.9", "mujoco": "9.9"}


def without_origin(folder: SeedFolder, *entries: str, **more: str) -> None:
    """Let the newest state be an older version's, which does not say who saved it; `entries` of attempts go, too."""
    path = state_file(folder.checkpoint, state_steps(folder.checkpoint)[0])
    state = torch.load(path)
    del state["origin"]
    torch.save(state | more, path)
    attempts = folder.read_attempts()
    folder.attempts_jsonl.unlink()
    for each in attempts:
        folder.add_attempt({name: value for name, value in each.items() if name not in entries})


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"packages": NEWER}, "another version of mujoco"),
        ({"code": {"savo-bench": "0" * 16}}, "other code of savo-bench"),
        (
            {"packages": {"made-up-physics": "2"}, "saved": {"made-up-physics": "1"}},
            "another version of made-up-physics",
        ),
    ],
)
def test_an_episode_that_other_packages_or_code_left_is_begun_anew_with_the_cause_named(
    tmp_path, stop_at, monkeypatch, capsys, changed, said, older
):
    if "saved" in changed:
        monkeypatch.setattr(provenance, "packages", lambda: changed["saved"])
    asked, folder = interrupted(tmp_path, stop_at)
    perturb(folder)
    if older:
        without_origin(folder)
    if "packages" in changed:
        monkeypatch.setattr(provenance, "packages", lambda: changed["packages"])
    if "code" in changed:
        monkeypatch.setattr(provenance, "code", lambda _: changed["code"])
    train.train_pack(asked)
    assert state_of(folder).state == "done", state_of(folder).reason
    assert [each["new_episode"] for each in folder.read_attempts()] == [False, True]
    printed = capsys.readouterr().out
    assert f"{said} (" in printed
    assert "np_random" not in printed
    assert f"{said} and a new episode instead of the unfinished one" in texts(tmp_path / "x")[0]


@pytest.mark.parametrize(
    ("lost", "said"), [("code", "code that was not recorded"), ("processor", "arithmetic that was not recorded")]
)
def test_an_episode_of_which_nobody_knows_how_it_came_about_accuses_no_environment(
    tmp_path, stop_at, capsys, lost, said
):
    asked, folder = interrupted(tmp_path, stop_at)
    perturb(folder)
    without_origin(folder, lost)
    train.train_pack(asked)
    assert state_of(folder).state == "done"
    assert f"saved with {said}; its episode cannot be continued here" in capsys.readouterr().out
    assert "mixed: from step 155 on a new episode" in texts(tmp_path / "x")[0]


def test_an_older_checkpoint_is_resumed_bit_by_bit(tmp_path, stop_at):
    asked, folder = interrupted(tmp_path, stop_at)
    without_origin(folder, "code", "processor", "packages", arithmetic=processor.arithmetic())
    train.train_pack(asked)
    calm = pack(tmp_path / "calm", asked.cell, 0)
    train.train_pack(calm)
    assert_same_run(calm.folder(0), folder.path)


def test_an_attempt_that_could_not_resume_is_not_taken_for_the_one_that_saved(tmp_path, stop_at, monkeypatch):
    asked, folder = interrupted(tmp_path, stop_at)
    perturb(folder)
    without_origin(folder)
    monkeypatch.setattr(provenance, "packages", lambda: NEWER)
    folder.add_attempt({**folder.read_attempts()[-1], "resumed_from": 155, "packages": NEWER})
    train.train_pack(asked)
    assert state_of(folder).state == "done"


def test_an_episode_that_is_reached_goes_on_and_the_seed_is_marked_all_the_same(tmp_path, stop_at, monkeypatch):
    asked, folder = interrupted(tmp_path, stop_at)
    forge(monkeypatch)
    train.train_pack(asked)
    assert [each["new_episode"] for each in folder.read_attempts()] == [False, False]
    assert "mixed: from step 155 on other arithmetic of the processor" in texts(tmp_path / "x")[0]
    calm = pack(tmp_path / "calm", asked.cell, 0)
    train.train_pack(calm)
    assert_same_run(calm.folder(0), folder.path)


def test_on_the_same_processor_it_is_a_fault_of_the_environment(tmp_path, stop_at):
    asked, folder = interrupted(tmp_path, stop_at)
    perturb(folder)
    for _ in range(2):
        train.train_pack(asked)
    assert state_of(folder).state == "failed"
    assert "is not a function of its np_random at reset" in str(state_of(folder).reason)


def test_an_environment_that_raises_when_led_astray_is_no_failure(tmp_path, stop_at, monkeypatch):
    asked, folder = interrupted(tmp_path, stop_at)
    monkeypatch.setattr("savo_bench.bench.training.seed.SeedRun._play_again", lambda *_: 1 / 0)
    forge(monkeypatch)
    train.train_pack(asked)
    assert state_of(folder).state == "done"


def test_each_attempt_names_its_code_processor_and_host(tmp_path, stop_at, monkeypatch):
    asked, folder = interrupted(tmp_path, stop_at)
    monkeypatch.setattr(provenance, "socket", types.SimpleNamespace(gethostname=lambda: "elsewhere"))
    monkeypatch.setattr(provenance, "packages", lambda: {"torch": "0.1"})
    train.train_pack(asked)
    first, second = folder.read_attempts()
    assert (first["attempt"], second["attempt"], second["resumed_from"]) == (1, 2, 155)
    assert first["code"] == second["code"] == provenance.code(asked.cell)
    assert set(first["code"]) == {"savo-bench"}  # no plug-in is used
    assert first["processor"]["arithmetic"] == second["processor"]["arithmetic"]
    status, markdown = texts(tmp_path / "x")
    assert "another version of torch" in status
    assert "packages.torch" in markdown
    assert "elsewhere" in markdown


def python(*arguments: str, paths: tuple[Path, ...] = (), **variables: str) -> str:
    """What a Python process prints; `paths` go before ours."""
    path = os.pathsep.join(map(str, [*paths, ROOT / "src"]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "300", **variables}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def bench(*arguments: str, **of) -> str:
    return python("-m", "savo_bench.bench.cli", *arguments, **of)


@pytest.mark.parametrize("variables", [{"GLIBC_TUNABLES": NO_FMA}, {"ATEN_CPU_CAPABILITY": "default"}])
def test_a_run_goes_on_on_another_kind_of_processor(tmp_path, stop_at, variables):
    label = "import torch; from savo_bench.bench.processor import arithmetic; print(arithmetic())"
    if python("-c", label, **variables) == python("-c", label):
        pytest.skip(f"{variables} changes no bit on this machine")
    asked, folder = interrupted(tmp_path, stop_at, "restricted-ant", 140)
    code = f"""
        from pathlib import Path
        from small_runs import cell, pack
        from savo_bench.bench.train import train_pack
        train_pack(pack(Path({str(asked.root)!r}), cell("td3", "restricted-ant", steps=300), 0))
    """
    python("-c", textwrap.dedent(code), paths=(ROOT / "tests",), **variables)
    assert state_of(folder).state == "done"
    assert [each["resumed_from"] for each in folder.read_attempts()] == [0, 140]
    assert "mixed: from step 140 on other arithmetic of the processor" in texts(asked.root)[0]


# Random episodes of restricted-ant: saved by one process, and resumed by another from what that wrote.
EPISODES = """
import sys
from pathlib import Path
import numpy as np
import torch
from savo_bench import envs
from savo_bench.algos.noise import Streams
from savo_bench.bench.training.loop import take_step
from savo_bench.bench.training.seed import SeedRun
from savo_bench.results.format import SeedFolder
for seed in range(4):
    run = SeedRun(seed, SeedFolder(Path()), envs.make("restricted-ant"), Streams(seed))
    run.env.unwrapped.np_random = run.streams.environment
    path, rng = f"{sys.argv[2]}/{seed}.pt", np.random.default_rng(seed)
    if sys.argv[1] == "save":
        run.reset()
    else:
        print(run.load_state(torch.load(path), elsewhere=True))
    for _ in range(600):
        take_step(run, rng.uniform(-1, 1, 8).astype(np.float32))
    if sys.argv[1] == "save":
        torch.save(run.state(), path)
"""


def test_long_episodes_lead_elsewhere_without_fused_multiply_add_and_new_ones_begin(tmp_path):
    label = "from savo_bench.bench.processor import arithmetic; print(arithmetic())"
    if python("-c", label, GLIBC_TUNABLES=NO_FMA) == python("-c", label):
        pytest.skip("this machine's C library computes the same without fused multiply-add")
    python("-c", EPISODES, "save", str(tmp_path))
    assert python("-c", EPISODES, "load", str(tmp_path)).split() == ["True"] * 4
    assert "False" in python("-c", EPISODES, "load", str(tmp_path), GLIBC_TUNABLES=NO_FMA).split()


PLUGIN_RUN = ["run", "--algos", "best-of-n", "--envs", "line", "--name", "x", *TINY]


def test_seeds_of_a_plug_in_that_was_edited_in_between_are_told_apart(example_plugin, tmp_path):
    site = tmp_path / "site"
    shutil.copytree(example_plugin, site)
    runs = ["--runs", str(tmp_path)]
    bench(*PLUGIN_RUN, "--seeds", "0-1", *runs, paths=(site,))
    source = site / "savo_bench_example" / "best_of_n.py"
    text = source.read_text()
    source.write_text("# a comment\n" + text)  # as another layout, it changes nothing
    assert "other code" not in bench(*PLUGIN_RUN, "--seeds", "0-2", *runs, "--dry-run", paths=(site,))
    assert "config.lr, config" in text
    source.write_text(text.replace("config.lr, config", "0 * config.lr, config", 1))
    said = bench(*PLUGIN_RUN, "--seeds", "2-2", *runs, paths=(site,))
    line = next(line for line in said.splitlines() if "were made by other code" in line)
    assert line.startswith("warning: 2 seeds were made by other code of savo-bench-example than is installed now: ")
    assert "best-of-n" in line
    again = bench(*PLUGIN_RUN, "--seeds", "0-2", *runs, paths=(site,))
    assert "nothing to do" in again
    assert line in again
    phrase = "seeds 0-1 and 2 were made by different code of savo-bench-example"
    assert phrase in bench("status", "x", *runs, paths=(site,))
    bench("report", "x", *runs, paths=(site,))
    markdown = (tmp_path / "x" / "report" / "report.md").read_text()
    assert markdown.index(phrase) < markdown.index("## ")
    assert "do not differ" not in markdown


def test_an_algorithm_edited_in_an_installation_is_told_apart_and_the_same_source_again_is_not(tmp_path):
    installed = tmp_path / "site" / "savo_bench"
    run = ["run", "--algos", "td3", "--envs", "restricted-inverted-pendulum", "--name", "x", "--runs", str(tmp_path)]

    def install() -> None:
        shutil.rmtree(installed, ignore_errors=True)
        for folder in ("algos", "bench", "envs", "results"):
            shutil.copytree(ROOT / folder, installed / folder, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "src" / "savo_bench" / "__init__.py", installed)

    install()
    bench(*run, *TINY, "--seeds", "0-0", paths=(installed.parent,))
    record = json.loads(next((tmp_path / "x").glob("*/*/seed-0000/attempts.jsonl")).read_text())
    assert (record["git"], record["dirty"]) == (None, None)
    install()
    assert "other code" not in bench(*run, *TINY, "--seeds", "0-1", "--dry-run", paths=(installed.parent,))
    with (installed / "algos" / "td3.py").open("a") as file:
        file.write("CHANGED = 1\n")
    said = bench(*run, *TINY, "--seeds", "1-1", paths=(installed.parent,))
    assert "1 seed was made by other code of savo-bench" in said
    assert "seeds 0 and 1 were made by different code of savo-bench" in bench("status", "x", "--runs", str(tmp_path))
