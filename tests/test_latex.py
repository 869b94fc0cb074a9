"""Tables for papers, as wide and as long as a page has room."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from made_up_runs import fill
from pdflatex import COMPILER, compiled

from savo_bench.results import latex, page, plots, reference, sections
from savo_bench.results.arrangement import arrange
from savo_bench.results.findings import Findings, Options
from savo_bench.results.page import Section, Table

TASKS = [
    *(f"restricted-{name}" for name in ("hopper", "walker2d", "half-cheetah", "ant", "inverted-double-pendulum")),
    *(f"adroit-{name}-human" for name in ("door", "hammer", "pen", "relocate")),
    *("recsim:items=100000,history=10", "mineworld:tools=5", "movielens", "restricted-hopper:balls=990"),
]
VARIANTS = [
    *("cem", "ensemble", "ensemble:extra_actors=25", "greedy-ac", "savo", "savo:conditioning=none", "td3"),
    *("savo:summariser=transformer,noise_decay_steps=0", "td3:target_noise=0", "wolpertinger:dual=true"),
]


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """The tables of 13 tasks and 10 variants, with wide numbers; figures are not drawn."""
    root = tmp_path_factory.mktemp("grid") / "x"
    fill(root, TASKS, VARIANTS, seeds=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "bounds", lambda *_: reference.Bounds(-1e4, 1e4, "made up"))
        patch.setattr(plots, "rendered", lambda name, alt, _: page.Figure(name, alt, "", b""))
        for name in [name for name in dir(plots) if name.endswith("_figure")]:
            patch.setattr(plots, name, lambda *_, **__: None)
        arranged = arrange([root])
        arranged.runs.runs[["last10", "final", "area"]] *= -311.7
        found = Findings(arranged.root, arranged.runs, Options(), arranged)
        return [section for make in sections.SECTIONS if (section := make(found)) is not None]


def complaints(log):
    return re.findall(r"^(?:Overfull|LaTeX Warning: Float too large|! ).*$", log, re.MULTILINE)


def test_no_row_and_no_column_of_a_large_grid_is_lost(grid):
    text = latex.latex(grid)
    tables = {
        block.name: block for section in grid for block in section.blocks if isinstance(block, Table) and block.latex
    }
    assert {"scores", "paper", "improvement", "cost", "fields", "shared-fields", "tolerance", "aggregates"} <= set(
        tables
    )
    cells = [line.rstrip("\\ ").split(" & ") for line in text.splitlines() if line.endswith(r"\\") and " & " in line]
    assert sum("10 seeds" in line or "2 seeds" in line for line in map(" & ".join, cells)) >= 130
    name = tables["paper"].frame.columns[-1]
    for table in (tables["scores"], tables["paper"], tables["improvement"]):
        shown = table.frame[name] if table.name == "paper" else table.frame.iloc[:, -1]
        assert len(shown)
    values = [cell for row in cells for cell in row if re.fullmatch(r"\$-\$\d+ \[.*\]", cell)]
    written = [
        value
        for table in tables.values()
        for column in table.latex
        if column in table.frame and column != table.group
        for value in table.frame[column]
        if re.fullmatch(r"−\d+ \[.*\]", str(value))
    ]
    assert len(values) == len(written) >= 13 * 10 * 3


@pytest.mark.skipif(COMPILER is None, reason="no LaTeX is installed")
def test_a_large_grid_compiles_alone_and_in_a_paper_without_an_overfull_box(grid, tmp_path):
    text = latex.latex(grid)
    log = compiled(text, tmp_path)
    assert complaints(log) == []
    (tmp_path / "tables.tex").write_text(text)
    head = r"\documentclass{article}\usepackage[letterpaper,textwidth=5.5in,textheight=9in]{geometry}"
    body = r"\usepackage{booktabs,tabularx}\begin{document}A\input{tables}B\end{document}"
    assert complaints(compiled(head + body, tmp_path)) == []


@pytest.mark.skipif(COMPILER is None, reason="no LaTeX is installed")
def test_widths_are_reckoned_no_smaller_than_they_are(tmp_path):
    texts = [
        "5855 [4790, 6937]",
        "−0.93 [−0.97, −0.88]",
        "savo:extra_actors=5",
        "whom MWAQ%&",
        "ijl.,:;()",
        "73 % ± 9 ≥ ∞ δ",
    ]
    lines = [rf"\setbox0\hbox{{\footnotesize {latex._text(text)}}}\typeout{{width \the\wd0}}" for text in texts]
    log = compiled("\n".join([r"\documentclass{article}\begin{document}", *lines, r"x\end{document}"]), tmp_path)
    widths = [float(width) for width in re.findall(r"^width ([\d.]+)pt", log, re.MULTILINE)]
    assert len(widths) == len(texts)
    for text, width in zip(texts, widths, strict=True):
        assert width <= latex._width(text) <= 1.45 * width, text


def parts(frame, **of):
    """The floats of a table."""
    table = Table("t", "C.", frame, latex=tuple(frame.columns), **of)
    return re.findall(r"\\begin\{table\*\}.*?\\end\{table\*\}", latex.latex([Section("s", [table])]), re.DOTALL)


def test_a_long_table_is_continued_with_its_headings_and_one_number():
    frame = pd.DataFrame({"task": ["a"] * 70 + ["b"] * 30, "row": [f"r{i}" for i in range(100)], "x": ["1"] * 100})
    found = parts(frame, numbers=("x",), group="task")
    assert len(found) == 3
    assert re.findall(r"r\d+(?= & 1)", "".join(found)) == list(frame["row"])
    assert all("row & x" in part for part in found)
    assert [re.findall(r"textit\{(\w)\}", part) for part in found] == [["a"], ["a", "b"], ["b"]]
    assert ["addtocounter" in part for part in found] == [False, True, True]
    assert ["label" in part for part in found] == [True, False, False]


def test_a_wide_table_becomes_several_with_the_first_column_repeated():
    frame = pd.DataFrame({"variant": ["savo", "td3"]} | {f"task-{i}": ["5855 [4790, 6937]"] * 2 for i in range(13)})
    (found,) = parts(frame, numbers=tuple(frame.columns[1:]))
    tabulars = found.split(r"\begin{tabular}{")[1:]
    assert len(tabulars) > 1
    assert all("savo &" in each and "td3 &" in each for each in tabulars)
    assert all(f"task-{i}" in found for i in range(13))
    sizes = [each.count("task-") for each in tabulars]
    assert max(sizes) - min(sizes) <= max(sizes) - 1


def test_bold_cells_are_bold_in_all_three_documents():
    frame = pd.DataFrame({"variant": ["savo", "td3"], "a": ["9 [1, 20]", "8"]})
    table = Table("t", "C.", frame, ("a",), latex=("variant", "a"), bold={(0, "a")})
    section = Section("s", [table])
    assert r"savo & \textbf{9 [1, 20]} \\" in latex.latex([section])
    assert "| savo | **9 [1, 20]** |" in page.markdown("x", [section])
    html = page.web_page("x", [section])
    assert len(re.findall(r"<td class=n><strong>9", html)) == 1
    assert "<strong>8" not in html


def test_any_text_fits_its_column():
    rng = np.random.default_rng(0)
    letters = [*"abc:,=_- W", "noise_decay_steps=0"]
    for _ in range(200):
        text = "".join(rng.choice(letters, rng.integers(1, 30)))
        assert "".join(latex._parts(text)) == text
        least = max(map(latex._width, latex._words(text)))
        for width, lines in itertools.product((least, 2 * least), (latex._wrapped(text, least),)):
            assert all(latex._width(line) <= width + 3 for line in lines), (text, lines)
