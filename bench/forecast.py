"""How long packs will still take: the cost model, corrected by how fast packs have gone so far.

The model says how a training's parts compare: start-up, steps of the warm-up, steps with updates, evaluations. So a
fast warm-up and an evaluation, in which no step is taken, change little. What is learnt while packs train is one number
for each cell, the seconds that pass in a second of the model: all that has passed over all that was done, not the speed
of the last moment.
"""

import heapq
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace

from savo_bench.bench import cost
from savo_bench.bench.cells import Pack

START_UP = 4.0  # seconds of one core until a worker trains: it imports torch and MuJoCo, and makes its environments
TRUST = (
    30.0  # ours: seconds of the model; what was done must outweigh them before it counts more than what was expected
)


@dataclass(frozen=True)
class Work:
    """What a pack has to do, in seconds of the cost model.

    Attributes:
        begin: The step from which it trains.
        steps: The step at which it ends.
        warmup: The step from which on it learns.
        eval_every: Steps between evaluations.
        step: Seconds of a step of its environments.
        update: Seconds of the updates that follow a step.
        evaluation: Seconds of an evaluation.
        start: Seconds until its first step.
    """

    begin: int
    steps: int
    warmup: int
    eval_every: int
    step: float
    update: float
    evaluation: float
    start: float = START_UP

    def left(self, step: int) -> float:
        """Seconds from a step to the end. An evaluation that is due at the step is still to come."""
        evaluations = -(-self.steps // self.eval_every) - max(0, step - 1) // self.eval_every
        learning = max(0, self.steps - max(step, self.warmup))
        return (self.steps - step) * self.step + learning * self.update + evaluations * self.evaluation

    @property
    def whole(self) -> float:
        """Seconds from the start of its process to the end."""
        return self.start + self.left(self.begin)

    def evaluates_at(self, step: int) -> bool:
        """Whether an evaluation is due at a step."""
        return step > 0 and (step % self.eval_every == 0 or step == self.steps)

    def times(self, ratio: float) -> "Work":
        """The same work where everything takes `ratio` times as long, but for the start."""
        return replace(self, step=ratio * self.step, update=ratio * self.update, evaluation=ratio * self.evaluation)


def work(pack: Pack, begin: int = 0) -> Work:
    """What a pack has to do from a step on.

    Raises:
        UserError: the environment cannot be made.
    """
    budget = pack.cell.budget
    parts = cost.parts(pack)
    warmup = min(budget.steps, getattr(pack.cell.config, "warmup_steps", 0))
    return Work(begin, budget.steps, warmup, budget.eval_every, parts.step, parts.update, parts.evaluation)


def unknown(pack: Pack) -> Work:
    """Work of which nothing is known but its steps, which then all take the same time."""
    steps = pack.cell.budget.steps
    return Work(0, steps, 0, steps, 1 / max(1, steps), 0.0, 0.0, 0.0)


class Progress:
    """What has been seen of a pack in training: from when to when, and from which step to which."""

    def __init__(self, work: Work, began: float) -> None:
        """A pack whose process began at a time and has not been heard of yet."""
        self.work, self.began = work, began
        self.first: tuple[float, int] | None = None  # when it was heard of first, and its step
        self.arrived: tuple[float, int] = began, work.begin  # when it was first seen at its step, and that
        self.between: tuple[float, int] = began, work.begin  # the same of the last step without an evaluation
        self.ended = False

    def saw(self, now: float, step: int) -> None:
        """It stood at a step."""
        if self.first is None:
            self.first = self.arrived = self.between = now, step
        elif step > self.arrived[1]:
            self.arrived = now, step
            if not self.work.evaluates_at(step):
                self.between = self.arrived

    def end(self, now: float) -> None:
        """It trains no more, and has done what it had to do up to its step."""
        self.ended = True
        if self.arrived[1] == self.work.steps:
            self.between = now, self.work.steps

    def evidence(self, now: float) -> tuple[float, float]:
        """Seconds that have passed in its training, and seconds of the model that were done in them.

        An evaluation counts once it is over, or as soon as it takes longer than the pack's own pace says.
        """
        if self.first is None:
            return 0.0, 0.0
        elapsed, done = self.between[0] - self.first[0], self.work.left(self.first[1]) - self.work.left(self.between[1])
        if self.ended:
            return elapsed, done + (self.work.evaluation if self.between[1] == self.work.steps else 0.0)
        pace = elapsed / done if elapsed > 0 and done > 0 else 1.0
        over = now - self.arrived[0] - pace * self.work.evaluation
        if self.between == self.arrived or over <= 0:
            return elapsed, done
        done += self.work.left(self.between[1]) - self.work.left(self.arrived[1]) + self.work.evaluation
        return now - self.first[0], done

    def left(self, now: float, slowness: float) -> float:
        """Seconds to go, where `slowness` seconds pass in a second of the model."""
        since = max(0.0, now - self.arrived[0])
        if self.first is None:
            return max(0.0, slowness * self.work.start - since) + slowness * self.work.left(self.arrived[1])
        left = slowness * self.work.left(self.arrived[1])
        here = slowness * self.work.evaluation if self.work.evaluates_at(self.arrived[1]) else since
        return max(0.0, left - min(since, here))


class Pace:
    """Seconds that pass in a second of the model: in each cell, and in cells of which nothing is known."""

    def __init__(self) -> None:
        self._ended: dict[Hashable, tuple[float, float]] = {}

    def end(self, cell: Hashable, progress: Progress) -> None:
        """Remember a pack that has ended."""
        before = self._ended.get(cell, (0.0, 0.0))
        self._ended[cell] = _sum([before, progress.evidence(progress.between[0])])

    def slowness(self, running: Iterable[tuple[Hashable, Progress]], now: float) -> dict[Hashable, float]:
        """The slowness of each cell of which something is known, and under None that of all others."""
        known = {cell: [evidence] for cell, evidence in self._ended.items()}
        for cell, progress in running:
            known.setdefault(cell, []).append(progress.evidence(now))
        summed = {cell: _sum(parts) for cell, parts in known.items()}
        of_all = _corrected(1.0, *_sum(list(summed.values())))
        return {None: of_all} | {cell: _corrected(of_all, *evidence) for cell, evidence in summed.items()}


def _sum(parts: list[tuple[float, float]]) -> tuple[float, float]:
    return sum(part[0] for part in parts), sum(part[1] for part in parts)


def _corrected(expected: float, elapsed: float, done: float) -> float:
    """The slowness that was expected, corrected by what was seen."""
    return (TRUST * expected + elapsed) / (TRUST + done)


def whole(running: Iterable[float], queue: Iterable[float], workers: int) -> float | None:
    """Seconds until all packs have ended; None where there is none.

    Args:
        running: Seconds to go of each running pack.
        queue: Seconds of each waiting pack, in order; the worker that is free first takes the next.
        workers: How many packs run at a time.
    """
    free, waiting = list(running), list(queue)
    if not free and not waiting:
        return None
    free += [0.0] * (workers - len(free))
    heapq.heapify(free)
    for seconds in waiting:
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return max(free)
