"""Every command on a disk that fails at any one operation: one line, the right verdict, and nothing lost.

`status`, `check` and what reads the runs of a report meet every error at every operation. The dearer commands meet a
sample, which is the same in every run of the tests, and under `laws` (play) and `exhaustive` (run, report) all of them.
"""

import errno
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from broken_files import Operation, breaking, first_of_each, operations_of, possible_errors
from test_frame import fake_run

from savo_bench.bench import cli
from savo_bench.bench.errors import MACHINE
from savo_bench.bench.launch import attached
from savo_bench.results import format as fmt
from savo_bench.results import gaps, lock, plots, state
from savo_bench.results.files import append_csv
from savo_bench.results.format import SeedFolder
from savo_bench.results.frame import Runs, load

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are looked up in /proc")

Bench = Callable[..., tuple[int, str]]
RUN = ("run", "--algos", "td3", "--envs", "mineworld", "--steps", "120", "--eval-every", "40", "--eval-episodes", "2")
RUN += ("--set", "hidden=8-8", "--set", "batch_size=8", "--set", "warmup_steps=30", "--seeds", "3", "--pack", "1")
RUN += ("--on", "inline", "--device", "cpu")
EXHAUSTIVE = (pytest.mark.exhaustive, pytest.mark.timeout(7_200))
TD3 = "td3:hidden=8-8,batch_size=8,warmup_steps=30"


