"""Files that a reader can trust at any moment: replaced as a whole, or grown by whole lines.

After a crash at any moment a replaced file is the old one or the new one, and a CSV file ends at worst in one torn
line, which `read_csv` leaves out and names. An OSError that passes through here names its file, and a link that leads
nowhere is no missing file: what it leads to may only be out of reach.
"""

import contextlib
import csv
import errno
import json
import math
import numbers
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import pandas as pd


# How pandas reads numbers and nothing else: only "" and "nan" are NaN, nothing quotes, and only \n ends a line.
_NUMBERS: dict[str, Any] = {
    "na_values": ["", "nan"],
    "keep_default_na": False,
    "quoting": csv.QUOTE_NONE,
    "lineterminator": "\n",
    "skip_blank_lines": False,
    "low_memory": False,  # one type per column, not one per part of it
    "encoding_errors": "replace",
}


_UNFINISHED = re.compile(r"\.bench-[0-9a-f]{8}\.tmp.*")  # names of files that are being written
_ABANDONED = 3_600.0  # ours: seconds after which nobody writes an unfinished file any more
LOSSLESS = "backslashreplace"  # how text is encoded that no encoding has: names of files and arguments may hold bytes
_DEEPEST = 50  # ours: lists and objects of JSON inside each other; a spec has four, and recursion ends at a thousand
# What file systems, some SMB and FUSE mounts, answer that cannot open or sync a folder, though they keep files.
# code: PostgreSQL's fsync_fname_ext ignores EISDIR and EACCES of open, and EBADF and EINVAL of fsync; ours: the others
_NO_FOLDER_SYNC = {
    errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EISDIR
}  # fmt: skip


class CorruptFile(ValueError):
    """A file of the run directory cannot be read; the message names it and says why."""


class DanglingLink(OSError):
    """A path leads through a symbolic link to something that is not there."""

    def __init__(self, link: Path) -> None:
        super().__init__(errno.ENOLINK, f"a link to {link.readlink()}, which is not there", str(link))


def said(error: OSError) -> str:
    """An error in words: the file and what the system says about it."""
    reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename is not None else reason


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError inside name a file where the system does not, as for reading from one that is open.

    Raises:
        DanglingLink: a file is not there because a link leads nowhere.
    """
    try:
        yield
    except FileNotFoundError:
        link = dangling(path)
        if link is not None:
            raise DanglingLink(link) from None
        raise
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


def dangling(path: Path) -> Path | None:
    """The link because of which nothing is at a path: itself or a folder above it; None if it is just not there."""
    for each in (path, *path.parents):
        if each.is_symlink():
            return None if os.path.exists(each) else each  # noqa: PTH110 - which never raises
        if os.path.lexists(each):
            return None
    return None


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; on success what is there takes the place of `path` in one step.

    Nobody else has that name, so there may be several writers of one file: the last one wins. On an error `path` stays
    as it was. What killed writers left in the folder is deleted after an hour.
    """
    unfinished = path.with_name(f".bench-{secrets.token_hex(4)}.tmp{path.suffix}")
    try:
        with naming(path):
            yield unfinished
            written = unfinished.stat().st_mtime
            unfinished.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(unfinished):
            error.filename = str(path)
        raise
    _sweep(path.parent, written)


def _sweep(folder: Path, now: float) -> None:
    """Delete the unfinished files in a folder that are old, seen from `now`, a time by the file system's own clock."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            if _UNFINISHED.fullmatch(entry.name) and abs(now - entry.stat().st_mtime) > _ABANDONED:
                Path(entry.path).unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a file for writing; on success it takes the place of `path` in one step, as with `beside`.

    On an error, a full disk for instance, `path` stays as it was. `durable` also survives a power cut.
    """
    with beside(path) as unfinished, unfinished.open("xb") as file:
        yield file
        file.flush()
        if durable:
            os.fsync(file.fileno())
    if durable:
        _sync_folder(path.parent)


