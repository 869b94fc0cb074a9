"""A file system that breaks: one operation on files below a folder raises a chosen OSError.

    def work(): ...                                   # whatever reads and writes below root

    operations = operations_of(root, work)            # a first pass, which breaks nothing
    for operation in first_of_each(operations):
        for error in possible_errors(operation):
            with breaking(root, operation, error) as files:
                work()
            assert files.failed == operation

Everything by which Python reaches a file goes through one method, `BrokenFiles.note`: open, with each read, write,
truncation and flush to the disk of the file that it gives; the functions of `os` that take a path or a descriptor;
`fcntl.flock`; and by them pathlib, shutil, glob, tempfile, zipfile, json, pandas, numpy.load and torch.load. What a
library does in C with a path of its own is not seen (numpy.fromfile opens in Python and reads in C: only its opening
is). Operations in other processes are not seen either. Linux only, as descriptors are looked up in /proc.
"""

import builtins
import contextlib
import errno
import fcntl
import functools
import glob
import io
import os
import pathlib
import re
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

# Errors that an operation may meet whatever it does: a broken disk, a server that forgot the file, a lost permission.
ANY = (errno.EIO, errno.ESTALE)
BY_PATH = (errno.EACCES, errno.ELOOP)
WRITING = (errno.ENOSPC, errno.EROFS)
LOCKING = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)

# Functions of os by what they do. The first argument is a path or a descriptor, of those in TWO the second is one too.
LOOKING = ("stat", "lstat", "listdir", "scandir", "readlink", "access", "statvfs", "chdir")
CHANGING = ("mkdir", "rmdir", "unlink", "remove", "truncate", "chmod", "utime")
TWO = ("replace", "rename", "link", "symlink")
BY_DESCRIPTOR_READING = ("read", "pread", "fstat", "lseek")
BY_DESCRIPTOR_WRITING = ("write", "pwrite", "fsync", "fdatasync", "ftruncate")

# Modules that keep functions of os under names of their own.
HOLDERS: tuple[ModuleType, ...] = (os, io, builtins, fcntl, pathlib, glob, shutil, tempfile)

# What is new in the name of a file each time, by results.files.beside, by tempfile, and by /proc for a file without a
# name; and what stands for it.
DRAWN = re.compile(r"(?<=/\.bench-)[0-9a-f]{8}(?=\.tmp)|(?<=/tmp)[a-z0-9_]{8}$|(?<=/#)[0-9]+(?= \(deleted\)$)")
ANY_NAME = "#"

_readlink, _open, _os_open = os.readlink, io.open, os.open


class Operation(NamedTuple):
    """One operation on a file, the same in every pass of the same work.

    Attributes:
        name: What it was.
        path: On which path; what is drawn in a name is written as #.
        writes: Whether it would have changed something.
        before: How many of that name on that path came before it.
    """

    name: str
    path: str
    writes: bool
    before: int = 0


def possible_errors(operation: Operation) -> tuple[int, ...]:
    """The errno values with which such an operation may fail on real systems."""
    if operation.name == "flock":
        return (*ANY, *LOCKING)
    errors = ANY
    if operation.name in (*LOOKING, *CHANGING, *TWO, "open"):
        errors += BY_PATH
    return errors + WRITING if operation.writes else errors


def operations_of(root: Path | str, work: Callable[[], Any]) -> list[Operation]:
    """The operations below `root` that `work` makes, in order, while nothing is broken."""
    with breaking(root) as files:
        work()
    return files.operations


def first_of_each(operations: list[Operation]) -> list[Operation]:
    """Those that differ from all before them, where all would be too many. What is written anew counts each time."""
    return [each for each in operations if each.before == 0 or ANY_NAME in each.path]


@contextlib.contextmanager
def breaking(
    root: Path | str, aim: Operation | int | None = None, error: int = errno.EIO, *, lasting: bool = False
) -> Iterator["BrokenFiles"]:
    """Patch Python so that one operation below a folder fails, and count all.

    Args:
        root: The folder; it counts itself.
        aim: The operation that fails, or its number, counted from 0; None for none. Where threads work beside each
            other, or an error changes what follows, numbers move from pass to pass.
        error: The errno that it fails with.
        lasting: Whether all later operations of that name on that path fail too, as they would on a damaged disk, and
            not only that one.
    """
    files = BrokenFiles(Path(root), aim, error, lasting)
    with contextlib.ExitStack() as patches:
        for holder, name, function in files.patched():
            patches.enter_context(mock.patch.object(holder, name, function))
        try:
            yield files
        finally:
            files.aim = None  # files that are still open are whole again
            files.lasting = False