@pytest.fixture
def bench(bench_here, monkeypatch) -> Bench:
    """`bench("status")` gives the exit code and all that is printed. An exception other than SystemExit passes."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(attached, "WAIT", 0.05)
    for module in (lock, state):
        monkeypatch.setattr(module, "STALE_AFTER", 0.5)

    def run(*arguments: str) -> tuple[int, str]:
        code, out, err = bench_here(*arguments)
        text = out + err
        assert "Traceback" not in text
        assert "internal error" not in text
        assert sum(line.startswith("error:") for line in text.splitlines()) <= 1
        return code, text

    return run


def contents(root: Path) -> dict[str, bytes]:
    """All that the runs of a name hold, but for locks and reports."""
    files = [path for path in root.rglob("*") if path.is_file() and "report" not in path.parts]
    return {str(path.relative_to(root)): path.read_bytes() for path in files if path.name != "lock"}


Fault = tuple[Operation, int, bool]


def faults(root: Path, work: Callable[[], object], sample: int | None = None) -> Iterator[Fault]:
    """(operation, errno, whether it lasts) of all that can go wrong, or of a sample; every other error lasts."""
    every = [
        (operation, error, (place + turn) % 2 == 0)
        for place, operation in enumerate(first_of_each(operations_of(root, work)))
        for turn, error in enumerate(possible_errors(operation))
    ]
    assert len(every) > 10
    yield from every if sample is None else random.Random(0).sample(every, sample)


def mixture(root: Path) -> None:
    """Seeds of two cells in different states."""
    fake_run(root, [1, 2, 3, 4], seed=0)
    fake_run(root, [1, 2], seed=1, state="failed", reason="RuntimeError: boom")
    folder = fake_run(root, [1], seed=2, state="running")
    folder.checkpoint.mkdir()
    fmt.state_file(folder.checkpoint, 100).touch()
    fmt.ask(root, "restricted-hopper", "td3", range(4))
    fake_run(root, [1, 2, 3, 4], seed=0, variant="sac")
    for path in root.glob("*/*/seed-*"):
        (path / "lock").touch()
        train = SeedFolder(path).train_csv
        train.unlink()
        rows = [(step, step / 200, 0.1, *(0.5 for _ in gaps.COLUMNS)) for step in (100, 200)]
        append_csv(train, ["step", "seconds", "q", *gaps.COLUMNS], rows)


def test_status_names_what_it_cannot_read(tmp_path, bench):
    root = tmp_path / "runs" / "default"
    mixture(root)
    before = contents(root)
    code, calm = bench("status")
    assert (code, "unreadable" in calm) == (1, False)
    for operation, error, lasting in faults(root, lambda: bench("status")):
        with breaking(root, operation, error, lasting=lasting):
            code, text = bench("status")
        assert code != 0, operation
        assert text == calm or os.strerror(error) in text, (operation, text)
    assert contents(root) == before


def test_whoever_reads_runs_names_what_is_missing(tmp_path):
    mixture(tmp_path)
    calm = load(tmp_path)
    for operation, error, lasting in faults(tmp_path, lambda: load(tmp_path)):
        with breaking(tmp_path, operation, error, lasting=lasting):
            try:
                found = load(tmp_path)
            except OSError as caught:
                assert (caught.errno, caught.filename is None) == (error, False)  # noqa: PT017 - error or result
                continue
        assert same(found, calm) or os.strerror(error) in f"{found.problems}", (operation, found.problems)


def same(one: Runs, other: Runs) -> bool:
    return one.problems == other.problems and one.evals.equals(other.evals) and one.runs.equals(other.runs)


def test_check_gives_no_verdict_on_what_it_cannot_read(tmp_path, bench):
    root = tmp_path / "runs" / "default"
    for variant in ("td3", "sac"):
        for seed in range(2):
            fake_run(root, [1, 2, 3 + seed, 4], seed=seed, variant=variant, provenance={"device": "cpu"})
    fmt.ask(root, "restricted-hopper", "td3", range(2))
    assert bench("check", "--update", "base.csv")[0] == 0
    before = contents(root)
    code, calm = bench("check", "--against", "base.csv")
    assert code == 0
    for operation, error, lasting in faults(root, lambda: bench("check", "--against", "base.csv")):
        with breaking(root, operation, error, lasting=lasting):
            code, text = bench("check", "--against", "base.csv")
        if code == 0:  # all scores were read; what else could not be, as the record of attempts, is named
            assert text == calm or os.strerror(error) in text, (operation, text)
        else:
            assert code != 1, (operation, text)
            assert os.strerror(error) in text, (operation, text)
    assert contents(root) == before


@pytest.mark.parametrize("sample", [6, pytest.param(None, marks=EXHAUSTIVE)])
def test_report_says_whether_it_cannot_read_or_cannot_write(tmp_path, bench, monkeypatch, subtests, sample):
    root = tmp_path / "runs" / "default"
    mixture(root)
    before = contents(root)
    if sample is None:  # hundreds of reports: the pictures are as many files, and none is drawn
        monkeypatch.setattr(plots, "content", lambda *_: b'<svg viewBox="0 0 1 1"></svg>')
    for operation, error, lasting in faults(root, lambda: bench("report"), sample):
        with subtests.test(operation=operation, error=error, lasting=lasting):
            with breaking(root, operation, error, lasting=lasting) as files:
                code, text = bench("report")
            if code:
                assert "--out: cannot write" in text or "cannot read" in text
                assert "--out: cannot write" in text or not (files.failed and files.failed.writes)
                assert os.strerror(error) in text
            page = root / "report" / "index.html"
            assert page.read_text().rstrip().endswith("</html>")
            assert not [path for path in (root / "report").rglob(".*") if path.is_file()]
    assert contents(root) == before


def test_whoever_reads_gaps_names_what_is_missing(tmp_path):
    mixture(tmp_path)
    runs = load(tmp_path)

    def read() -> pd.DataFrame:
        return gaps.of_seeds(tmp_path, runs)

    calm = read()
    assert len(calm) == 2
    for operation, error, lasting in faults(tmp_path, read):
        with breaking(tmp_path, operation, error, lasting=lasting):
            found = read()
        assert found.equals(calm) or os.strerror(error) in f"{found.attrs['problems']}", operation


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a real, tiny training: seed 0 is done, seed 1 was interrupted at its last step but some, 2 is missing."""
    from savo_bench.bench.training.loop import Training

    folder = tmp_path_factory.mktemp("begun")
    patch = pytest.MonkeyPatch()
    advance = Training.advance

    def stopping(self: Training) -> None:
        advance(self)
        if self.runs[0].seed == 1 and self.step == 100:
            self.stop.set()

    with patch.context() as during:
        during.chdir(folder)
        during.setattr(Training, "advance", stopping)
        during.setattr(sys, "argv", ["bench", *RUN, "--seeds", "2"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == 130
    return folder / "runs"


def seeds(root: Path) -> list[SeedFolder]:
    return [SeedFolder(path) for path in sorted(root.glob("mineworld/*/seed-*"))]


@pytest.mark.parametrize("sample", [14, pytest.param(None, marks=EXHAUSTIVE)])
def test_run_loses_nothing_and_ends_alike_once_the_disk_is_whole(begun, tmp_path, bench, subtests, sample):
    root = tmp_path / "runs" / "default"

    def fresh() -> None:
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        shutil.copytree(begun, tmp_path / "runs")

    fresh()
    done = contents(seeds(root)[0].path)
    code, text = bench(*RUN)
    assert (code, "3 of 3 seeds are done" in text) == (0, True), text
    scores = [seed.evals_csv.read_bytes() for seed in seeds(root)]
    fresh()
    for operation, error, lasting in faults(root, lambda: bench(*RUN), sample):
        fresh()
        with subtests.test(operation=operation, error=error, lasting=lasting):
            with breaking(root, operation, error, lasting=lasting) as files:
                code, text = bench(*RUN)
            assert files.failed == operation
            assert code == 0 or os.strerror(error) in text
            assert code == 0 or "3 of 3 seeds are done" not in text
            assert contents(seeds(root)[0].path) == done
            code, text = bench(*RUN)
            assert code == 0
            assert [seed.evals_csv.read_bytes() for seed in seeds(root)] == scores
            status = seeds(root)[1].read_status()
            assert status is not None
            assert status.get("resumed_from", 0) >= 100


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES])
def test_what_is_compared_cannot_be_read_or_written_down(tmp_path, bench, writes, error):
    declared = tmp_path / "runs" / "default" / "comparisons.jsonl"

    def work() -> tuple[int, str]:
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        return bench(*RUN, "--steps", "40", "--seeds", "1", "--compare", "td3/sac")

    aim = next(each for each in operations_of(declared, work) if each.name == "open" and each.writes == writes)
    with breaking(declared, aim, error):
        code, text = work()
    assert (code, os.strerror(error) in text) == (MACHINE, True), text
    assert not list((tmp_path / "runs").rglob("seed-*"))


