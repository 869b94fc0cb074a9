"""`bench play`: a film of a trained policy, and the returns of the episodes that it shows.

The episodes are those of the run's last evaluation, played by the same code from the same random states: on a CPU their
returns are those at the end of evals.csv. First they are played without pictures. Then the same actions are taken once
more and drawn, so that drawing cannot change an episode.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from savo_bench import envs
from savo_bench.bench import film, finished, show
from savo_bench.bench.errors import INTERRUPTED, MACHINE, NEGATIVE, UserError
from savo_bench.bench.film import Picture
from savo_bench.bench.finished import Take
from savo_bench.bench.run_directory import reading
from savo_bench.envs.simulator import NoRenderer
from savo_bench.results.files import read_csv
from savo_bench.results.format import label, text
from savo_bench.results.state import SeedState

UNPACED = 30.0  # ours: steps per second of an environment that does not say


def play(
    root: Path,
    env: str,
    algo: str,
    seed: int | None,
    console: Console,
    *,
    episodes: int,
    steps: int | None,
    fps: float,
    out: Path | None,
) -> None:
    """Write a film of a finished seed, of the lowest one if `seed` is None, and print the returns of its episodes.

    `env` and `algo` are written as for `bench run`. At most `steps` steps of each episode are drawn, with at most `fps`
    pictures per second of the task's own time. Without `out` the film lies beside the policy.

    Raises:
        UserError: there is no such policy, or no film can be made of it.
    """
    for name, value in (("--episodes", episodes), ("--steps", steps)):
        if value is not None and value < 1:
            raise UserError(f"{name} {value}: must be at least 1")
    if not 0 < fps < float("inf"):
        raise UserError(f"--fps {fps:g}: must be a number above 0")
    chosen, spec = finished.find(root, env, algo, seed)
    task = spec["environment"]
    if not envs.get(task["name"]).pictures:
        raise UserError(f"--env {env}: draws no pictures, so there is nothing to film; its returns are in bench report")
    path = out or chosen.folder.film(film.suffix())
    with reading():
        film.check(path)

    torch.set_num_threads(1)  # both as in training, so that the same bits come out
    torch.set_flush_denormal(True)
    try:
        with contextlib.closing(Camera(task, path, fps, steps)) as camera:
            takes = finished.perform(chosen.folder, spec, episodes)
            terminal = show.console(stderr=True)
            columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn()
            with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_interactive) as progress:
                camera.film(takes[:episodes], progress)
    except KeyboardInterrupt:
        raise UserError("stopped; no film was written", exit_code=INTERRUPTED) from None
    with reading():
        _tell(console, chosen, spec, takes[:episodes], path, compare=len(takes) == spec["budget"]["eval_episodes"])


class Camera:
    """Draws episodes into a film."""

    def __init__(self, task: Mapping[str, Any], path: Path, fps: float, steps: int | None) -> None:
        """Make the environment and draw one picture, so that a failure shows before the episodes are played.

        Raises:
            UserError: none can be drawn here.
        """
        self.path, self.steps = path, steps
        try:
            self.env = envs.make(task["name"], evaluation=True, render_mode="rgb_array", **task["keywords"])
        except ValueError as error:  # a plug-in without this mode
            raise UserError(f"--env {task['name']}: {error}") from None
        self.env.reset(seed=0)
        self.picture()
        self.every, self.fps = film.pace(path, float(self.env.metadata.get("render_fps") or UNPACED), fps)

    def picture(self) -> Picture:
        """What there is to see now: (height, width, 3)."""
        try:
            seen = self.env.render()
        except NoRenderer as error:
            raise UserError(str(error), exit_code=MACHINE) from None
        if not (isinstance(seen, np.ndarray) and seen.dtype == np.uint8 and seen.ndim == 3 and seen.shape[2] == 3):
            raise UserError(f"{self.env}: its pictures must be uint8 arrays (height, width, 3)")
        return seen

    def film(self, takes: Sequence[Take], progress: Progress) -> None:
        """Write the film of these episodes, one after the other.

        Raises:
            UserError: it cannot be written, or an episode does not go as it went.
        """
        total = sum(self._length(take) // self.every + 1 for take in takes)
        drawing = progress.add_task("drawing", total=total)
        with film.writing(self.path, self.fps) as add:
            for take in takes:
                for picture in self._pictures(take):
                    add(picture)
                    progress.advance(drawing)

    def _length(self, take: Take) -> int:
        return min(len(take.actions), self.steps or len(take.actions))

    def _pictures(self, take: Take) -> Iterator[Picture]:
        """Every so many steps a picture, and one of the end."""
        self.env.reset(seed=take.seed)
        yield self.picture()
        total = 0.0
        for step, action in enumerate(take.actions[: self._length(take)], 1):
            _, reward, *_ = self.env.step(action.copy())
            total += float(reward)
            if step % self.every == 0 or step == self._length(take):
                yield self.picture()
        _, _, recorded, length, *_ = take.row
        if self._length(take) == length and total != recorded:
            raise UserError(
                f"{self.env}: the same seed and actions give the return {total} and not {recorded}: this environment "
                "draws from elsewhere than its np_random or is not fully reset by reset, so it cannot be filmed",
                exit_code=NEGATIVE,
            )

    def close(self) -> None:
        """Free what draws."""
        self.env.close()


def _tell(
    console: Console, chosen: SeedState, spec: Mapping[str, Any], takes: Sequence[Take], path: Path, *, compare: bool
) -> None:
    """Print the returns, whether they are those of the run's last evaluation, and where the film is."""
    names = [*envs.get(spec["environment"]["name"]).metrics]
    table = show.table("episode", "return", "length", *names, numbers=("episode", "return", "length", *names))
    for take in takes:
        _, episode, episode_return, length, *metrics = take.row
        table.add_row(text(int(episode)), show.decimal(episode_return), text(int(length)), *map(show.decimal, metrics))
    console.print(table)
    if compare:
        rows = read_csv(chosen.folder.evals_csv)
        recorded = rows.loc[rows["step"] == spec["budget"]["steps"], "return"].to_list()[: len(takes)]
        if recorded == [take.row[2] for take in takes]:
            show.line(console, "the returns are those of the run's last evaluation")
        else:
            there = ", ".join(map(show.decimal, recorded))
            note = (
                f"note: the run's last evaluation had {there}: another machine or other packages, which round otherwise"
            )
            show.line(console, note, "yellow")
    task = label(spec["environment"]["name"], spec["environment"]["keywords"])
    what = f"{spec['algorithm']['variant']} on {task}, seed {chosen.seed}"
    show.line(console, f"film of {what}: {path} ({show.size(path.stat().st_size)})")
