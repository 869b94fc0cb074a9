"""The files of a checkpoint: how they are written, read back, and kept few.

    checkpoint/state-000012345.pt     everything but the replay, at step 12345; the two newest are kept
    checkpoint/replay-000000000.bin   packed float32 records, from that transition number on

The functions take a seed's folder checkpoint/. The replay is a log: a checkpoint appends only the new records, so its
cost follows the new data, not the buffer. A state names how much of the log and of the CSV files belongs to it. What a
crash left beyond that is cut on resume. A pack first stages the states of all its seeds and then commits them by
renaming, so that they stand at the same step. A crash at any moment loses at most the time since the last checkpoint.
"""

import contextlib
import io
import os
import re
import secrets
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from savo_bench.results.files import CorruptFile, names_in, naming, reaches, read_bytes, replacing
from savo_bench.results.format import replay_file, replay_files, state_file, state_steps

SEGMENT = 100_000  # ours: records per segment; some 10 MB, so that what the buffer no longer holds can be deleted
FLOAT32 = 4  # bytes
_PROCESS = secrets.token_hex(4)  # in the names of states that this process has staged
_HALF_WRITTEN = re.compile(r"\.+(bench-|[0-9a-f]{8}-state-|state-)")  # names of files that do not count yet


def stage(folder: Path, step: int, state: Mapping[str, Any]) -> None:
    """Write a state durably. It counts only after `commit`."""
    save(_staged(folder, step), state)


def commit(folder: Path, step: int, oldest_record: int) -> None:
    """Make a staged state the newest. Delete states before the last two, and log segments that neither of them needs.

    `oldest_record` is the number of the oldest transition in this state's buffer.
    """
    _staged(folder, step).replace(state_file(folder, step))
    for old in state_steps(folder)[2:]:
        state_file(folder, old).unlink()
    previous = state_steps(folder)[-1]
    needed = oldest_record - (step - previous)  # the previous state's buffer begins earlier
    for first, path in replay_files(folder).items():
        if first + SEGMENT <= needed:
            path.unlink()


def load(folder: Path, step: int) -> dict[str, Any]:
    """The state of a step, after a check that it and its part of the log are whole.

    Raises:
        CorruptFile: the state is damaged, or the log does not hold what it names.
        OSError: the state cannot be read, which says nothing about what it holds.
    """
    path = state_file(folder, step)
    content = io.BytesIO(read_bytes(path))
    try:
        with zipfile.ZipFile(content) as archive:
            damaged = archive.testzip()
        content.seek(0)
        state = None if damaged else torch.load(content, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and zipfile raise many kinds for damaged files
        raise CorruptFile(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    if state is None:
        raise CorruptFile(f"{path}: part {damaged} is damaged")
    log: dict[str, int] = state["replay"]
    for segment, _, end in _segments(folder, log["oldest"], log["added"]):
        reaches(segment, end * log["width"] * FLOAT32)
    return state


def discard_after(folder: Path, step: int) -> None:
    """Delete states newer than `step`, and files that a killed process left half-written."""
    for newer in (found for found in state_steps(folder) if found > step):
        state_file(folder, newer).unlink()
    for path in names_in(folder):
        if _HALF_WRITTEN.match(path.name):
            path.unlink()


def remove(folder: Path) -> None:
    """Delete the whole checkpoint. A finished seed no longer needs it.

    Where `folder` is a link, the files of a checkpoint are deleted in what it leads to, and then the link.
    """
    if not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        target = Path(os.path.realpath(folder))
        discard_after(folder, -1)
        for path in replay_files(folder).values():
            path.unlink()
        folder.unlink()
        target.rmdir()  # unless it holds something else


def save(path: Path, value: Any) -> None:
    """Write tensors and plain values durably, in a file for torch.load."""
    buffer = io.BytesIO()  # torch writes the file's name into a file, but not into a buffer
    torch.save(value, buffer)
    with replacing(path) as file:
        file.write(buffer.getbuffer())


def sync(path: Path) -> None:
    """Make what was written to a file durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def append_records(folder: Path, start: int, rows: np.ndarray) -> None:
    """Make the log end with these records: rows (n, width) float32, the first of them transition number `start`."""
    for path, begin, end in _segments(folder, start, start + len(rows)):
        part, rows = rows[: end - begin], rows[end - begin :]
        with naming(path), path.open("ab") as file:
            file.truncate(begin * rows.shape[1] * FLOAT32)  # what a crash left beyond the last checkpoint
            file.write(np.ascontiguousarray(part).data)
            file.flush()
            os.fsync(file.fileno())


def read_records(folder: Path, start: int, stop: int, width: int) -> np.ndarray:
    """Records start..stop - 1 of the log, (stop - start, width) float32. `load` has checked that they are there."""
    parts = []
    for path, begin, end in _segments(folder, start, stop):
        with naming(path):
            parts.append(np.fromfile(path, np.float32, (end - begin) * width, offset=begin * width * FLOAT32))
    return np.concatenate([np.empty(0, np.float32), *parts]).reshape(-1, width)


def common_steps(available: Mapping[int, Sequence[int]]) -> list[tuple[int, list[int]]]:
    """Group the seeds that can resume together: seed -> steps of its states, newest first -> [(step, seeds)].

    The step that most seeds share comes first; of equals, the newest. Step 0 means from the start.
    """
    left = {seed: list(found) or [0] for seed, found in available.items()}
    groups = []
    while left:
        counts: dict[int, int] = {}
        for found in left.values():
            for step in found:
                counts[step] = counts.get(step, 0) + 1
        step = max(counts, key=lambda candidate: (counts[candidate], candidate))
        groups.append((step, [seed for seed, found in left.items() if step in found]))
        left = {seed: found for seed, found in left.items() if step not in found}
    return groups


def _staged(folder: Path, step: int) -> Path:
    """Where a state of this process waits until it counts. Its name is hidden, so that no reader takes it for one."""
    path = state_file(folder, step)
    return path.with_name(f".{_PROCESS}-{path.name}")


def _segments(folder: Path, start: int, stop: int) -> list[tuple[Path, int, int]]:
    """Where records start..stop - 1 lie: (file, first record in it, the record after the last in it)."""
    firsts = range(start - start % SEGMENT, stop, SEGMENT)
    return [(replay_file(folder, first), max(start - first, 0), min(stop - first, SEGMENT)) for first in firsts]
