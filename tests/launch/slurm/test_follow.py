"""What `--wait` shows of tasks."""

from small_grids import run
from stand_ins import CELL, finished, list_queue, planned

from savo_bench.bench.cells import Pack, seed_folder
from savo_bench.bench.launch.slurm import follow
from savo_bench.bench.launch.slurm.queue import SlurmQueue
from savo_bench.results.state import survey


def test_followed_tasks_start_come_back_and_end_as_the_queue_says(commands, tmp_path):
    root = tmp_path / "name"
    each = planned(root, 2)
    run(each)
    told = []

    class Told:
        def started(self, queued, pack, since):
            assert since > 0
            told.append(("started", queued.seeds, pack.seeds))

        def ended(self, queued, problem=None):
            told.append(("ended", queued.seeds, problem))

    packs = [Pack(CELL, (seed,), root, "cpu", 300.0, "slurm") for seed in (0, 1)]
    tasks = [follow._Followed(pack, (f"1_{number}",)) for number, pack in enumerate(packs)]
    follower = follow._Follower(Told(), tasks)  # type: ignore[arg-type]
    first, second = ((0,), (1,))

    def after(*lines: str) -> list[tuple[object, ...]]:
        list_queue(root, commands, *lines)
        known = SlurmQueue(root)
        known.join(survey(root))
        told.clear()
        follower.tell(known.tasks)
        return list(told)

    assert after("PENDING|0|Resources", "PENDING|1|Resources") == []
    assert after("RUNNING|0|None", "PENDING|1|Resources") == [("started", first, first)]
    assert after("COMPLETING|0|None", "RUNNING|1|None") == [("started", second, second)]
    assert after("PENDING|0|BeginTime", "RUNNING|1|None") == [("ended", first, "job 1_0 is queued again")]
    assert after("RUNNING|0|None", "FAILED|1|NonZeroExitCode") == [
        ("started", first, first), ("ended", second, "job 1_1 died"),
    ]  # fmt: skip
    for seed in (0, 1):
        finished(seed_folder(root, CELL, seed))
    assert after("COMPLETED|0|None") == [("ended", first, None)]
