"""What is left of a training that was stopped: its state, its times, and what `bench status` says and returns."""

import io

import pytest
from rich.console import Console
from small_runs import cell, one_thread, pack, status, stop_at
from test_frame import fake_run, rewrite_status

from savo_bench.bench import train
from savo_bench.bench.commands.status import print_status
from savo_bench.bench.launch import problems
from savo_bench.bench.training.seed import SeedRun
from savo_bench.results.format import SeedFolder
from savo_bench.results.state import state_of

__all__ = ["one_thread", "stop_at"]  # fixtures


def test_a_stopped_training_says_so_and_goes_on_with_its_times(tmp_path, stop_at):
    job = pack(tmp_path, cell("td3", "restricted-inverted-pendulum", steps=90), 0, 1)
    stop_at(70)
    with pytest.raises(train.Interrupted):
        train.train_pack(job)
    stopped = status(job.folder(0))
    assert (stopped["state"], stopped["step"]) == ("interrupted", 70)
    assert state_of(SeedFolder(job.folder(0))).state == "interrupted"
    stop_at(None)
    train.train_pack(job)
    for seed in (0, 1):
        done = status(job.folder(seed))
        assert (done["state"], done["resumed_from"]) == ("done", 70)
        assert 0 < stopped["cpu_seconds"] < done["cpu_seconds"]  # also of the attempt before
        assert done["cpu_seconds"] <= 0.5 * done["seconds"] + 0.1  # two seeds share one thread


def test_the_processor_time_of_a_process_is_shared_among_its_seeds(monkeypatch):
    monkeypatch.setattr("time.process_time", lambda: 107.0)
    run = SeedRun(0, None, None, None, began_cpu=100.0, earlier_cpu_seconds=2.0, sharing=4)  # type: ignore[arg-type]
    assert run.cpu_seconds == 2.0 + 7.0 / 4
    run.earlier_cpu_seconds = None  # an attempt of before it was recorded
    assert run.cpu_seconds is None


def test_interrupted_is_believed_at_once_also_of_another_host(tmp_path):
    folder = fake_run(tmp_path, [1], state="interrupted")
    rewrite_status(folder, heartbeat=1000.0, owner={"host": "another"})
    assert state_of(folder, now=1001.0).state == "interrupted"
    rewrite_status(folder, reason="killed before it had saved")
    assert state_of(folder, now=1001.0).reason == "killed before it had saved"


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (["done", "done"], 0),
        (["done", "interrupted"], 0),
        (["interrupted"], 0),
        (["done", "failed"], 1),
        (["interrupted", "failed"], 1),
        (["done", "unreadable"], 1),
        ([], 0),
    ],
)
def test_the_exit_code_of_status_is_that_of_the_guide(tmp_path, states, code):
    for seed, state in enumerate(states):
        folder = fake_run(tmp_path, [1] * 4, seed=seed, state="done" if state == "unreadable" else state)
        if state == "unreadable":
            folder.run_json.write_text("{")
    output = io.StringIO()
    assert print_status(tmp_path, Console(file=output, width=80)) == code
    assert "ok" not in output.getvalue().split()


def test_status_shows_what_a_seed_took_and_every_column_at_80(tmp_path):
    long = "savo:extra_actors=5,target_noise=0.2,hidden=32-32,batch_size=64,warmup_steps=200"
    for variant, took in ((long, {"seconds": 11_520}), ("td3", {"seconds": 738.0, "cpu_seconds": 6.948})):
        folder = fake_run(tmp_path, [1] * 4, variant=variant)
        rewrite_status(folder, **took)
    fake_run(tmp_path, [1], variant="td3", seed=1, state="interrupted")
    output = io.StringIO()
    print_status(tmp_path, Console(file=output, width=80))
    (heading,) = [line.split() for line in output.getvalue().splitlines() if "CPU/seed" in line]
    assert heading == ["variant", "done", "failed", "interrupted", "missing", "wall/seed", "CPU/seed"]
    (td3,) = [line.split() for line in output.getvalue().splitlines() if line.startswith(" td3")]
    assert td3 == ["td3", "1", "0", "1", "0", "12", "min", "6.9", "s"]
    assert "3.2 h" in output.getvalue()


def test_a_worker_that_had_saved_when_it_was_killed_is_not_said_to_have_lost_anything(tmp_path):
    job = pack(tmp_path, cell("td3", "restricted-inverted-pendulum", steps=400), 0, 1)
    for seed in (0, 1):
        fake_run(tmp_path, [1], seed=seed, environment="restricted-inverted-pendulum", variant=job.cell.variant)
        rewrite_status(SeedFolder(job.folder(seed)), state="interrupted" if seed == 0 else "running")
    assert not problems.saved(job)
    assert problems.record(job, "killed before it had saved", "interrupted") == {}
    assert [status(job.folder(seed)).get("reason") for seed in (0, 1)] == [None, "killed before it had saved"]
    assert problems.saved(job)
