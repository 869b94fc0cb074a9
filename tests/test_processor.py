"""What the processor can do: masked as a user's environment may mask it, in processes of their own."""

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from savo_bench.bench import processor

ROOT = Path(__file__).parent.parent
NO_FMA = "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX,-FMA4,-AVX2_Usable,-FMA_Usable"
NO_AVX512 = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ"
# Episodes of an environment with long chaotic ones, to the last bit.
EPISODES = """
import hashlib
import numpy as np
from savo_bench import envs
env, digest = envs.make("restricted-ant"), hashlib.sha256()
obs, _ = env.reset(seed=0)
env.action_space.seed(0)
for _ in range(150):
    obs, reward, terminated, *_ = env.step(env.action_space.sample())
    digest.update(np.float64(reward).tobytes() + obs.tobytes())
    if terminated:
        env.reset()
print(digest.hexdigest())
"""
# Sums and products as a network has them, in another size than the probes.
NETWORK = """
import hashlib, torch
torch.manual_seed(0)
x, w = torch.randn(2, 32, 40), torch.randn(2, 40, 40)
for _ in range(20):
    x = torch.tanh(x @ w * 0.3)
print(hashlib.sha256(x.numpy().tobytes()).hexdigest())
"""


@functools.cache  # a process takes seconds, and several tests want the same
def python(code: str, **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def parts(**variables: str) -> dict[str, str]:
    """The label of each library, in a process with these variables."""
    code = "import torch; from savo_bench.bench.processor import arithmetic; print(arithmetic())"
    return dict(part.split() for part in python(code, **variables).split(","))


@pytest.fixture(scope="module")
def ordinary() -> dict[str, str]:
    return parts()


def test_the_label_names_each_library_that_computes(ordinary):
    assert list(ordinary) == ["libm", "numpy", "torch"]
    assert all(re.fullmatch("[0-9a-f]{8}", label) for label in ordinary.values())


def test_without_torch_its_part_is_missing_and_nothing_is_loaded(ordinary):
    code = (
        "import sys; from savo_bench.bench.processor import processor\n"
        "print(__import__('json').dumps([processor(), 'torch' in sys.modules]))"
    )
    found, loaded = json.loads(python(code))
    assert not loaded
    assert found["capability"] is None
    assert found["arithmetic"] == f"libm {ordinary['libm']}, numpy {ordinary['numpy']}"
    assert found["name"]


def test_the_label_is_the_same_again_whatever_the_threads_and_with_denormals_flushed():
    code = """
import torch
from savo_bench.bench.processor import arithmetic
found = {arithmetic()}
for threads in (1, 2):
    torch.set_num_threads(threads)
    for flush in (True, False):
        torch.set_flush_denormal(flush)
        found |= {arithmetic(), arithmetic()}
torch.set_default_dtype(torch.float64)
torch.manual_seed(3)
found.add(arithmetic())
print(len(found))
"""
    assert python(code, OMP_NUM_THREADS="2").strip() == "1"


@pytest.mark.parametrize(
    ("variables", "part", "work"),
    [
        ({"GLIBC_TUNABLES": NO_FMA}, "libm", EPISODES),
        ({"GLIBC_TUNABLES": NO_AVX512}, "libm", EPISODES),
        ({"ATEN_CPU_CAPABILITY": "default"}, "torch", NETWORK),
        ({"ATEN_CPU_CAPABILITY": "avx2"}, "torch", NETWORK),
        ({"MKL_CBWR": "COMPATIBLE"}, "torch", NETWORK),
        ({"MKL_ENABLE_INSTRUCTIONS": "AVX2"}, "torch", NETWORK),
    ],
    ids=["libm-without-fma", "libm-without-avx512", "torch-default", "torch-avx2", "mkl-compatible", "mkl-avx2"],
)
def test_where_results_differ_the_label_differs(ordinary, variables, part, work):
    if python(work) == python(work, **variables):
        pytest.skip(f"on this machine nothing computes differently with {variables}")
    assert parts(**variables)[part] != ordinary[part]


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        ({"GLIBC_TUNABLES": NO_FMA}, "libm"),
        ({"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX2 FMA3 AVX512F AVX512_SKX"}, "numpy"),
        ({"OPENBLAS_CORETYPE": "Haswell"}, "numpy"),
        ({"ATEN_CPU_CAPABILITY": "default"}, "torch"),
        ({"MKL_CBWR": "COMPATIBLE"}, "torch"),
    ],
    ids=["libm", "numpy", "openblas", "torch", "mkl"],
)
def test_what_is_masked_for_one_library_shows_in_its_part(ordinary, variables, part):
    masked = parts(**variables)
    if masked == ordinary:
        pytest.skip(f"on this machine nothing computes differently with {variables}")
    assert masked[part] != ordinary[part]


def test_torch_names_its_capability():
    code = "import torch; from savo_bench.bench.processor import capability; print(capability())"
    assert python(code, ATEN_CPU_CAPABILITY="default").strip() in ("DEFAULT", "NO AVX")


@pytest.mark.parametrize(
    ("text", "name", "flags"),
    [
        ("model name\t: AMD EPYC\nflags\t\t: fpu avx fma avx2\n\nmodel name\t: other\n", "AMD EPYC", "avx avx2 fma"),
        ("processor\t: 0\nFeatures\t: fp asimd sve\nCPU part\t: 0xd40\n", None, "asimd sve"),
        ("", None, ""),
    ],
    ids=["x86", "arm", "nothing"],
)
def test_name_and_flags_come_from_the_system(tmp_path, monkeypatch, text, name, flags):
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(text)
    processor.name.cache_clear()
    processor.flags.cache_clear()
    try:
        assert processor.name() == name or (name is None and processor.name())
        assert " ".join(processor.flags()) == flags
        (tmp_path / "cpuinfo").unlink()
        processor.flags.cache_clear()
        assert processor.flags() == ()
    finally:
        processor.name.cache_clear()
        processor.flags.cache_clear()
