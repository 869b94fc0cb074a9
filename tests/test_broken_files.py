"""The file system that breaks is itself tested: it sees every way to a file, and fails where it is told to."""

import builtins
import errno
import fcntl
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_files import Operation, breaking, first_of_each, operations_of, possible_errors

from savo_bench.results.files import write_json

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are looked up in /proc")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "runs" / "cell").mkdir(parents=True)
    (tmp_path / "runs" / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "other.txt").write_text("elsewhere")
    return tmp_path / "runs"


def lines(root: Path) -> None:
    with (root / "a.txt").open() as file:
        assert len(list(file)) == 2


def read_with(opening: Callable[..., Any], path: str | bytes | Path) -> None:
    with opening(path, "rb") as file:
        file.read()


def dumped(root: Path) -> None:
    with (root / "b.json").open("w") as file:
        json.dump([1], file)


def locked(root: Path) -> None:
    with (root / "a.txt").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def locked_by_descriptor(root: Path) -> None:
    descriptor = os.open(root / "a.txt", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pread(descriptor, 1, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def archived(root: Path) -> None:
    with zipfile.ZipFile(root / "a.zip", "w") as archive:
        archive.writestr("x", "y" * 100)
    with zipfile.ZipFile(root / "a.zip") as archive:
        archive.testzip()


def replaced(root: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=root, delete=False) as file:
        file.write(b"x")
    Path(file.name).replace(root / "b.txt")


def walked(root: Path) -> list[object]:
    return [list(os.walk(root)), sorted(root.rglob("*")), sorted(root.glob("*/*.csv")), list(root.iterdir())]


def removed(root: Path) -> None:
    (root / "gone" / "deep").mkdir(parents=True)
    (root / "gone" / "deep" / "x").write_text("x")
    shutil.rmtree(root / "gone")


def unbuffered(root: Path) -> None:
    with (root / "a.txt").open("a+b", buffering=0) as file:
        file.seek(0)
        file.read(3)
        file.write(b"three\n")
        file.truncate(3)


def numpy_saved(root: Path) -> None:
    np.save(root / "x.npy", np.arange(3))
    assert np.load(root / "x.npy").sum() == 3


def torch_saved(root: Path) -> None:
    torch = pytest.importorskip("torch")  # results are read without it, too
    with (root / "x.pt").open("wb") as file:
        torch.save({"a": torch.zeros(3)}, file)
    torch.load(root / "x.pt", weights_only=True)


def pandas_read(root: Path) -> None:
    import pandas as pd

    (root / "x.csv").write_text("a,b\n1,2\n")
    pd.read_csv(root / "x.csv")


# What is done, and operations that must be seen among others.
WAYS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "read_text": (lambda root: (root / "a.txt").read_text(), ("open", "read")),
    "read_bytes": (lambda root: (root / "a.txt").read_bytes(), ("open", "read")),
    "lines": (lines, ("open", "read")),
    "write_text": (lambda root: (root / "b.txt").write_text("x"), ("open", "write")),
    "builtin": (lambda root: read_with(builtins.open, root / "a.txt"), ("open", "read")),
    "io": (lambda root: read_with(io.open, str(root / "a.txt")), ("open", "read")),
    "bytes path": (lambda root: read_with(io.open, os.fsencode(root / "a.txt")), ("open", "read")),
    "stat": (lambda root: (root / "a.txt").stat(), ("stat",)),
    "exists": (lambda root: (root / "none").exists(), ("stat",)),
    "is_dir": (lambda root: root.is_dir(), ("stat",)),
    "isfile": (lambda root: os.path.isfile(root / "a.txt"), ("stat",)),  # noqa: PTH113
    "resolve": (lambda root: (root / "a.txt").resolve(), ("lstat",)),
    "walk": (walked, ("scandir", "listdir")),
    "touch": (lambda root: (root / "c.txt").touch(), ("open",)),
    "mkdir": (lambda root: (root / "x" / "y").mkdir(parents=True), ("mkdir",)),
    "unlink": (lambda root: (root / "a.txt").unlink(), ("unlink",)),
    "replace": (replaced, ("open", "write", "replace")),
    "rename into": (lambda root: (root.parent / "other.txt").rename(root / "x"), ("rename",)),
    "truncate": (lambda root: os.truncate(root / "a.txt", 1), ("truncate",)),
    "rmtree": (removed, ("mkdir", "open", "write", "scandir", "unlink", "rmdir")),
    "flock": (locked, ("open", "flock")),
    "descriptors": (locked_by_descriptor, ("open", "flock", "pread", "fsync")),
    "unbuffered": (unbuffered, ("open", "read", "write", "ftruncate")),
    "zip": (archived, ("open", "write", "read")),
    "json": (dumped, ("open", "write")),
    "numpy": (numpy_saved, ("open", "write", "read")),
    "torch": (torch_saved, ("open", "write", "read")),
    "pandas": (pandas_read, ("open", "read", "write")),
    "free": (lambda root: shutil.disk_usage(root), ("statvfs",)),
    "scratch": (lambda root: tempfile.TemporaryFile(dir=root).close(), ("open",)),
}


SWALLOWED = ("isfile", "resolve", "scratch", "walk")  # Python itself swallows single errors of these


def fresh(root: Path) -> Path:
    """The folder as the fixture made it."""
    shutil.rmtree(root)
    (root / "cell").mkdir(parents=True)
    (root / "a.txt").write_text("one\ntwo\n")
    (root.parent / "other.txt").write_text("elsewhere")
    return root


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_a_file_is_seen_and_each_of_its_operations_can_fail(root, way):
    work, names = WAYS[way]
    operations = operations_of(root, lambda: work(root))
    assert set(names) <= {operation.name for operation in operations}
    assert all(operation.path.startswith(str(root)) for operation in operations)
    raised = 0
    for operation in operations:
        fresh(root)
        with breaking(root, operation, errno.EIO) as files:
            caught = error_of(lambda: work(root))
        assert files.failed == operation
        if isinstance(caught, OSError):
            assert caught.errno == errno.EIO
            assert caught.filename is None or str(caught.filename).startswith(str(root))
        raised += caught is not None
    assert raised > 0 or way in SWALLOWED


def error_of(work: Callable[[], object]) -> Exception | None:
    """What it raised: the error, or what zipfile makes of it."""
    try:
        work()
    except (OSError, zipfile.BadZipFile) as error:
        return error
    return None


@pytest.mark.parametrize("way", [name for name in WAYS if name not in ("rename into", "free", "resolve")])
def test_what_lies_elsewhere_is_left_alone(root, tmp_path, way):
    (tmp_path / "root").mkdir()
    assert operations_of(tmp_path / "root", lambda: WAYS[way][0](root)) == []
    assert (
        operations_of(tmp_path / "run", lambda: WAYS[way][0](fresh(root))) == []
    )  # which begins with the same letters


def test_afterwards_everything_is_as_before(root):
    before = {name: getattr(os, name) for name in ("open", "stat", "replace", "scandir", "read")}
    with pytest.raises(OSError, match="Stale"), breaking(root, 0, errno.ESTALE):
        (root / "a.txt").read_text()
    assert {name: getattr(os, name) for name in before} == before
    assert builtins.open is io.open
    assert (root / "a.txt").read_text() == "one\ntwo\n"


def test_a_file_opened_inside_can_be_used_afterwards(root):
    with breaking(root):
        file = (root / "a.txt").open()
    with file:
        assert file.read() == "one\ntwo\n"


def test_it_fails_once_or_lastingly(root):
    with breaking(root, 0, errno.EACCES) as files:
        with pytest.raises(PermissionError):
            (root / "a.txt").read_text()
        assert (root / "a.txt").read_text() == "one\ntwo\n"
    assert files.failed == Operation("open", str(root / "a.txt"), writes=False)
    (root / "b.txt").write_text("b")
    with breaking(root, 0, errno.EACCES, lasting=True):
        for _ in range(3):
            with pytest.raises(PermissionError):
                (root / "a.txt").read_text()
        assert (root / "b.txt").read_text() == "b"
        assert (root / "a.txt").exists()


def test_a_write_that_fails_leaves_what_was_there_before(root):
    def appended() -> None:
        with (root / "a.txt").open("ab") as file:
            file.write(b"x")

    operations = operations_of(root, appended)
    write = next(operation for operation in operations if operation.name == "write")
    before = (root / "a.txt").read_bytes()
    with breaking(root, write, errno.ENOSPC, lasting=True), pytest.raises(OSError, match="space"):
        appended()
    assert (root / "a.txt").read_bytes() == before


def test_links_and_relative_paths_lead_there_too(root, monkeypatch):
    (root.parent / "link").symlink_to(root)
    monkeypatch.chdir(root)
    for path in (Path("a.txt"), Path("../runs/a.txt"), Path("cell/../a.txt")):
        assert operations_of(root, path.read_text)[0] == Operation("open", str(root / "a.txt"), writes=False)
    through = root.parent / "link"
    assert operations_of(through, (root / "a.txt").read_text)
    assert operations_of(through, (through / "a.txt").read_text)
    assert [operation.path for operation in operations_of(root, lambda: list(os.scandir()))] == [str(root)]


def test_text_is_read_and_written_as_python_does(root):
    with breaking(root):
        (root / "b.txt").write_text("é\n", encoding="utf-8")
        with (root / "b.txt").open("r+", encoding="utf-8", newline="\r\n") as file:
            assert file.read() == "é\n"
            file.write("x\n")
        assert (root / "b.txt").read_bytes() == "é\nx\r\n".encode()
        with pytest.raises(FileNotFoundError):
            (root / "none").open()
        with pytest.raises(FileExistsError):
            (root / "b.txt").open("x")
        with pytest.raises(ValueError, match="mode"):
            (root / "b.txt").open("rw")
        with pytest.raises(ValueError, match="unbuffered"):
            (root / "b.txt").open("r", buffering=0)
        with os.fdopen(os.open(root / "b.txt", os.O_RDONLY), encoding="utf-8") as file:
            assert file.readline() == "é\n"


def test_errors_are_those_that_an_operation_may_meet():
    assert errno.ENOSYS in possible_errors(Operation("flock", "", writes=False))
    assert errno.ENOSPC in possible_errors(Operation("write", "", writes=True))
    assert errno.ENOSPC not in possible_errors(Operation("read", "", writes=False))
    assert errno.EACCES in possible_errors(Operation("open", "", writes=False))
    assert errno.EACCES not in possible_errors(Operation("read", "", writes=False))
    assert errno.EROFS in possible_errors(Operation("replace", "", writes=True))
    for name in ("open", "read", "flock", "stat", "write"):
        assert {errno.EIO, errno.ESTALE} <= set(possible_errors(Operation(name, "", writes=False)))


def test_equal_operations_can_be_taken_once(root):
    def work() -> None:
        for name in ("a.txt", "a.txt", "cell", "a.txt", "cell"):
            (root / name).stat()

    one, other = (Operation("stat", str(root / name), writes=False) for name in ("a.txt", "cell"))
    assert first_of_each(operations_of(root, work)) == [one, other]
    assert operations_of(root, work)[3] == one._replace(before=2)


def test_a_later_one_of_equal_operations_can_fail_wherever_it_comes(root):
    aim = Operation("stat", str(root / "a.txt"), writes=False, before=1)
    with breaking(root, aim, errno.EIO) as files:
        (root / "a.txt").stat()
        (root / "cell").stat()
        with pytest.raises(OSError, match="Input/output"):
            (root / "a.txt").stat()
        (root / "a.txt").stat()
    assert files.failed == aim


def test_each_file_that_is_written_anew_can_fail(root):
    def work() -> None:
        write_json(root / "a.json", 1)
        write_json(root / "b.json", 2)

    opened = [each for each in first_of_each(operations_of(root, work)) if (each.name, each.writes) == ("open", True)]
    assert [each.before for each in opened] == [0, 1]
    fresh(root)
    with breaking(root, opened[1], errno.ENOSPC), pytest.raises(OSError, match="space"):
        work()
    assert (root / "a.json").exists()
    assert not (root / "b.json").exists()
