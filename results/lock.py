"""The lock of a seed: whoever trains a seed holds it, and it is free when that process ends, however it ends.

The kernel's own lock (flock) does that. Not every network disk shows it to other hosts; `held` says where it cannot
know. Some file systems, and Windows, have no such locks. There an owner file takes its place:

    lock             what flock locks; holds who has it
    lock.owners/7    who has the lock, with a heartbeat, in JSON; lock.owners/7-free once that owner has released it

The owner with the highest number has the lock. It is gone if its process is, which another process on the same host
can see, or else if its heartbeat is stale. Then anybody may make the file of the next number, which the file system
lets only one of them do. An owner that was taken for dead, a computer that slept for instance, sees the higher number:
see `check`. The highest number is never deleted, so no number is used twice.

Reading a run directory needs none of this module's imports, so it works on every system.
"""

import contextlib
import errno
import functools
import json
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from savo_bench.results.files import CorruptFile, make_folder, names_in, naming, read_json, write_json

STALE_AFTER = 120.0  # seconds without a heartbeat, where one comes every few; leaves room for slow network disks
_BEAT = 10.0  # ours: seconds between two heartbeats of an owner file
_ATTEMPTS = 10  # ours: a probe holds the lock for microseconds; half a second outlasts any number of them
_PAUSE = 0.05  # seconds
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}  # what a file system without them answers
_OWNER = re.compile(r"(\d+)(-free)?")

_owners: dict[Path, "Lock"] = {}  # the locks that this process has by an owner file


class LostLock(OSError):
    """Another process was given the lock, since this one was taken for dead; it must not write any more."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EBUSY, "another process took over while this one gave no sign of life", str(path))


class Lock:
    """A lock that this process has, until `release` or its end."""

    def __init__(self, path: Path, descriptor: int, owner: int | None = None) -> None:
        """Take the file, what it is opened as, and the number of the owner file, None where flock holds it."""
        self.path, self.descriptor, self.owner = path, descriptor, owner
        self._over, self._writing = threading.Event(), threading.Lock()
        if owner is not None:
            _owners[path.absolute()] = self
            threading.Thread(target=self._beat, daemon=True).start()

    def release(self) -> None:
        """Let others have it."""
        with contextlib.suppress(OSError):  # then it is stale soon, or its process at an end
            if self.owner is None:
                os.ftruncate(self.descriptor, 0)
            else:
                _owners.pop(self.path.absolute(), None)
                self._over.set()
                mine = _owners_folder(self.path) / str(self.owner)
                with self._writing:
                    mine.rename(mine.with_name(f"{mine.name}-free"))
        os.close(self.descriptor)

    def lost(self) -> bool:
        """Whether another process has it by now."""
        return self.owner is not None and _newest(self.path) != (self.owner, False)

    def _beat(self) -> None:
        while not self._over.wait(_BEAT):
            with contextlib.suppress(OSError), self._writing:  # a disk that comes back within STALE_AFTER does no harm
                if self.lost() or self._over.is_set():
                    return
                write_json(_owners_folder(self.path) / str(self.owner), _me(), durable=False)


def acquire(path: Path) -> Lock | None:
    """Take a lock; None if another process has it.

    Tries for half a second, since a probe of another process holds it for an instant.

    Raises:
        OSError: the file cannot be opened, or an owner file cannot be written.
    """
    with naming(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        lock = None
        try:
            taken = _flock(descriptor)
            if taken is None and not _lives_here(_read(path)):
                owner = _claim(path)
                lock = Lock(path, descriptor, owner) if owner else None
            elif taken and not _owned(path):
                _sign(descriptor)
                lock = Lock(path, descriptor)
            return lock
        finally:
            if lock is None:
                os.close(descriptor)


def held(path: Path) -> bool | None:
    """Whether a live process holds a lock, None where this cannot be known. Does not get in the way of its owner."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return None
    try:
        try:
            free = _flock(descriptor, probe=True)
        finally:
            os.close(descriptor)  # before the owners are looked at: it must not be in anybody's way for long
        if free is None:
            return _lives_here(_read(path)) or _owned(path)
        return not free or bool(_owned(path))
    except OSError:
        return None


@contextlib.contextmanager
def holding(path: Path) -> Iterator[bool]:
    """Hold a lock for a moment; gives False if another process has it."""
    lock = acquire(path)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def check(path: Path) -> None:
    """Check, before something is written, that a lock which this process has is still its own.

    Raises:
        LostLock: it is not.
    """
    lock = _owners.get(path.absolute())
    if lock is not None and lock.lost():
        raise LostLock(path)