class BrokenFiles:
    """What `breaking` gives: the operations so far, and the one that failed.

    Attributes:
        operations: All below the root, in order.
        failed: The one that was made to fail; None if there were not as many.
    """

    def __init__(self, root: Path, aim: Operation | int | None, error: int, lasting: bool) -> None:
        self.roots = {os.path.abspath(root), os.path.realpath(root)}  # noqa: PTH100 - as in `below`
        self.aim, self.error, self.lasting = aim, error, lasting
        self.operations: list[Operation] = []
        self._made: Counter[tuple[str, str]] = Counter()
        self.failed: Operation | None = None
        self._lock = threading.Lock()

    def note(self, name: str, path: str, *, writes: bool = False) -> None:
        """Count an operation; the one place that raises.

        Raises:
            OSError: it is its turn to fail.
        """
        known = DRAWN.sub(ANY_NAME, path)
        with self._lock:
            operation = Operation(name, known, writes, self._made[name, known])
            turn = self.aim in (operation, len(self.operations))
            self._made[name, known] += 1
            self.operations.append(operation)
            if turn:
                self.failed = operation
        again = self.lasting and self.failed is not None and self.failed[:2] == operation[:2]
        if turn or again:
            # As the system does: it names a path that it was given, but not the file behind a descriptor.
            by_path = name in (*LOOKING, *CHANGING, *TWO, "open")
            raise OSError(self.error, os.strerror(self.error), *([path] if by_path else []))

    def below(self, target: Any, folder: int | None = None) -> str | None:
        """The path of a file, by its path or descriptor, if it lies below the root.

        Args:
            target: A path, a descriptor, or something else, which has none.
            folder: The descriptor that a relative path begins at.
        """
        try:
            if isinstance(target, int):
                path = _readlink(f"/proc/self/fd/{target}")
            elif hasattr(target, "fileno"):
                path = _readlink(f"/proc/self/fd/{target.fileno()}")
            else:
                start = "" if folder is None else _readlink(f"/proc/self/fd/{folder}")
                path = os.path.abspath(os.path.join(start, os.fsdecode(target)))  # noqa: PTH100, PTH118 - Path.absolute keeps ".."
        except (OSError, ValueError, TypeError):
            return None
        inside = any(path == root or path.startswith(root + os.sep) for root in self.roots)
        return path if inside else None

    def patched(self) -> Iterator[tuple[Any, str, Any]]:
        """(holder, name, what to put there) of all that is patched, in each module and class that holds it."""
        replacements: dict[int, Any] = {id(_open): self.open, id(_os_open): self.os_open}
        for name in (*LOOKING, *CHANGING, *TWO):
            function = getattr(os, name)
            replacements[id(function)] = self._by_path(name, function, two=name in TWO, writes=name not in LOOKING)
        for name in (*BY_DESCRIPTOR_READING, *BY_DESCRIPTOR_WRITING):
            function = getattr(os, name)
            replacements[id(function)] = self._by_descriptor(name, function, writes=name in BY_DESCRIPTOR_WRITING)
        replacements[id(fcntl.flock)] = self._by_descriptor("flock", fcntl.flock, writes=False)
        replacements[id(fcntl.lockf)] = self._by_descriptor("flock", fcntl.lockf, writes=False)
        classes = [value for module in (pathlib, glob) for value in vars(module).values() if isinstance(value, type)]
        for holder in (*HOLDERS, *dict.fromkeys(classes)):
            for name, value in list(vars(holder).items()):
                function = value.__func__ if isinstance(value, staticmethod) else value
                if id(function) in replacements:
                    new = replacements[id(function)]
                    yield holder, name, staticmethod(new) if isinstance(holder, type) else new

    def _by_path(self, name: str, function: Callable[..., Any], *, two: bool, writes: bool) -> Callable[..., Any]:
        @functools.wraps(function)
        def patched(*arguments: Any, **keywords: Any) -> Any:
            targets = arguments[: 2 if two else 1] or (keywords.get("path", "."),)
            folders = [keywords.get(key, keywords.get("dir_fd")) for key in ("src_dir_fd", "dst_dir_fd")]
            paths = [self.below(target, folder) for target, folder in zip(targets, folders, strict=False)]
            path = next(filter(None, paths), None)
            if path is not None:
                self.note(name, path, writes=writes)
            return function(*arguments, **keywords)

        return patched

    def _by_descriptor(self, name: str, function: Callable[..., Any], *, writes: bool) -> Callable[..., Any]:
        @functools.wraps(function)
        def patched(target: Any, *arguments: Any) -> Any:
            path = self.below(target)
            if path is not None:
                self.note(name, path, writes=writes)
            return function(target, *arguments)

        return patched

    def os_open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """`os.open`."""
        found = self.below(path, dir_fd)
        if found is not None:
            self.note("open", found, writes=bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)))
        return _os_open(path, flags, mode, dir_fd=dir_fd)

    def open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        """`open`, of the same layers as Python's but for the lowest, which counts what is read and written."""
        path = self.below(file)
        if path is None:
            return _open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not isinstance(file, int) and opener is None:
            self.note("open", path, writes=bool(set(mode) & set("wax+")))
        raw = CountedFile(self, path, file, "".join(set(mode) - set("bt")), closefd, opener)
        try:
            if buffering == 0:
                if "b" not in mode:
                    raise ValueError("can't have unbuffered text I/O")
                return raw
            size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
            if "+" in mode:
                buffer = io.BufferedRandom(raw, size)
            elif set(mode) & set("wax"):
                buffer = io.BufferedWriter(raw, size)
            else:
                buffer = io.BufferedReader(raw, size)
            if "b" in mode:
                return buffer
            text = io.TextIOWrapper(buffer, encoding, errors, newline, line_buffering=buffering == 1)
            text.mode = mode  # type: ignore[misc] - as Python's own open does
            return text
        except BaseException:
            raw.close()
            raise


class CountedFile(io.FileIO):
    """A file below the root; the layers above it read and write through these methods."""

    def __init__(self, files: BrokenFiles, path: str, file: Any, mode: str, closefd: bool, opener: Any) -> None:
        super().__init__(file, mode, closefd, opener)
        self.files, self.path = files, path

    def readinto(self, buffer: Any) -> int:
        self.files.note("read", self.path)
        return super().readinto(buffer)

    def read(self, size: int | None = -1) -> bytes:  # type: ignore[override] - None is allowed
        self.files.note("read", self.path)
        return super().read(-1 if size is None else size)

    def readall(self) -> bytes:
        self.files.note("read", self.path)
        return super().readall()

    def write(self, buffer: Any) -> int:
        self.files.note("write", self.path, writes=True)
        return super().write(buffer)

    def truncate(self, size: int | None = None) -> int:
        self.files.note("ftruncate", self.path, writes=True)
        return super().truncate(size)
