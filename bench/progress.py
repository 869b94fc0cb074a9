"""What a `bench run` shows while it trains: a live table on a terminal, plain lines anywhere else.

All numbers come from the seeds' status files, so every launcher shows the same.
"""

import functools
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from savo_bench.bench import forecast, process, show
from savo_bench.bench.cells import Pack, seed_folder
from savo_bench.bench.forecast import Pace, Progress, Work
from savo_bench.results.files import CorruptFile
from savo_bench.results.format import SeedFolder, Status, state_steps

REFRESH = 0.5  # seconds between two looks at the status files
PLAIN_INTERVAL = 30.0  # seconds between two lines about a pack, where there is no terminal
NARROW = 110  # columns; below, a pack takes two lines
_FRAME = 6  # lines that are no pack: head, rules, footer, the prompt's


@dataclass
class Running:
    """A pack that is being trained, and what its seeds' files said last."""

    pack: Pack
    progress: Progress
    began: float
    folders: dict[int, SeedFolder]
    statuses: dict[int, Status] = field(default_factory=dict)
    told: float = 0.0  # when the last plain line was printed

    def look(self, now: float) -> None:
        """Read the status of every seed that has not ended."""
        for seed, folder in self.folders.items():
            if self.state(seed) == "running":
                try:
                    status = folder.read_status()
                except (CorruptFile, OSError):
                    continue  # `bench status` names it
                if status is not None and status.get("heartbeat", 0.0) >= self.began - 1:  # not an older attempt's
                    self.statuses[seed] = status
        if self.statuses:
            self.progress.saw(now, self.step)

    def state(self, seed: int) -> str:
        """The state of a seed: running until its file says otherwise."""
        return self.statuses[seed]["state"] if seed in self.statuses else "running"

    def count(self, state: str) -> int:
        """Number of seeds in a state."""
        return sum(self.state(seed) == state for seed in self.folders)

    @property
    def step(self) -> int:
        """Step of the pack: its seeds go in lockstep, up to the moment of their last heartbeat."""
        return max((status["step"] for status in self._live()), default=0)

    @property
    def rate(self) -> float | None:
        """Steps a second of each seed."""
        rates = [rate for status in self._live() if (rate := status.get("steps_per_s"))]
        return sum(rates) / len(rates) if rates else None

    @property
    def returned(self) -> float | None:
        """Latest return, mean over the seeds."""
        returns = [value for status in self._live() if (value := status.get("last_return")) is not None]
        return sum(returns) / len(returns) if returns else None

    def _live(self) -> list[Status]:
        """The seeds that have not failed."""
        return [status for status in self.statuses.values() if status["state"] != "failed"]


Key = tuple[str, str, tuple[int, ...]]  # a queued pack: environment, variant, seeds


def _key(queued: Pack) -> Key:
    return queued.cell.env_label, queued.cell.variant, queued.seeds


