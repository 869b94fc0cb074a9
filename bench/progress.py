"""What a `bench run` shows while it trains: a live table on a terminal, plain lines anywhere else.

All numbers come from the seeds' status files, so every launcher shows the same.
"""

import functools
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from savo_bench.bench import process, show
from savo_bench.bench.cells import Pack, seed_folder
from savo_bench.results.files import CorruptFile
from savo_bench.results.format import SeedFolder, Status

REFRESH = 0.5  # seconds between two looks at the status files
PLAIN_INTERVAL = 30.0  # seconds between two lines about a pack, where there is no terminal
NARROW = 110  # columns; below, a pack takes two lines
_FRAME = 6  # lines that are no pack: head, rules, footer, the prompt's


@dataclass
class Running:
    """A pack that is being trained, and what its seeds' files said last."""

    pack: Pack
    expected: float  # seconds, by the cost model
    began: float
    folders: dict[int, SeedFolder]
    statuses: dict[int, Status] = field(default_factory=dict)
    first_step: int | None = None
    told: float = 0.0  # when the last plain line was printed

    def look(self) -> None:
        """Read the status of every seed that has not ended."""
        for seed, folder in self.folders.items():
            if self.state(seed) == "running":
                try:
                    status = folder.read_status()
                except (CorruptFile, OSError):
                    continue  # `bench status` names it
                if status is not None and status.get("heartbeat", 0.0) >= self.began - 1:  # not an older attempt's
                    self.statuses[seed] = status
        if self.first_step is None and self.statuses:
            self.first_step = self.step

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

    @property
    def eta(self) -> float | None:
        """Seconds to go."""
        return (self.pack.cell.budget.steps - self.step) / self.rate if self.rate else None

    @property
    def slowness(self) -> float | None:
        """Measured time of a step over the cost model's."""
        if not self.rate or self.expected <= 0:
            return None
        steps = self.pack.cell.budget.steps - (self.first_step or 0)
        return steps / self.rate / self.expected

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
        queue: Iterable[tuple[Pack, float]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin with nothing running.

        Args:
            console: where to print
            seeds: number of seeds asked for
            done: how many of them are done
            failed: how many of them nobody can train
            workers: how many packs run at a time
            queue: packs, each with the seconds it is expected to take
            clock: gives the unix time
        """
        self.console, self.seeds, self.done, self.failed, self.workers = console, seeds, done, failed, workers
        self._queue = {_key(pack): seconds for pack, seconds in queue}
        self._running: dict[Key, Running] = {}
        self._slowness = 1.0  # of this machine against the cost model's
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
            expected = self._queue.pop(_key(queued), 0.0)
            self._running[_key(queued)] = Running(pack, expected, began=began, folders=folders, told=now)
        if not self._live:
            self._line(f"started {_name(pack)}")

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
            running.look()
            done, failed = running.count("done"), running.count("failed")
            self.done += done
            self.failed += failed
            self._slowness = running.slowness or self._slowness
        parts = [f"{done} done"] if done or not problem else []
        if failed:
            parts.append(f"{failed} failed")
        if problem:
            parts.append(problem)
        took = show.clock(self._clock() - running.began)
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
            for running in self._running.values():
                running.look()
            if self._live:
                self._live.update(self.render(), refresh=True)
                return
            now = self._clock()
            lines = []
            for running in self._running.values():
                if now - running.told >= PLAIN_INTERVAL:
                    running.told = now
                    lines.append(f"{_name(running.pack)}: {_words(running)}")
        for text in lines:
            self._line(text)

    def render(self) -> Group:
        """The table of running packs, as many as fit, over the line about the whole grid."""
        narrow = self.console.width < NARROW
        packs = list(self._running.values())
        room = max(1, (self.console.height - _FRAME) // (2 if narrow else 1))
        shown = packs[:room]
        parts: list[Table | Text] = [self._narrow(shown) if narrow else self._wide(shown)]
        if len(packs) > room:
            parts.append(Text(f"… and {show.count(len(packs) - room, 'more pack')}", style="dim"))
        return Group(*parts, self._footer())

    def _wide(self, packs: list[Running]) -> Table:
        numbers = ("seeds", "step", "steps/s", "return", "ETA")
        table = show.table("environment", "variant", *numbers, numbers=numbers)
        for running in packs:
            cell = running.pack.cell
            table.add_row(cell.env_label, cell.variant, show.seeds(running.pack.seeds), *_numbers(running))
        return table

    def _narrow(self, packs: list[Running]) -> Table:
        numbers = ("step", "steps/s", "return", "ETA")
        table = show.table("pack", *numbers, numbers=numbers)
        table.columns[0].no_wrap = True
        table.columns[0].overflow = "ellipsis"
        for running in packs:
            cell = running.pack.cell
            name = Text(f"{cell.env_label}\n")
            name.append(f"{cell.variant} · {show.seeds(running.pack.seeds)}", style="dim")
            table.add_row(name, *_numbers(running))
        return table

    def _footer(self) -> Text:
        packs = self._running.values()
        done = self.done + sum(running.count("done") for running in packs)
        failed = self.failed + sum(running.count("failed") for running in packs)
        text = Text(f"seeds: {done} done, ")
        text.append(f"{failed} failed", style="red" if failed else "")
        text.append(f", {self.seeds - done - failed} left · ETA {show.clock(self.eta())}")
        return text

    def eta(self) -> float | None:
        """Seconds until the whole grid ends: running packs as measured, queued ones by the corrected cost model."""
        measured = [slowness for running in self._running.values() if (slowness := running.slowness)]
        slowness = sum(measured) / len(measured) if measured else self._slowness
        left = [self._left(running, slowness) for running in self._running.values()]
        queued = sum(self._queue.values()) * slowness
        return max([*left, (sum(left) + queued) / self.workers], default=None)

    @staticmethod
    def _left(running: Running, slowness: float) -> float:
        if running.eta is not None:
            return running.eta
        return running.expected * slowness


def _name(pack: Pack) -> str:
    word = "seed" if len(pack.seeds) == 1 else "seeds"
    return f"{pack.cell.env_label} {pack.cell.variant} {word} {show.seeds(pack.seeds)}"


def _steps(running: Running) -> str:
    return f"{show.thousands(running.step)}/{show.thousands(running.pack.cell.budget.steps)}"


def _numbers(running: Running) -> tuple[str, str, str, str]:
    return _steps(running), show.decimal(running.rate), show.decimal(running.returned), show.clock(running.eta)


def _words(running: Running) -> str:
    step, rate, returned, eta = _numbers(running)
    failed = running.count("failed")
    return f"step {step}, {rate} steps/s, return {returned}, ETA {eta}" + (f", {failed} failed" if failed else "")
