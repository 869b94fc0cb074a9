"""docs/architecture.md: its lists are those of the code, its paths within their budgets, its drawing complete."""

import ast
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from savo_bench import algos

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = ("algos", "bench", "envs", "results")


@pytest.fixture
def reading(monkeypatch) -> ModuleType:
    """The script docs/reading.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("reading", ROOT / "docs" / "reading.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "reading", module)
    spec.loader.exec_module(module)
    return module


def test_the_lists_are_true_and_the_paths_within_their_budgets(reading, capsys):
    assert reading.main(["--check"]) == 0, capsys.readouterr().err


def test_a_path_beyond_its_budget_and_a_page_out_of_date_are_found(reading, tmp_path, monkeypatch, capsys):
    lists, page = tmp_path / "reading.toml", tmp_path / "page.md"
    lists.write_text('[own]\ntitle = "Own"\nfiles = 1\nlines = 5\nread = ["algos/td3.py"]\n')
    page.write_text("".join(f"<!-- reading: {name} -->\n<!-- end -->\n" for name in ("all", "algorithms", "own")))
    monkeypatch.setattr(reading, "LISTS", lists)
    monkeypatch.setattr(reading, "PAGE", page)
    assert reading.main(["--check"]) == 1
    error = capsys.readouterr().err
    assert "Own is longer than its budget" in error
    assert "page.md is out of date" in error
    assert reading.main([]) == 1  # it renews the page, and the path stays too long
    lists.write_text(lists.read_text().replace("lines = 5", "lines = 500"))
    reading.main([])
    assert reading.main(["--check"]) == 0
    lists.write_text(lists.read_text().replace("algos/td3.py", "algos/td3.py: TD3, TD4"))
    with pytest.raises(KeyError, match=r"algos/td3.py has no TD4"):
        reading.main([])


SOURCE = '''"""A module

of some lines.
"""

import math

SIZE = 3


class Box:
    """A box."""

    side: int

    @property
    def area(self) -> int:
        """Its area."""
        return self.side**2


def twice(x: int) -> int:
    return 2 * x
'''


def test_lines_are_counted(reading, tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(SOURCE)
    monkeypatch.setattr(reading, "ROOT", tmp_path)

    def lines(*entries: str) -> int:
        return reading.count([reading.stop(entry) for entry in entries]).lines

    assert lines("own.py: twice") == 2
    assert lines("own.py: Box") == 9
    assert lines("own.py: Box.area") == 4 + 2  # with its decorator, and the head and docstring of the class
    assert lines("own.py: SIZE") == 1
    assert lines("own.py: Box.area, Box", "own.py: Box.side") == 9  # a line that several entries need counts once
    assert lines("own.py") == 4 + 1 + 9 + 2  # neither imports nor empty lines between definitions
    assert reading.stop("own.py: Box.area").says == ["Its area."]
    assert reading.names(reading.stop("own.py: twice, Box.side, Box.area")) == "`twice`, `Box` (`side`, `area`)"


def test_the_list_of_algorithms_is_that_of_the_registry(reading):
    found = [(name, description) for name, _, description in reading.algorithms()]
    assert found == [(entry.name, entry.description) for entry in algos.BUILT_IN]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_drawing_names_every_file(package: str):
    drawing = set(PAGE.read_text("utf-8").split("```")[1].replace("/", " ").split())
    for folder in (file.parent for file in (ROOT / package).rglob("__init__.py")):
        files = {file.stem for file in folder.glob("*.py") if file.name != "__init__.py"}
        statements = ast.parse((folder / "__init__.py").read_text("utf-8")).body[1:]
        registered = set(re.findall(r"\w+", "\n".join(map(ast.unparse, statements))))
        assert files - registered - drawing == set(), folder