def read_bytes(path: Path) -> bytes:
    """All of a file.

    Raises:
        FileNotFoundError: there is none.
        DanglingLink: there is none because a link leads nowhere.
        OSError: it cannot be read; its file is named.
    """
    with naming(path):
        return path.read_bytes()


def names_in(folder: Path) -> list[Path]:
    """Everything in a folder, sorted; nothing if there is no such folder.

    Raises:
        OSError: the folder cannot be read, or a link to it leads nowhere.
    """
    try:
        with naming(folder):
            return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, but for hidden ones; nothing if there is no such folder.

    A link counts if it leads to a folder, and also if nobody can say where it leads: who opens it learns why.

    Raises:
        OSError: as `names_in`.
    """
    try:
        with naming(folder), os.scandir(folder) as found:
            return sorted(Path(entry.path) for entry in found if entry.name[0] != "." and _may_be_folder(entry))
    except (FileNotFoundError, NotADirectoryError):
        return []


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where there is none.

    `Path.mkdir` calls a folder that is there an existing file if it cannot be looked at, whatever the reason.

    Raises:
        OSError: it cannot be made or looked at, or is no folder; a link to it may lead nowhere.
    """
    try:
        path.mkdir()
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
    except OSError:
        there = False
        with contextlib.suppress(FileNotFoundError), naming(path):
            there = stat.S_ISDIR(path.stat().st_mode)
        if not there:
            raise


def _may_be_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir() or (entry.is_symlink() and not os.path.exists(entry.path))  # noqa: PTH110 - never raises
    except OSError:
        return True


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Replace `path` by `value` as JSON, atomically. JSON knows no NaN or infinity: they become null."""
    text = json.dumps(_jsonable(value), indent=1, allow_nan=False)
    with replacing(path, durable=durable) as file:
        file.write(text.encode() + b"\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        FileNotFoundError: there is none.
        CorruptFile: it is not JSON.
        OSError: it cannot be read.
    """
    try:
        return parse_json(read_bytes(path))
    except ValueError as error:  # both bad JSON and bad UTF-8
        raise CorruptFile(f"{path}: not valid JSON ({error})") from None


def parse_json(content: bytes) -> Any:
    """The value of JSON that `write_json` or `append_json` may have written: of finite numbers, and not nested deeply.

    Raises:
        ValueError: it is not.
    """
    try:
        value = json.loads(content, parse_constant=_finite, parse_float=_finite, parse_int=_integer)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(_DEEPEST):
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [value for values in inner for value in values]
        if not level:
            return value
    raise ValueError("nested too deeply")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is not finite")
    return value


def _integer(number: str) -> int:
    _finite(number)  # what is no float is too large to compute with
    return int(number)