def _harmless(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of the board whose own errors do not reach the training; the first is said on standard error."""

    @functools.wraps(method)
    def guarded(board: "Board", *given: Any, **named: Any) -> Any:
        try:
            return method(board, *given, **named)
        except Exception as error:
            if not board.faulty:
                board.faulty = True
                what = " ".join(f"{type(error).__name__}: {error}".split())
                print(f"note: the progress cannot be shown ({what}); training continues", file=sys.stderr, flush=True)
        return None

    return guarded


class Board:
    """The progress of a grid. Launchers call `started` and `ended`; as a context manager it shows itself.

    They name a pack by what it was when it was queued, since some of its seeds may be done when it starts.
    """

    def __init__(
        self,
        console: Console,
        *,
        seeds: int,
        done: int,
        failed: int,
        workers: int,
        queue: Iterable[tuple[Pack, Work]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin with nothing running.

        Args:
            console: where to print
            seeds: number of seeds asked for
            done: how many of them are done
            failed: how many of them nobody can train
            workers: how many packs run at a time
            queue: packs in order, each with what it has to do
            clock: gives the unix time
        """
        self.console, self.seeds, self.done, self.failed, self.workers = console, seeds, done, failed, workers
        self._queue = {_key(pack): work for pack, work in queue}
        self._running: dict[Key, Running] = {}
        self._pace = Pace()
        self._clock = clock
        self._lock = threading.Lock()
        self._quit = threading.Event()
        self._thread: threading.Thread | None = None
        self.faulty = False  # whether an error of the display was told
        self._live: Live | None = None
        if console.is_interactive:
            self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        """Start showing."""
        process.Output.working = "training continues"
        self._show()
        return self

    @_harmless
    def _show(self) -> None:
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)
        self._thread.start()
        if self._live:
            self._live.start()

    def __exit__(self, *_: object) -> None:
        """Take the live table away; lines stay."""
        self._quit.set()
        if self._thread:
            self._thread.join()
        self._hide()
        process.Output.working = ""

    @_harmless
    def _hide(self) -> None:
        if self._live:
            self._live.stop()

    @_harmless
    def started(self, queued: Pack, pack: Pack, since: float | None = None) -> None:
        """A worker started a queued pack; `pack` holds the seeds of it that still need training.

        `since` is a unix time before the start, if that may have been some time ago.
        """
        folders = {seed: seed_folder(pack.root, pack.cell, seed) for seed in pack.seeds}
        now = self._clock()
        began = now if since is None else since
        with self._lock:
            work = self._queue.pop(_key(queued), None) or forecast.unknown(pack)
            progress = Progress(work, now)
            self._running[_key(queued)] = Running(pack, progress, began=began, folders=folders, told=now)
        if not self._live:
            saved = max(next(iter(state_steps(folder.checkpoint)), 0) for folder in folders.values())
            resumed = f" from step {show.thousands(saved)}" if saved else ""
            self._line(f"{'resumed' if saved else 'started'} {_name(pack)}{resumed}")

    @_harmless
    def dropped(self, queued: Pack) -> None:
        """A queued pack needs no training any more."""
        with self._lock:
            self._queue.pop(_key(queued), None)

    @_harmless
    def ended(self, queued: Pack, problem: str | None = None) -> None:
        """A worker ended its work on a queued pack; `problem` says why it ended too early."""
        with self._lock:
            running = self._running.pop(_key(queued))
            now = self._clock()
            running.look(now)
            done, failed = running.count("done"), running.count("failed")
            self.done += done
            self.failed += failed
            running.progress.end(now)
            self._pace.end(running.pack.cell.key, running.progress)
        parts = [f"{done} done"] if done or not problem else []
        if failed:
            parts.append(f"{failed} failed")
        if problem:
            parts.append(problem)
        took = show.clock(now - running.began)
        outcome = f", return {show.decimal(running.returned)}" if running.returned is not None else ""
        style = "red" if failed or problem else "green"
        self._line(f"ended {_name(running.pack)} after {took}: {', '.join(parts)}{outcome}", style)

    @_harmless
    def note(self, text: str, style: str = "") -> None:
        """Print a line above the table."""
        self._line(text, style)

    def _line(self, text: str, style: str = "") -> None:
        show.line(self.console, text, style)  # rich puts it above a live table

    def _watch(self) -> None:
        while not self._quit.wait(REFRESH):
            self.refresh()

    @_harmless
    def refresh(self) -> None:
        """Read the status files and show what they say."""
        with self._lock:
            now = self._clock()
            for running in self._running.values():
                running.look(now)
            if self._live:
                self._live.update(self.render(), refresh=True)
                return
            lines, left = [], self._left(now)
            for key, running in self._running.items():
                if now - running.told >= PLAIN_INTERVAL:
                    running.told = now
                    lines.append(f"{_name(running.pack)}: {_words(running, left[key])}")
            if lines and (len(self._running) > 1 or self._queue):
                lines.append(f"all packs: ETA {show.clock(self.eta())}")
        for text in lines:
            self._line(text)

    def render(self) -> Group:
        """The table of running packs, as many as fit, over the line about the whole grid."""
        narrow = self.console.width < NARROW
        packs = list(self._running.items())
        room = max(1, (self.console.height - _FRAME) // (2 if narrow else 1))
        left = self._left(self._clock())
        rows = [(running.pack, _numbers(running, left[key])) for key, running in packs[:room]]
        parts: list[Table | Text] = [self._table(rows, 2 if narrow else 1)]
        if len(packs) > room:
            parts.append(Text(f"… and {show.count(len(packs) - room, 'more pack')}", style="dim"))
        return Group(*parts, self._footer())

    def _table(self, rows: Sequence[tuple[Pack, tuple[str, ...]]], lines: int) -> Table:
        """Numbers first and whole; then the names, cut in the middle to what is left of the width."""
        numbers = ("step", "steps/s", "return", "ETA")
        table = show.table(*numbers, "pack", numbers=numbers)
        widths = [max(map(len, (name, *(row[1][at] for row in rows)))) for at, name in enumerate(numbers)]
        for column, width in zip(table.columns, widths, strict=False):
            column.min_width = width
        room = max(12, self.console.width - sum(widths) - 3 * len(numbers) - 2)  # three blanks a column, two edges
        table.columns[-1].no_wrap = True
        for pack, texts in rows:
            seeds = f" · {show.cut(show.seeds(pack.seeds), room // 3)}"
            if lines == 2:
                name = Text(f"{show.cut(pack.cell.env_label, room)}\n")
                name.append(f"{show.cut(pack.cell.variant, room - len(seeds))}{seeds}", style="dim")
            else:
                half = (room - len(seeds) - 2) // 2
                variant = show.cut(pack.cell.variant, max(half, room - len(seeds) - 2 - len(pack.cell.env_label)))
                environment = show.cut(pack.cell.env_label, room - len(seeds) - 2 - len(variant))
                name = Text(f"{environment}  {variant}{seeds}")
            table.add_row(*texts, name)
        return table

    def _footer(self) -> Text:
        packs = self._running.values()
        done = self.done + sum(running.count("done") for running in packs)
        failed = self.failed + sum(running.count("failed") for running in packs)
        text = Text(f"seeds: {done} done, ")
        text.append(f"{failed} failed", style="red" if failed else "")
        text.append(f", {self.seeds - done - failed} left · ")
        if self._queue:
            text.append(f"{show.count(len(self._queue), 'pack')} waiting · ")
        text.append(f"ETA {show.clock(self.eta())}")
        return text

    def eta(self) -> float | None:
        """Seconds until the whole grid ends: of packs that run, and of those that wait for a worker."""
        now = self._clock()
        slowness = self._slowness(now)
        waiting = [
            slowness.get(key[:2], slowness[None]) * (work.left(work.begin) + work.start)
            for key, work in self._queue.items()
        ]
        return forecast.whole(self._left(now).values(), waiting, self.workers)

    def _slowness(self, now: float) -> dict[Hashable, float]:
        running = ((running.pack.cell.key, running.progress) for running in self._running.values())
        return self._pace.slowness(running, now)

    def _left(self, now: float) -> dict[Key, float]:
        """Seconds to go of each running pack."""
        slowness = self._slowness(now)
        return {
            key: running.progress.left(now, slowness.get(running.pack.cell.key, slowness[None]))
            for key, running in self._running.items()
        }


def _name(pack: Pack) -> str:
    word = "seed" if len(pack.seeds) == 1 else "seeds"
    return f"{pack.cell.env_label} {pack.cell.variant} {word} {show.seeds(pack.seeds)}"


def _steps(running: Running) -> str:
    return f"{show.thousands(running.step)}/{show.thousands(running.pack.cell.budget.steps)}"


def _numbers(running: Running, left: float) -> tuple[str, str, str, str]:
    return _steps(running), show.decimal(running.rate), show.decimal(running.returned), show.clock(left)


def _words(running: Running, left: float) -> str:
    step, rate, returned, eta = _numbers(running, left)
    failed = running.count("failed")
    return f"step {step}, {rate} steps/s, return {returned}, ETA {eta}" + (f", {failed} failed" if failed else "")
