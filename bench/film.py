"""Writes pictures into a GIF or an MP4 file, one after the other."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import math
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from savo_bench.bench.errors import MACHINE, UserError, reason
from savo_bench.results.files import beside

Picture = NDArray[np.uint8]  # (height, width, 3)

ENCODER = "imageio_ffmpeg"  # the module that MP4 needs
PROGRAM = "IMAGEIO_FFMPEG_EXE"  # environment variable of that module: the ffmpeg to run instead of its own
PATIENCE = 30.0  # seconds until a program that says nothing is no ffmpeg; ours: one answers in less than a second
GIF_TICK = 10  # milliseconds, the unit of a GIF's clock
GIF_FPS = 50  # browsers show a picture for 2 ticks at least, and slow down those that ask for less


def suffix() -> str:
    """The suffix of films: .mp4 where its encoder works, as such files are many times smaller, else .gif."""
    return ".gif" if _lacking() else ".mp4"


def _lacking() -> str | None:
    """What MP4 lacks here and what to do, as the end of a message; None if it can be written."""
    if not importlib.util.find_spec(ENCODER):
        return "MP4 needs the package imageio-ffmpeg: pip install imageio-ffmpeg, or name a .gif"
    named = os.environ.get(PROGRAM, "")
    fault = _fault(named)
    if fault is None:
        return None
    if named:
        return f"{PROGRAM}={named} is no ffmpeg that works ({fault}): name another, unset it, or name a .gif"
    return f"MP4 needs an ffmpeg that works ({fault}): name one by {PROGRAM}, or name a .gif"


@functools.cache
def _fault(_named: str) -> str | None:
    """Why the encoder fails, None if it works: it is asked for a film of one picture. The key is what names it."""
    try:
        import imageio_ffmpeg

        version = [imageio_ffmpeg.get_ffmpeg_exe(), "-version"]
        answer = subprocess.run(version, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=PATIENCE)
        if b"ffmpeg" not in answer.stdout:
            return "it is another program"
        with tempfile.TemporaryDirectory() as folder, _mp4(Path(folder) / "trial.mp4", fps=1.0) as add:
            add(np.zeros((16, 16, 3), np.uint8))
    except OSError as error:
        return reason(error) if error.errno is not None else "it writes no film"
    except Exception:  # whatever the module and a program that is no ffmpeg come to
        return "there is none" if not _named else "it gives no answer"
    return None


def check(path: Path) -> None:
    """Check that a film can be written to a path, before anything is drawn.

    Raises:
        UserError: the name ends in another format, its encoder is not there or fails, or there is no such folder.
    """
    if path.suffix not in (".gif", ".mp4"):
        raise UserError(f"--out {path}: must end in .gif or .mp4")
    if path.suffix == ".mp4" and (lacking := _lacking()):
        raise UserError(f"--out {path}: {lacking}", exit_code=MACHINE)
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise UserError(f"--out {path}: is a folder")


def pace(path: Path, own: float, wanted: float) -> tuple[int, float]:
    """Which pictures to take so that a film shows the task in its own time.

    Args:
        path: The film's file; its suffix is the format.
        own: Steps per second of the task.
        wanted: The largest number of pictures per second.

    Returns:
        n, so that every n-th step is drawn, and the pictures per second.
    """
    if path.suffix == ".gif":
        wanted = min(wanted, GIF_FPS)
    every = max(1, math.ceil(own / wanted - 1e-9))
    return every, own / every


@contextlib.contextmanager
def writing(path: Path, fps: float, palette_of: Picture | None = None) -> Iterator[Callable[[Picture], None]]:
    """A function that adds a picture to the film; they all have the same size. The file appears when it is whole.

    A GIF has one palette: that of a picture `palette_of`, by default of the first one that is added.

    Raises:
        UserError: it cannot be written.
    """
    try:
        with (
            beside(path) as unfinished,
            _gif(unfinished, fps, palette_of) if path.suffix == ".gif" else _mp4(unfinished, fps) as add,
        ):
            yield add
    except OSError as error:
        why = error.strerror or "the encoder failed"
        raise UserError(f"--out {path}: cannot be written ({why})", exit_code=MACHINE) from None


@contextlib.contextmanager
def _gif(path: Path, fps: float, palette_of: Picture | None) -> Iterator[Callable[[Picture], None]]:
    """Written as a whole: a picture of 480 x 480 takes a quarter of a megabyte until then."""
    from PIL import Image

    pictures: list[Image.Image] = []
    palette = None if palette_of is None else Image.fromarray(palette_of).quantize(dither=Image.Dither.NONE)

    def add(picture: Picture) -> None:
        nonlocal palette
        # One palette for all: what does not move keeps its colours, and costs nothing.
        pictures.append(Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE))
        palette = palette or pictures[0]

    yield add
    duration = GIF_TICK * round(1_000 / fps / GIF_TICK)
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=duration, loop=0, optimize=False)


@contextlib.contextmanager
def _mp4(path: Path, fps: float) -> Iterator[Callable[[Picture], None]]:
    """Written by ffmpeg, a process of its own. Its failures of any kind are an OSError."""
    import imageio_ffmpeg

    logging.getLogger(ENCODER).disabled = True  # its warnings would stand beside the one line that says what failed
    encoder, added = None, 0

    def add(picture: Picture) -> None:
        nonlocal encoder, added
        try:
            if encoder is None:
                height, width, _ = picture.shape
                encoder = imageio_ffmpeg.write_frames(
                    str(path),
                    (width, height),
                    fps=fps,  # type: ignore[arg-type]  # written as a number with decimals
                    macro_block_size=2,  # H.264 with the colours that every player knows needs even sizes
                    ffmpeg_log_level="error",
                )
                encoder.send(None)
            encoder.send(np.ascontiguousarray(picture))
        except OSError:
            raise
        except Exception as error:  # RuntimeError without H.264, IndexError for a program that is no ffmpeg
            raise OSError from error
        added += 1

    try:
        yield add
    finally:
        if encoder is not None:
            encoder.close()  # without a word if the last of it could not be written
    try:
        written, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    except Exception:
        written = 0
    if written != added:
        raise OSError