def append_json(path: Path, value: Any) -> None:
    """Append `value` as a line of JSON, durably, after the end of a line that a crash has torn."""
    line = json.dumps(_jsonable(value), allow_nan=False).encode() + b"\n"
    with naming(path), path.open("a+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        torn = file.read(1) not in (b"", b"\n")
        file.write(b"\n" * torn + line)
        file.flush()
        os.fsync(file.fileno())


def read_json_lines(path: Path) -> list[Any]:
    """The values of a file of JSON lines, none where there is no file; a damaged line counts for nothing.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        lines = read_bytes(path).splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    values = []
    for line in lines:
        with contextlib.suppress(ValueError):
            values.append(parse_json(line))
    return values


def _sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, too, where its file system can."""
    if os.name == "nt":  # Windows opens no folders
        return
    try:
        with naming(folder):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _jsonable(value: Any) -> Any:
    """Turn numpy's numbers, paths and tuples into JSON's own types."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} of type {type(value).__name__} has no place in a JSON file")


def append_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Append rows in one write, after the header where the file is new; returns the file's new length in bytes.

    Floats are written so that they read back exactly. If the write fails half-way the file is cut back to what it was.

    Raises:
        ValueError: a row does not fit the header, or the file's own header is another one.
        CorruptFile: the file ends in a torn line; `truncate` it to a known length first.
    """
    first_line = (",".join(header) + "\n").encode()
    lines = []
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"{path}: a row of {len(row)} values under a header of {len(header)}")
        lines.append(",".join(map(_cell, row)) + "\n")
    content = "".join(lines).encode()
    # Unbuffered: nothing may be left to be written when the file is closed.
    with naming(path), path.open("a+b", buffering=0) as file:
        length = file.seek(0, os.SEEK_END)
        if length == 0:
            content = first_line + content
        else:
            file.seek(length - 1)
            if file.read(1) != b"\n":
                raise CorruptFile(f"{path}: ends in a torn line")
            file.seek(0)
            if file.read(len(first_line)) != first_line:
                raise ValueError(f"{path}: its columns are not {','.join(header)}")
        try:
            rest = memoryview(content)
            while rest:  # a nearly full disk takes a part
                rest = rest[file.write(rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(length)
            raise
    return length + len(content)


def truncate(path: Path, length: int) -> None:
    """Cut a growing file to the length a checkpoint names; a file that is not there counts as empty.

    Raises:
        CorruptFile: the file is shorter than that.
    """
    if reaches(path, length) > length:
        os.truncate(path, length)


def reaches(path: Path, length: int) -> int:
    """The size of a growing file, of 0 bytes where there is none, that is at least what a checkpoint names.

    Raises:
        CorruptFile: the file is shorter than that.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        size = 0
    if size < length:
        raise CorruptFile(f"{path}: {size} bytes long where the checkpoint names {length}")
    return size


def csv_columns(path: Path) -> list[str]:
    """The names in the first line of a CSV file; none where there is no such file.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with naming(path), path.open("rb") as file:
            return file.readline().decode(errors="replace").strip().split(",")
    except FileNotFoundError:
        return []


def read_csv(path: Path) -> "pd.DataFrame":
    """Read a CSV file of numbers as a pandas frame, without a torn last line.

    A column is int64 where every cell is an integer, else float64; an empty cell is NaN. Where a line was torn
    `frame.attrs["torn"]` is a sentence that names it. A file without a whole line gives an empty frame.

    Raises:
        FileNotFoundError: there is none.
        CorruptFile: a line before the last does not fit the header or holds something that is no number.
        OSError: it cannot be read.
    """
    import pandas as pd  # here, because the training processes need this module but not pandas

    whole, _, rest = read_bytes(path).rpartition(b"\n")
    lines = whole.split(b"\n") if whole else []
    width = lines[0].count(b",") if lines else 0
    if any(line.count(b",") != width for line in lines) or b"\0" in whole:  # pandas would read either without a word
        raise _fault(path, lines)
    if len(lines) < 2:
        frame = pd.DataFrame(columns=lines[0].decode(errors="replace").split(",") if lines else [])
    else:
        try:
            frame = pd.read_csv(BytesIO(whole), **_NUMBERS)
        except ValueError:
            raise _fault(path, lines) from None
        if any(kind.kind not in "if" for kind in frame.dtypes):
            raise _fault(path, lines)
    if rest:
        frame.attrs["torn"] = f"{path}: torn last line left out: {rest.decode(errors='replace')[:60]!r}"
    return frame


def _fault(path: Path, lines: Sequence[bytes]) -> CorruptFile:
    """The first fault of a CSV file, and where it is."""
    header, *rows = [line.decode(errors="replace").split(",") for line in lines]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            return CorruptFile(f"{path}: line {number} has {len(row)} values under a header of {len(header)}")
    for name, *cells in zip(header, *rows, strict=True):
        for number, cell in enumerate(cells, start=2):
            try:
                float(cell or "nan")
            except ValueError:
                return CorruptFile(f"{path}: line {number}, column {name}: {cell!r} is no number")
    return CorruptFile(f"{path}: holds something that is no number")


def _cell(value: Any) -> str:
    """One value as CSV text; a float's repr reads back to the same float."""
    if value is None:
        return ""
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        return repr(float(value))
    raise ValueError(f"{value!r} is no number")
