"""What a training records of its cost."""

import torch
from small_runs import cell, pack, status

from savo_bench.bench import memory, train


def test_a_training_records_memory_latency_and_weights(tmp_path):
    job = pack(tmp_path, cell("td3", steps=150), 0, 1)
    train.train_pack(job)
    for seed in (0, 1):
        found = status(job.folder(seed))
        saved = torch.load(job.folder(seed) / "policy.pt")
        assert found["parameters"] == sum(saved[name].numel() for name in saved if name != "spec")
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
