"""docs/architecture.md: its lists are those of the code, its paths within their budgets, its drawing complete."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
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
    page.write_text("<!-- reading: all -->\n<!-- end -->\n<!-- reading: own -->\n<!-- end -->\n")
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


def test_every_algorithm_has_a_path(reading):
    from savo_bench import algos

    paths = reading.tomllib.loads(reading.LISTS.read_text("utf-8"))
    assert {entry.name for entry in algos.BUILT_IN} <= set(paths)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_drawing_names_every_file(package: str):
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    drawing = set(page.split("```")[1].replace("/", " ").split())
    files = {file.stem for file in (ROOT / package).rglob("*.py") if file.name != "__init__.py"}
    assert files - drawing == set()
