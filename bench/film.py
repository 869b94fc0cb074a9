"""Writes pictures into a GIF or an MP4 file, one after the other."""

from __future__ import annotations

import contextlib
import importlib.util
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from savo_bench.bench.errors import MACHINE, UserError
from savo_bench.results.files import beside

Picture = NDArray[np.uint8]  # (height, width, 3)

ENCODER = "imageio_ffmpeg"  # the module that MP4 needs
GIF_TICK = 10  # milliseconds, the unit of a GIF's clock
GIF_FPS = 50  # browsers show a picture for 2 ticks at least, and slow down those that ask for less


def suffix() -> str:
    """The suffix of films: .mp4 where its encoder is installed, as such files are many times smaller, else .gif."""
    return ".mp4" if importlib.util.find_spec(ENCODER) else ".gif"


def check(path: Path) -> None:
    """Check that a film can be written to a path, before anything is drawn.

    Raises:
        UserError: the name ends in another format, its encoder is not installed, or there is no such folder.
    """
    if path.suffix not in (".gif", ".mp4"):
        raise UserError(f"--out {path}: must end in .gif or .mp4")
    if path.suffix == ".mp4" and not importlib.util.find_spec(ENCODER):
        line = "pip install imageio-ffmpeg, or name a .gif"
        raise UserError(f"--out {path}: MP4 needs the package imageio-ffmpeg: {line}", exit_code=MACHINE)
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
def writing(path: Path, fps: float) -> Iterator[Callable[[Picture], None]]:
    """A function that adds a picture to the film; they all have the same size. The file appears when it is whole.

    Raises:
        UserError: it cannot be written.
    """
    try:
        with beside(path) as unfinished, (_gif if path.suffix == ".gif" else _mp4)(unfinished, fps) as add:
            yield add
    except OSError as error:
        why = error.strerror or "the encoder failed"
        raise UserError(f"--out {path}: cannot be written ({why})", exit_code=MACHINE) from None


@contextlib.contextmanager
def _gif(path: Path, fps: float) -> Iterator[Callable[[Picture], None]]:
    """Written as a whole: a picture of 480 x 480 takes a quarter of a megabyte until then."""
    from PIL import Image

    pictures: list[Image.Image] = []

    def add(picture: Picture) -> None:
        image = Image.fromarray(picture)
        # One palette for all: what does not move keeps its colours, and costs nothing.
        palette = pictures[0] if pictures else None
        pictures.append(image.quantize(palette=palette, dither=Image.Dither.NONE))

    yield add
    duration = GIF_TICK * round(1_000 / fps / GIF_TICK)
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=duration, loop=0, optimize=False)


@contextlib.contextmanager
def _mp4(path: Path, fps: float) -> Iterator[Callable[[Picture], None]]:
    import imageio_ffmpeg

    encoder, added = None, 0

    def add(picture: Picture) -> None:
        nonlocal encoder, added
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
        added += 1

    try:
        yield add
    finally:
        if encoder is not None:
            encoder.close()  # without a word if the last of it could not be written
    try:
        written, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    except RuntimeError:
        written = 0
    if written != added:
        raise OSError
