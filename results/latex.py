"""The tables of a report that papers print, as LaTeX that can be compiled alone or read into a paper.

LaTeX breaks neither a table that is too wide nor one that is too long. So the widths of all cells are reckoned here:
words are wrapped, a table with more columns than a page holds becomes several below each other with the first column
repeated, and one with more rows is continued on the next page. No column and no row is lost.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from savo_bench.results.page import Section, Table, in_markup, one_line

_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$",
    "−": "$-$", "–": "--", "±": r"$\pm$", "∞": r"$\infty$", "≥": r"$\geq$", "≤": r"$\leq$", "×": r"$\times$",
    "Ψ̂": r"$\hat\Psi$", "Ψ": r"$\Psi$", "δ": r"$\delta$", "₁": "$_1$", "“": "``", "”": "''", "…": r"\dots{}",
}  # fmt: skip
_MARKS = {"code_inline": r"\texttt{{{}}}", "strong_open": r"\textbf{{", "strong_close": "}}"}
_HEAD = r"""% Tables of a report, for \input into a paper that has \usepackage{booktabs,tabularx}.
% Compiled alone it is a document of its own.
\makeatletter
\ifx\@nodocument\relax\else
\documentclass{article}
\usepackage[a4paper,margin=2.5cm]{geometry}
\usepackage{booktabs,tabularx}
\begin{document}
\def\endofreport{\end{document}}
\fi
\makeatother
"""
_FOOT = r"""
\ifdefined\endofreport\expandafter\endofreport\fi
"""
_BETWEEN = "\\ifdefined\\endofreport\\clearpage\\fi\n"  # alone no text is between tables, and they wait for room

_PAGE = 397.0  # points, the width of a page of NeurIPS, ICLR and RLC; ICML's and this document's are wider
_LINES = 46  # of a part of a table, with its headings: what fits on such a page below a caption of some lines
_GAP = 8.0  # points between columns: twice \tabcolsep
_NARROW = 56.0  # points: a column of text is no narrower, unless nothing in it is wider. ours: a dozen letters
_HEADING = 70.0  # points that a heading of numbers may have beyond them
_WAITING = 8  # parts of tables. ours: LaTeX has room for 18 of them to wait for a page
_LONG = 14  # letters of a word that may be broken anywhere
# Widths of letters in points, of Computer Modern at 8 points, rounded up; others are as wide as the last
_WIDTHS = (("ijl.,:;'|![]()/", 2.6), (" ", 2.9), ("ftrsI-", 3.6), ("acekvxzy0123456789", 4.3), ("bdghnopqu_–*", 4.8))
_WIDE, _BOLD = 7.3, 1.16
_BREAK = re.compile(r"(?<=[,:=_/\-–])(?=[^\s\d])|(?<=[,:=])(?=\S)|\s+")  # where a cell of text may be broken


class _Column(NamedTuple):
    """A column of a LaTeX table; widths in points."""

    name: str
    number: bool
    least: float  # so narrow it may be
    full: float  # so wide it need not be broken


class _Row(NamedTuple):
    """A line of a table, as LaTeX, and how many lines of text it takes; `heading` is that of its group."""

    latex: str
    lines: int
    heading: str | None


def latex(sections: Iterable[Section]) -> str:
    """The tables with columns for papers."""
    tables = [
        part
        for section in sections
        for block in section.blocks
        if isinstance(block, Table) and block.latex and len(block.frame)
        for part in _table(block)
    ]
    waiting = [tables[first : first + _WAITING] for first in range(0, len(tables), _WAITING)]
    return _HEAD + _BETWEEN.join("\n".join(parts) for parts in waiting) + _FOOT


def _table(table: Table) -> list[str]:
    """A table as one float or several."""
    columns = [name for name in table.latex if name in table.frame and name != table.group]
    pieces = [piece for block in _blocks(table, columns) for piece in _pieces(table, block)]
    dagger = r" $^\dagger$~Not all seeds are done." if table.faded is not None and any(table.faded) else ""
    caption = in_markup(table.caption, _text, _MARKS)
    parts = []
    for number, part in enumerate(_packed(pieces)):
        first = rf"\caption{{{caption}{dagger}}}" + "\n" + rf"\label{{tab:{table.name}}}"
        again = "\\addtocounter{table}{-1}\n\\caption{(continued)}"
        body = "\n\\par\\medskip\n".join(latex for latex, _ in part)
        setting = r"\centering\footnotesize\setlength{\tabcolsep}{4pt}"
        lines = [r"\begin{table*}[htbp]", setting, again if number else first, r"\par\smallskip", body, r"\end{table*}"]
        parts.append("\n".join(lines) + "\n")
    return parts


def _packed(pieces: Iterable[tuple[str, int]]) -> list[list[tuple[str, int]]]:
    """Pieces in parts of at most as many lines as fit on a page."""
    parts: list[list[tuple[str, int]]] = []
    for piece in pieces:
        if parts and sum(lines for _, lines in parts[-1]) + piece[1] <= _LINES:
            parts[-1].append(piece)
        else:
            parts.append([piece])
    return parts


def _blocks(table: Table, names: Sequence[str]) -> list[list[_Column]]:
    """The columns in groups that fit on a page, each with the first column, as even as may be."""
    key, *others = [_column(table, name) for name in names]
    groups: list[list[_Column]] = [[]]
    for column in others:
        if groups[-1] and not _fits([key, *groups[-1], column]):
            groups.append([])
        groups[-1].append(column)
    even = -(-len(others) // len(groups))
    evened = [others[first : first + even] for first in range(0, len(others), even)] or [[]]
    fit = all(_fits([key, *group]) for group in evened)
    return [[key, *group] for group in (evened if fit else groups)]


def _column(table: Table, name: str) -> _Column:
    number = name in table.numbers
    bold = {row for row, column in table.bold if column == name}
    cells = [_width(one_line(cell)) * (_BOLD if row in bold else 1) for row, cell in enumerate(table.frame[name])]
    head = max(map(_width, _words(name)))
    if number:
        return _Column(name, True, max(*cells, head), max(*cells, min(_width(name), _HEADING), head))
    words = [_width(word) for cell in table.frame[name] for word in _words(one_line(cell))]
    full = max(*cells, head) + (5 if table.faded is not None else 0)  # of a dagger
    return _Column(name, False, min(full, max(*words, head, _NARROW)), full)


def _fits(columns: Sequence[_Column]) -> bool:
    return sum(column.least for column in columns) + _GAP * (len(columns) - 1) <= _PAGE


def _widths(columns: Sequence[_Column]) -> list[float]:
    """The width of each column: what is left of the page goes to text that must be broken."""
    left = max(0.0, _PAGE - _GAP * (len(columns) - 1) - sum(column.least for column in columns))
    wanted = sum(column.full - column.least for column in columns)
    share = min(1.0, left / wanted) if wanted else 0.0
    return [column.least + share * (column.full - column.least) for column in columns]


def _pieces(table: Table, columns: Sequence[_Column]) -> Iterator[tuple[str, int]]:
    """Tables of these columns with at most as many lines as a page has, each with the number of its lines."""
    widths = _widths(columns)
    kinds = "".join(
        "r" if column.number else rf">{{\raggedright\arraybackslash}}p{{{width:.1f}pt}}"
        for column, width in zip(columns, widths, strict=True)
    )
    heads = [_wrapped(column.name, width) for column, width in zip(columns, widths, strict=True)]
    head = " & ".join(_head(lines, column.number) for lines, column in zip(heads, columns, strict=True))
    taken = max(map(len, heads)) + 2  # and the rules
    rows = list(_rows(table, columns, widths))
    while rows:
        body: list[str] = []
        lines, heading, number = taken, None, 0
        for row in rows:
            new = row.heading is not None and row.heading != heading
            if body and lines + row.lines + 2 * new > _LINES:
                break
            if new:
                body += [r"\addlinespace"] * bool(body)
                body.append(rf"\multicolumn{{{len(columns)}}}{{@{{}}l}}{{\textit{{{_text(row.heading)}}}}} \\")
            body.append(row.latex)
            lines, heading, number = lines + row.lines + 2 * new, row.heading, number + 1
        rows = rows[number:]
        yield (
            "\n".join([
                rf"\begin{{tabular}}{{@{{}}{kinds}@{{}}}}", r"\toprule", head + r" \\", r"\midrule",
                *body, r"\bottomrule", r"\end{tabular}",
            ]),
            lines,
        )  # fmt: skip


def _rows(table: Table, columns: Sequence[_Column], widths: Sequence[float]) -> Iterator[_Row]:
    for index, row in enumerate(table.frame.to_dict("records")):
        cells, lines = [], [1]
        for column, width in zip(columns, widths, strict=True):
            shown = one_line(row[column.name])
            latex = _text(shown) if column.number else r"\allowbreak{}".join(map(_text, _parts(shown)))
            cells.append(rf"\textbf{{{latex}}}" if (index, column.name) in table.bold else latex)
            lines += [] if column.number else [len(_wrapped(shown, width))]
        cells[0] += r"$^\dagger$" * table.is_faded(index)
        yield _Row(" & ".join(cells) + r" \\", max(lines), str(row[table.group]) if table.group else None)


def _head(lines: Sequence[str], number: bool) -> str:
    """A heading of some lines; the first lines of all columns stand side by side."""
    texts = [_text(line) for line in lines]
    if len(texts) == 1:
        return texts[0]
    stacked = r" \\ ".join(texts)
    return rf"\begin{{tabular}}[t]{{@{{}}{'r' if number else 'l'}@{{}}}}{stacked}\end{{tabular}}"


def _parts(text: str) -> list[str]:
    """A text in pieces between which it may be broken; spaces stay in their piece."""
    ends = [match.start() for match in _BREAK.finditer(text) if not match.group()]
    pieces = [text[a:b] for a, b in itertools.pairwise([0, *ends, len(text)])]
    return [part for piece in pieces for part in _short(piece)]


def _words(text: str) -> list[str]:
    """The pieces of a text between which it may be broken, without spaces."""
    return [part for piece in _BREAK.split(text) if piece for part in _short(piece)] or [""]


def _short(piece: str) -> list[str]:
    """A piece as it is, or what is long in it in parts of some letters."""
    longest = max(map(len, piece.split() or [""]))
    return [piece] if longest <= _LONG else [piece[at : at + _LONG] for at in range(0, len(piece), _LONG)]


def _wrapped(text: str, width: float) -> list[str]:
    """A text in lines that are no wider than so many points, but for single words."""
    lines = [""]
    for part in re.findall(r"\S+\s*", " ".join(text.split())):
        for piece in _parts(part):
            if lines[-1] and _width((lines[-1] + piece).rstrip()) > width + 0.01:
                lines[-1] = lines[-1].rstrip()
                lines.append("")
            lines[-1] += piece
    return lines


def _width(text: str) -> float:
    """How wide a text is in a table, in points."""
    return sum(next((width for letters, width in _WIDTHS if letter in letters), _WIDE) for letter in text)


def _text(text: object) -> str:
    """Any text as LaTeX; a letter that LaTeX may not know becomes a question mark."""
    letters = re.findall("Ψ̂|.", re.sub(r"\s+", " ", str(text)))  # that one is two characters
    known = [str(_SIGNS.get(letter, letter)) for letter in letters]
    return "".join(part if part.isascii() or "À" <= part <= "ÿ" else "?" for part in known)
