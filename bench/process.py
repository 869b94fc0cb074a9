"""What each process of this package does first, so that nothing it inherits steers it and no output stops it.

Output is for people: if it cannot be written (a pipe without a reader, a closed terminal, a full disk, an encoding
that lacks a letter), it is dropped, and the work continues. `settle` arranges that for everything that is printed,
also by libraries and plug-ins.
"""

import contextlib
import errno
import io
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar, TextIO, cast

_STREAMS = ("stdout", "stderr")
_USUAL = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)  # what Python hides by default
_PLAIN = str.maketrans(
    {"–": "-", "−": "-", "×": "x", "·": ",", "…": "...", "δ": "delta", "\N{REPLACEMENT CHARACTER}": "?"}
)


class Output(io.TextIOBase):
    """A text stream that drops what cannot be written, and says so once on standard error."""

    working: ClassVar[str] = ""  # what continues although nobody reads; empty for a command that is over at once

    def __init__(self, stream: TextIO | None, name: str) -> None:
        """Take the stream of this process, None if it has none, and its name: stdout or stderr."""
        self.stream, self.name = stream, name
        self._told = name == "stderr"  # there is nowhere to say it

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    @property
    def buffer(self) -> Any:
        """Where bytes are written to."""
        return cast(Any, self.stream).buffer

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return self.stream is not None and self.stream.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        """The descriptor of the stream."""
        if self.stream is None:
            raise io.UnsupportedOperation("fileno")
        return self.stream.fileno()

    def writable(self) -> bool:
        """Text can be written."""
        return True

    def write(self, text: str) -> int:
        """Write a text, or drop it; returns its length."""
        if self.stream is not None:
            try:
                self.stream.write(_fitting(text, self.encoding))
            except (OSError, ValueError) as error:  # ValueError: the stream is closed
                self._lost(error)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, or drop it."""
        if self.stream is not None:
            try:
                self.stream.flush()
            except (OSError, ValueError) as error:
                self._lost(error)

    def close(self) -> None:
        """Do nothing: the stream is the process's own, and Python closes what it drops."""

    def _lost(self, error: Exception) -> None:
        """Say once that output is dropped. A reader that left, as in `bench list | head`, knows it."""
        unread = isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.ESHUTDOWN)
        if self._told or (unread and not self.working):
            return
        self._told = True
        why = getattr(error, "strerror", None) or str(error)
        continues = f"; {self.working}" if self.working else ""
        if sys.stderr is not None:
            sys.stderr.write(f"note: standard output cannot be written ({why}) and is dropped{continues}\n")
            sys.stderr.flush()


def _fitting(text: str, encoding: str) -> str:
    """A text in the letters of an encoding."""
    try:
        text.encode(encoding)
        return text
    except UnicodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:  # an encoding of which nobody knows what it lacks
        return text


def settle() -> None:
    """Make this process independent of what it inherits: call it first."""
    for descriptor in (0, 1, 2):  # a file that takes the number of a closed one would hold what libraries print
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # children have it, too
    for name in ("COLUMNS", "LINES"):  # a width of 0, as some terminals of editors say
        if not (os.environ.get(name, "").isdecimal() and int(os.environ[name]) > 0):
            os.environ.pop(name, None)
    asked = [*sys.warnoptions, os.environ.get("PYTHONWARNINGS", "")]
    if any("error" in each for each in asked):  # would stop a training at a library's warning
        warnings.resetwarnings()
        for category in _USUAL:
            warnings.simplefilter("ignore", category)
    for name in _STREAMS:
        if not isinstance(getattr(sys, name), Output):
            setattr(sys, name, Output(getattr(sys, name), name))


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """A context manager for `settle`; afterwards the streams are those of before, and hold nothing back."""
    before = {name: getattr(sys, name) for name in _STREAMS}
    try:
        settle()
        yield
    finally:
        for name, stream in before.items():
            getattr(sys, name).flush()
            setattr(sys, name, stream)
            _forget(stream)
        Output.working = ""


def _forget(stream: TextIO | None) -> None:
    """Drop what a stream cannot write, or Python would complain of it at its end and change the exit code."""
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]
