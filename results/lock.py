"""The lock of a seed: whoever trains a seed holds it, and the kernel frees it when the process ends, however it ends.

Not every network disk shows a lock to other hosts, and not every system has such locks; `held` says where it cannot
know. Reading a run directory needs none of this module's imports, so it works on every system.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

_ATTEMPTS = 10  # ours: a probe holds the lock for microseconds; half a second outlasts any number of them
_PAUSE = 0.05  # seconds


def held(path: Path) -> bool | None:
    """Whether a live process holds a lock, None where this cannot be known. Does not get in the way of its owner."""
    try:
        import fcntl
    except ImportError:  # not a Unix
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, and freed at once
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(descriptor)
    return False


def acquire(path: Path) -> int | None:
    """Take a lock: a descriptor that holds it until it is closed or the process ends; None if another process has it.

    Tries for half a second, since a probe of another process holds it for an instant.

    Raises:
        OSError: the file cannot be opened, or its file system has no locks.
    """
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    for attempt in range(_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < _ATTEMPTS:
                time.sleep(_PAUSE)
        except BaseException:
            os.close(descriptor)
            raise
        else:
            return descriptor
    os.close(descriptor)
    return None


@contextlib.contextmanager
def holding(path: Path) -> Iterator[bool]:
    """Hold a lock for a moment; gives False if another process has it."""
    descriptor = acquire(path)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)