@pytest.mark.parametrize("sample", [18, pytest.param(None, marks=pytest.mark.laws)])
def test_play_films_or_says_in_one_line_why_not(begun, tmp_path, bench, sample):
    root = tmp_path / "runs" / "default"
    shutil.copytree(begun, tmp_path / "runs")
    before = contents(root)
    command = ("play", "--env", "mineworld", "--algo", TD3, "--seed", "0", "--steps", "2", "--out", "film.gif")
    code, calm = bench(*command)
    assert code == 0, calm
    for operation, error, lasting in faults(root, lambda: bench(*command), sample):
        with breaking(root, operation, error, lasting=lasting):
            code, text = bench(*command)
        assert (code, text) == (0, calm) or (code == MACHINE and os.strerror(error) in text), (operation, text)
    assert contents(root) == before


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES, errno.ESTALE])
@pytest.mark.parametrize("asked", [(), ("--seed", "0")])
@pytest.mark.parametrize("file", ["run.json", "status.json", "evals.csv"])
def test_what_play_cannot_read_is_no_answer(tmp_path, bench, error, asked, file):
    folder = fake_run(tmp_path / "runs" / "default", [1, 2, 3, 4], environment="mineworld")
    (folder.path / "lock").touch()
    operations = operations_of(folder.path, lambda: state.state_of(folder))
    first = next(operation for operation in operations if operation.path.endswith(file))
    with breaking(folder.path, first, error, lasting=True):
        code, text = bench("play", "--env", "mineworld", "--algo", "td3", *asked)
    assert (code, os.strerror(error) in text, "delete" in text) == (MACHINE, True, False), text