def why_none(folder: Path) -> str | None:
    """Why the file system of a folder that can be written has no locks; None where it has.

    Raises:
        OSError: the folder cannot be written.
    """
    with naming(folder), tempfile.TemporaryFile(dir=folder) as file:
        try:
            import fcntl
        except ImportError:
            return "this system has none"
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return error.strerror
            raise
    return None


def _flock(descriptor: int, *, probe: bool = False) -> bool | None:
    """Take the kernel's lock, False if another process has it, None where there is none; a probe is shared and short.

    Raises:
        OSError: anything else.
    """
    try:
        import fcntl
    except ImportError:  # not a Unix
        return None
    kind = fcntl.LOCK_SH if probe else fcntl.LOCK_EX
    for attempt in range(1 if probe else _ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return None
            raise
        return True
    return False


def _sign(descriptor: int) -> None:
    """Write into the locked file who has it, for a process that finds no locks: a server may forget how to lock."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(_me()).encode())


def _owners_folder(path: Path) -> Path:
    return path.with_name(f"{path.name}.owners")


def _newest(path: Path) -> tuple[int, bool] | None:
    """The highest number of an owner of a lock, and whether it has released it; None if there never was one.

    Raises:
        OSError: the folder cannot be read.
    """
    matches = [_OWNER.fullmatch(file.name) for file in names_in(_owners_folder(path))]
    return max(((int(match[1]), match[2] is not None) for match in matches if match), default=None)


def _owned(path: Path) -> bool | None:
    """Whether the newest owner of a lock lives, None if there never was one.

    Raises:
        OSError: this cannot be read.
    """
    newest = _newest(path)
    return None if newest is None else _lives(path, *newest)


def _lives(path: Path, number: int, free: bool) -> bool:
    """Whether the owner of that number lives.

    Raises:
        OSError: this cannot be read.
    """
    if free:
        return False
    file = _owners_folder(path) / str(number)
    owner = _read(file)
    if owner.get("place") is not None and owner["place"] == _place():
        return _lives_here(owner)
    try:
        heartbeat = owner.get("heartbeat", file.stat().st_mtime)  # an owner that begins has written nothing yet
    except FileNotFoundError:  # just released
        return False
    return abs(time.time() - heartbeat) <= STALE_AFTER


def _claim(path: Path) -> int | None:
    """Become the newest owner of a lock: the number, None if there is a live one.

    Raises:
        OSError: an owner file cannot be written.
    """
    folder = _owners_folder(path)
    make_folder(folder)
    newest = _newest(path) or (0, True)
    if _lives(path, *newest):
        return None
    number = newest[0] + 1  # the next after the one that was judged: a newer owner lives, and the check below finds it
    mine = folder / str(number)
    try:
        with mine.open("xb") as file:
            file.write(json.dumps(_me()).encode())
    except FileExistsError:
        return None
    except BaseException:
        mine.unlink(missing_ok=True)
        raise
    if _newest(path) != (number, False):  # others were faster, and have deleted the files before theirs
        mine.unlink(missing_ok=True)
        return None
    for older in folder.iterdir():
        match = _OWNER.fullmatch(older.name)
        if match is None or int(match[1]) < number:
            older.unlink(missing_ok=True)
    return number


def _read(path: Path) -> dict[str, Any]:
    """What an owner wrote about itself; nothing where it has not, or not yet.

    Raises:
        OSError: it cannot be read.
    """
    try:
        owner = read_json(path)
    except (CorruptFile, FileNotFoundError):
        return {}
    whole = (
        isinstance(owner, dict)
        and isinstance(owner.get("heartbeat"), int | float)
        and isinstance(owner.get("pid"), int)
    )
    return owner if whole else {}


def _me() -> dict[str, Any]:
    """Who this process is, and that it lives now."""
    pid = os.getpid()
    about = {"host": socket.gethostname(), "pid": pid, "place": _place(), "began": _began(pid)}
    return about | {"heartbeat": time.time()}


@functools.cache
def _place() -> str | None:
    """Where a process number means the same process: this boot of this host, and this container; None if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _began(pid: int) -> str | None:
    """When a process began, in ticks of this boot; None if it does not live or cannot be seen."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]  # the state of one that has ended, and field 22 of proc(5)


def _lives_here(owner: dict[str, Any]) -> bool:
    """Whether the process of an owner lives on this host; False for one of another host."""
    if owner.get("place") is None or owner["place"] != _place():
        return False
    began = _began(owner["pid"])
    if began is not None:
        return began == owner.get("began")
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's, of which nothing can be seen
        return True
    return False  # it has ended, and nobody has asked how
