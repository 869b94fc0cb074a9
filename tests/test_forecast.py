"""How long packs will still take, by simulated trainings whose time is known."""

import pytest

from savo_bench.bench import forecast
from savo_bench.bench.forecast import Pace, Progress, Work

MODEL = Work(begin=0, steps=30_000, warmup=1_000, eval_every=3_000, step=0.0002, update=0.004, evaluation=6.0)
HEARTBEAT = 2.0


class Trained:
    """A pack that trains as a Work says, in made-up time; `step(elapsed)` is where it stands."""

    def __init__(self, truth: Work) -> None:
        self.ends, at = [], truth.start  # when each step is over
        for step in range(truth.steps):
            at += truth.evaluation if truth.evaluates_at(step) else 0.0
            at += truth.step + (truth.update if step >= truth.warmup else 0.0)
            self.ends.append(at)
        self.last = at + truth.evaluation
        self.at = 0

    def step(self, elapsed: float) -> int:
        while self.at < len(self.ends) and self.ends[self.at] <= elapsed:
            self.at += 1
        return self.at


def forecasts(truth: Work, packs: int = 4, workers: int = 2) -> tuple[list[tuple[float, float]], float]:
    """(time, seconds to go) every half second as a board asks, and when the whole has ended."""
    pace, queue, running = Pace(), [MODEL] * packs, []
    now, heard, found = 0.0, {}, []
    while queue or running:
        while queue and len(running) < workers:
            running.append((now, Progress(queue.pop(), now), Trained(truth)))
        for began, progress, trained in list(running):
            ended = now - began >= trained.last
            if now - began >= truth.start and (ended or now - heard.get(id(progress), -9.0) >= HEARTBEAT):
                heard[id(progress)] = now
                progress.saw(now, trained.step(now - began))
            if ended:
                progress.end(now)
                pace.end("cell", progress)
                running.remove((began, progress, trained))
        slowness = pace.slowness([("cell", progress) for _, progress, _ in running], now)
        each = slowness.get("cell", slowness[None])
        left = [progress.left(now, each) for _, progress, _ in running]
        whole = forecast.whole(left, [each * (MODEL.left(0) + MODEL.start) for _ in queue], workers)
        if whole is not None:
            found.append((now, whole))
        now += 0.5
    return found, now - 0.5


def truth(step: float = 1.0, update: float = 1.0, evaluation: float = 1.0, start: float = 1.0) -> Work:
    return Work(
        0, MODEL.steps, MODEL.warmup, MODEL.eval_every, step * MODEL.step, update * MODEL.update,
        evaluation * MODEL.evaluation, start * MODEL.start,
    )  # fmt: skip


def test_a_training_as_the_model_says_is_told_to_the_second_from_its_start():
    found, end = forecasts(truth())
    assert all(abs(left - (end - now)) < 5 for now, left in found)


@pytest.mark.parametrize(
    "real",
    [truth(3, 3, 3, 3), truth(1, 4, 2, 1), truth(0.3, 2, 4, 5), truth(1, 1, 8, 1), truth(0.4, 0.4, 0.4, 1)],
    ids=["slow machine", "slow updates", "fast warm-up", "slow evaluations", "fast machine"],
)
def test_a_model_that_is_wrong_is_corrected_smoothly(real):
    found, end = forecasts(real)
    off = [(now, abs(left - (end - now)) / max(end - now, 0.15 * end)) for now, left in found]
    assert max(error for now, error in off if now > 0.1 * end) < 0.3
    assert max(error for now, error in off if now > 0.3 * end) < 0.2
    later = [left for now, left in found if now > 0.1 * end]
    jumps = [abs(b - a) for a, b in zip(later[::4], later[4::4], strict=False)]  # in two seconds
    assert max(jumps) < 0.15 * end  # it did read 1:44, 5:56, 15:55, 49:22, 15:32 within 105 s


def test_what_is_left_counts_evaluations_and_the_warm_up():
    assert MODEL.left(0) == pytest.approx(30_000 * 0.0002 + 29_000 * 0.004 + 10 * 6)
    assert MODEL.left(3_000) - MODEL.left(3_001) == pytest.approx(0.0002 + 0.004 + 6)
    assert MODEL.left(30_000) == 6
    assert MODEL.times(2).left(0) == 2 * MODEL.left(0)


def test_a_resumed_pack_has_less_to_do():
    resumed = Progress(Work(15_000, *tuple(vars(MODEL).values())[1:]), began=100.0)
    assert resumed.left(100.0, 1.0) == MODEL.start + MODEL.left(15_000)


def test_an_eta_never_is_below_zero_where_nothing_is_heard():
    progress = Progress(MODEL, 0.0)
    assert progress.left(10_000.0, 1.0) == pytest.approx(MODEL.left(0))
    progress.saw(10.0, 29_999)
    assert progress.left(10_000.0, 1.0) == 0


def test_the_whole_by_hand():
    assert forecast.whole([4], [3, 3], 2) == 6
    assert forecast.whole([], [], 2) is None
    assert forecast.whole([5, 1, 1], [], 2) == 5
