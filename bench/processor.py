"""What the processor can do, and how it computes: one processor's name says neither.

Libraries choose their code by the processor, and the choice changes the last bits: a fused multiply-add rounds once
where two instructions round twice. So equality is not guessed from names or flags, which variables of the environment
can mask (GLIBC_TUNABLES, ATEN_CPU_CAPABILITY, NPY_DISABLE_CPU_FEATURES, OPENBLAS_CORETYPE, MKL_CBWR): some thousand
numbers are computed and their bits compared. MuJoCo computes with the C library's functions, as the module math does.
"""

import functools
import hashlib
import math
import platform
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

CPUINFO = Path("/proc/cpuinfo")
# Those that libraries choose their code by, in the order of their age: x86, then ARM.
FLAGS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512vl", "avx512_bf16", "amx_tile", "asimd", "sve", "sve2")
PROBES = 1_000  # ours: arguments for each function; a rounding that differs once in a hundred is found
DIGITS = 8  # ours: of each label, in hexadecimal


def processor() -> dict[str, Any]:
    """What is recorded of the processor, as JSON's own types: name, flags, torch's choice, arithmetic."""
    return {
        "name": name(),
        "flags": list(flags()),
        "capability": capability(),
        "arithmetic": arithmetic(),
    }


@functools.cache
def name() -> str:
    """The processor's name."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


@functools.cache
def flags() -> tuple[str, ...]:
    """Which of FLAGS the processor has; empty where the system does not say, as outside Linux."""
    known = _cpuinfo()
    has = f"{known.get('flags', '')} {known.get('Features', '')}".split()  # x86 and ARM
    return tuple(flag for flag in FLAGS if flag in has)


def _cpuinfo() -> dict[str, str]:
    """What the system says of the first processor, by field."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {field.strip(): value.strip() for field, _, value in (line.partition(":") for line in lines)}


def capability() -> str | None:
    """Which of its kernels torch uses on this processor, such as AVX512 or DEFAULT; None while torch is not loaded."""
    torch = sys.modules.get("torch")
    return None if torch is None else torch.backends.cpu.get_cpu_capability()


def arithmetic() -> str:
    """How this process computes: `libm 0a1b2c3d, numpy 4e5f6a7b, torch 8c9d0e1f`.

    Two processes in which all three are equal gave the same bits for every probe, so that the same training may be
    expected to give the same bits; where one differs, it must not. Without torch loaded, that part is missing.
    """
    parts = {"libm": _label(_libm()), "numpy": _label(_numpy())}
    if "torch" in sys.modules:
        parts["torch"] = _label(_torch(sys.modules["torch"]))
    return ", ".join(f"{library} {label}" for library, label in parts.items())


def _label(results: Iterator[bytes]) -> str:
    total = hashlib.sha256()
    for result in results:
        total.update(result)
    return total.hexdigest()[:DIGITS]


def _arguments(low: float, high: float, count: int = PROBES) -> list[float]:
    """Numbers that spread evenly over low .. high, by exact arithmetic and without a random generator's help."""
    golden = 0x9E3779B97F4A7C15  # 2^64 / φ: its multiples modulo 2^64 lie nowhere dense
    return [low + (high - low) * ((golden * index % 2**64 >> 11) * 2.0**-53) for index in range(1, count + 1)]


def _libm() -> Iterator[bytes]:
    """The C library's functions in double precision."""
    one: tuple[tuple[Callable[[float], float], float, float], ...] = (
        (math.sin, -10, 10),
        (math.cos, -10, 10),
        (math.tan, -10, 10),
        (math.asin, -1, 1),
        (math.acos, -1, 1),
        (math.atan, -10, 10),
        (math.sinh, -10, 10),
        (math.tanh, -3, 3),
        (math.exp, -20, 20),
        (math.expm1, -3, 3),
        (math.log, 1e-3, 100),
        (math.log1p, -0.9, 10),
        (math.sqrt, 0, 100),
    )
    for function, low, high in one:
        yield struct.pack(f"<{PROBES}d", *map(function, _arguments(low, high)))
    pairs = list(zip(_arguments(0.01, 10), reversed(_arguments(-5, 5)), strict=True))
    for of_two in (math.pow, math.atan2, math.hypot):
        yield struct.pack(f"<{PROBES}d", *(of_two(x, y) for x, y in pairs))


def _numpy() -> Iterator[bytes]:
    """NumPy's own functions, sums and products, in both precisions."""
    for dtype in (np.float32, np.float64):
        x = np.array(_arguments(-5, 5), dtype)
        for function in (np.sin, np.cos, np.tanh, np.exp, np.arctan, np.square):
            yield function(x).tobytes()
        for function in (np.log, np.sqrt, np.log1p):
            yield function(abs(x) + dtype(0.01)).tobytes()
        square = x[:900].reshape(30, 30)
        yield np.power(abs(square), square.T).tobytes()
        yield (square @ square.T).tobytes()
        yield (square @ square[0]).tobytes()
        for summary in (x.sum(), x.mean(), x.std(), np.linalg.norm(x)):
            yield np.asarray(summary).tobytes()


def _torch(torch: Any) -> Iterator[bytes]:
    """What networks are made of, on the CPU in single precision."""

    def bits(tensor: "torch.Tensor") -> bytes:
        return tensor.contiguous().numpy().tobytes()

    with torch.inference_mode():
        x = torch.tensor(_arguments(-5, 5), dtype=torch.float32, device="cpu")
        for function in (torch.tanh, torch.exp, torch.sigmoid, torch.erf, torch.nn.functional.softplus):
            yield bits(function(x))
        for function in (torch.log, torch.sqrt, torch.rsqrt):
            yield bits(function(x.abs() + 0.01))
        yield bits(torch.addcdiv(x, x, x.abs() + 1, value=0.3))  # Adam's step
        yield bits(torch.lerp(x, x.flip(0), 0.005))  # a target that follows
        for reduced in (x.sum(), x.mean(), x.norm(), x.softmax(0), x.logsumexp(0)):
            yield bits(reduced)
        # Layers of a stack, (S, B, I) times (S, I, O); odd widths too, as kernels treat the rest of a row otherwise.
        for S, B, I, O in ((1, 16, 30, 2), (2, 17, 13, 5), (1, 8, 64, 64)):
            inputs = torch.tensor(_arguments(-1, 1, S * B * I), dtype=torch.float32, device="cpu").view(S, B, I)
            weights = torch.tensor(_arguments(-0.3, 0.3, S * I * O), dtype=torch.float32, device="cpu").view(S, I, O)
            bias = weights[:, :1]
            yield bits(inputs @ weights)
            yield bits(torch.baddbmm(bias, inputs, weights))
            yield bits(torch.nn.functional.layer_norm(inputs, (I,)))
