"""What a training records of its cost."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_agents import config
from small_cells import one
from small_runs import cell, pack, status

from savo_bench import algos
from savo_bench.algos.agent import Spaces
from savo_bench.algos.flops import Trial
from savo_bench.bench import disk, memory, train
from savo_bench.bench.cells import Cell, Pack
from savo_bench.bench.spaces import probe

# Trains a pack in a process of its own, as a worker does; prints what an estimate said first, where asked for.
MEASURED = """
import pickle, sys
from pathlib import Path
import torch
from savo_bench.bench import disk, memory, worker
from savo_bench.bench.spaces import probe
pack = pickle.loads(bytes.fromhex("{pack}"))
if {estimates}:
    written = disk.estimate(pack.cell, probe(pack.cell))
    memory.environment_bytes(pack.cell)
    print(memory.estimate(pack, 0, written, memory.held()[0]))
else:
    worker.train(pack)
    print(memory.peak_memory(torch.device("cpu")))
"""


def test_a_training_records_memory_latency_and_weights(tmp_path):
    job = pack(tmp_path, cell("td3", steps=150), 0, 1)
    train.train_pack(job)
    for seed in (0, 1):
        found = status(job.folder(seed))
        saved = torch.load(job.folder(seed) / "policy.pt")
        assert found["parameters"] == saved["actor"].numel()  # it acts with the actor alone
        assert 0 < found["action_seconds"] < found["seconds"] / 100  # it acts 150 times, and does more than that
        assert 1e8 < found["peak_memory"] <= memory.peak_memory(torch.device("cpu"))


def test_memory_is_this_processs_own_and_not_its_parents(run_python):
    held = bytearray(400_000_000)
    held[::4096] = b"x" * len(held[::4096])  # every page is touched
    code = "import torch; from savo_bench.bench.memory import peak_memory; print(peak_memory(torch.device('cpu')))"
    assert 1e7 < float(run_python(code).stdout) < 4e8 < memory.peak_memory(torch.device("cpu"))


def test_the_memory_of_a_gpu_is_what_its_tensors_took(monkeypatch):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 7 if device.type == "cuda" else 0)
    assert memory.peak_memory(torch.device("cuda")) == 7


TINY = {"warmup_steps": 50, "hidden": "8-8", "batch_size": 16}
WIDE = {"warmup_steps": 50, "hidden": "256-256", "batch_size": 256}


def budgeted(algo: str, env: str, episodes: int = 2, steps: int = 56, **fields: object) -> Cell:
    settings = tuple(fields.items())
    return one(algos=algo, envs=env, steps=steps, eval_every=steps, eval_episodes=episodes, settings=settings)


@pytest.mark.parametrize(
    ("tested", "seeds"),
    [
        (budgeted("td3", "adroit-pen", 40, **TINY), 1),
        (budgeted("td3", "adroit-pen", 12, **TINY), 4),
        (budgeted("savo", "restricted-inverted-pendulum", **WIDE), 10),
        (budgeted("greedy-ac", "restricted-hopper", **WIDE), 3),
        (budgeted("td3", "recsim", **TINY), 3),
        (budgeted("td3", "mineworld", steps=20_000, **TINY | {"warmup_steps": 19_950}), 5),
    ],
    ids=lambda value: f"{value.algorithm}-{value.environment}" if isinstance(value, Cell) else str(value),
)
def test_a_training_holds_what_was_estimated(tested, seeds, tmp_path, run_python):
    job = Pack(tested, tuple(range(seeds)), tmp_path, "cpu", 1000.0, "inline")
    numbers = []
    for estimates in (True, False):
        code = MEASURED.format(pack=pickle.dumps(job).hex(), estimates=estimates)
        done = run_python(code)
        assert done.returncode == 0, done.stderr
        numbers.append(float(done.stdout))
    estimated, measured = numbers
    print(f"estimated {estimated:.3g}, measured {measured:.3g}")
    assert measured / 1.5 < estimated < measured * 1.5


def test_what_grows_with_the_grid_is_in_the_estimate():
    tested = budgeted("td3", "restricted-inverted-pendulum", steps=1_000_000, **TINY)
    written = disk.estimate(tested, probe(tested))

    def estimate(*seeds: int, step: int = 0, device: str = "cpu") -> int:
        return memory.estimate(Pack(tested, seeds, Path(), device, 300.0, "local"), step, written, 10**8)

    replay = written.record * tested.config.buffer_size
    assert replay < estimate(0, 1) - estimate(0) < 2 * replay
    assert replay < estimate(0, step=900_000) - estimate(0) <= 2 * replay  # it resumes from a copy
    assert estimate(0, device="cuda") < 10**8 + memory.GPU_PROCESS + replay


def test_an_environment_that_cannot_be_made_is_taken_for_a_heavy_one(monkeypatch):
    monkeypatch.setattr(memory, "_environments", {})
    assert (
        memory.environment_bytes(replace(budgeted("td3", "recsim"), env_keywords={"items": -3})) == memory.ENVIRONMENT
    )


def test_without_proc_the_peak_stands_for_what_is_held(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    assert memory.held() == (int(memory.peak_memory(torch.device("cpu"))), 0)


def test_the_most_that_is_held_at_a_time_counts_and_neither_views_nor_what_is_dropped():
    with memory.Made() as made:
        one = torch.empty(1_000)  # 4 000 bytes
        view, two = one.view(10, 100), torch.empty(2_000)
        view.fill_(0)
        del two
        three = torch.empty(500)
        assert made.held == 6_000
        del one, three
        assert made.held == 4_000, "the view still holds it"
        del view
    assert (made.peak, made.held) == (12_000, 0)


def test_what_is_kept_for_a_gradient_is_held():
    x = torch.ones(1_000, requires_grad=True)
    with memory.Made() as made:
        y = torch.exp(x)  # whose gradient needs y
        z = y + 1
        del y
        assert made.held == 8_000
        del z
        assert made.held == 0


def test_what_was_there_before_is_not_made():
    x = torch.ones(1_000)
    with memory.Made() as made:
        x.add_(1)
        torch.add(x, 1, out=x)
        x.view(10, 100)
    assert made.peak == 0


def test_an_agents_tensors_are_those_that_it_keeps_and_those_of_its_update():
    """Each network has a target, a gradient and two moments; with batch 1 an update holds little else."""
    trial = Trial(algos.get("td3"), config("td3", hidden=(64, 64), batch_size=1), Spaces(3, 2))
    networks = sum(trial.agent.networks[name].flat.nbytes for name in ("actor", "critic"))
    taken = memory.tensors(trial)
    assert 5 * networks < taken < 7 * networks
    assert memory.tensors(trial) == taken


def test_a_larger_batch_holds_more():
    small, large = (
        memory.tensors(Trial(algos.get("savo"), config("savo", batch_size=size), Spaces(3, 2))) for size in (8, 256)
    )
    assert large > 2 * small
