"""Sections of a report, and how they become a web page and Markdown; LaTeX is in `latex`.

A `Section` holds blocks in reading order: texts, tables and figures. Texts are written in a small part of Markdown:
`code`, **bold** and [links](#anchor). A value from a run goes into a table's cell or through `code` or `literal`, so
that no name and no message becomes markup.

The page is filled in from templates/page.html.jinja, with page.css and page.js copied into it.
"""

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from savo_bench.results import palette

TEMPLATES = Path(__file__).parent / "templates"
_ENLARGED = 1.4  # ours: figures are this much larger on a screen than in a paper
_INLINE = MarkdownIt("zero").enable(["backticks", "emphasis", "escape", "link"])
_BRACKET = re.compile(r"\[[−\d.,∞ ]+\](?: %)?")  # an interval, which no line may break
_AFTER = re.compile(r"(?<=[:,=])(?=[^\s\d])")  # where a variant's long name may be broken


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Note:
    """A paragraph that readers must see before the numbers."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of one-line paragraphs."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        name: Its id in the page, and its label in LaTeX.
        caption: A sentence above the table.
        frame: The cells, all text.
        numbers: Columns that are right-aligned, and sorted by the number at the start of each cell.
        faded: Per row, whether the row is incomplete; None if all rows are complete.
        latex: The columns of the LaTeX table, in order; empty for no LaTeX table.
        group: A column whose values become headings between the rows, on the page and in LaTeX. On the page a column
            `environment` does so without being named.
        folded: What a reader clicks to see the table on the page; None if it is open. In print every table is open.
        bold: The cells in bold, by the number of their row and their column.
    """

    name: str
    caption: str
    frame: pd.DataFrame
    numbers: Sequence[str] = ()
    faded: Sequence[bool] | None = None
    latex: Sequence[str] = ()
    group: str | None = None
    folded: str | None = None
    bold: Collection[tuple[int, str]] = ()

    @property
    def columns(self) -> list[str]:
        """The names of its columns on the page, without the one whose values are headings."""
        return [str(name) for name in self.frame.columns if name != self._headings]

    @property
    def _headings(self) -> str | None:
        """The column whose values are headings on the page."""
        return self.group or next((name for name in ("environment",) if name in self.frame), None)

    def is_faded(self, row: int) -> bool:
        """Whether a row is incomplete."""
        return self.faded is not None and bool(self.faded[row])

    def _cell(self, row: int, column: str, value: object) -> str:
        """A cell on one line, as the page shows it."""
        shown = one_line(value)
        return Markup("<strong>{}</strong>").format(shown) if (row, column) in self.bold else shown

    def groups(self) -> list[tuple[str | None, list[tuple[list[str], bool]]]]:
        """Its rows by heading, in the order in which headings first appear: the cells, and whether it is incomplete."""
        found: dict[str | None, list[tuple[list[str], bool]]] = {}
        for index, row in enumerate(self.frame.to_dict("records")):
            heading = None if self._headings is None else one_line(row[self._headings])
            cells = [self._cell(index, str(name), row[name]) for name in row if name != self._headings]
            found.setdefault(heading, []).append((cells, self.is_faded(index)))
        return list(found.items())


@dataclass(frozen=True)
class Figure:
    """A figure, drawn: `plots.rendered` makes one. It becomes figures/NAME.svg, NAME.png and NAME.pdf.

    Attributes:
        name: The name of its files.
        alt: What it shows, in words.
        svg: The SVG file.
        png: The PNG file.
        pdf: The PDF file; empty for none.
        drawing: The matplotlib figure that it is of, for notebooks; None if it was not drawn here.
    """

    name: str
    alt: str
    svg: str
    png: bytes
    pdf: bytes = b""
    drawing: Any = field(default=None, compare=False, repr=False)

    @property
    def caption(self) -> str:
        """What it shows, on one line."""
        return " ".join(self.alt.split())


@dataclass(frozen=True)
class Gallery:
    """Figures side by side, as far as there is room."""

    figures: Sequence[Figure]


Block = Text | Note | Bullets | Table | Figure | Gallery


@dataclass(frozen=True)
class Section:
    """One topic of a report: what readers see of it, and its numbers.

    Attributes:
        title: Its heading; empty for the opening section, which has none.
        blocks: In reading order.
        data: Frames of numbers, by name: each becomes tables/NAME.csv.
        only_files: Figures that are written beside the page and not shown in it.
    """

    title: str
    blocks: Sequence[Block]
    data: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    only_files: Sequence[Figure] = ()

    @property
    def anchor(self) -> str:
        """Its id in the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    @property
    def figures(self) -> list[Figure]:
        """All its figures."""
        shown = [block.figures if isinstance(block, Gallery) else [block] for block in self.blocks]
        return [block for block in itertools.chain(*shown, self.only_files) if isinstance(block, Figure)]


def code(value: object) -> str:
    """Any text as a code span, on one line."""
    shown = one_line(value) or " "
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{ticks} {shown} {ticks}" if "`" in shown else f"`{shown}`"


def literal(value: object) -> str:
    """Any text on one line, escaped where it would be markup."""
    return re.sub(r"([\\`*\[\]<&]|(?<!\w)_|_(?!\w))", r"\\\1", one_line(value))


def one_line(value: object) -> str:
    """Any text on one line, with unprintable characters replaced."""
    return "".join(x if x.isprintable() else "\N{REPLACEMENT CHARACTER}" for x in " ".join(str(value).split()))


def plain(text: str) -> str:
    """A text without its markup, for a terminal."""
    return in_markup(text, str, {})


def html_inline(text: str) -> Markup:
    """A text as HTML, in which no line breaks an interval."""
    return Markup(_INLINE.renderInline(text))


def _html_text(text: str) -> Markup:
    """Text without markup as HTML, in which no line breaks an interval."""
    return Markup(_BRACKET.sub(r"<span class=i>\g<0></span>", str(escape(text))))


def _html_name(text: str) -> Markup:
    """A cell of text as HTML, in which a line may break a long name, as of a variant, between its fields."""
    parts = [text] if " " in text else _AFTER.split(text)
    return Markup("<wbr>").join(map(_html_text, parts))


_INLINE.add_render_rule("text", lambda _, tokens, index, *__: _html_text(tokens[index].content))


def in_markup(text: str, escaped: Callable[[str], str], marks: Mapping[str, str]) -> str:
    """A text in another markup: `marks` has what to write for a token's type, such as code_inline or strong_open."""
    parts = []
    for token in _INLINE.parseInline(text)[0].children or ():
        shown = escaped(token.content)
        parts.append(marks[token.type].format(shown) if token.type in marks else shown)
    return "".join(parts)


def web_page(title: str, sections: Iterable[Section], reload: int | None = None) -> str:
    """The report as one HTML file that loads nothing from outside itself.

    Args:
        title: Its heading, any text.
        sections: What it shows.
        reload: After how many seconds an open page reads its file again; None for never.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    for kind in (Text, Note, Bullets, Table, Figure, Gallery):
        environment.tests[kind.__name__.lower()] = lambda block, kind=kind: isinstance(block, kind)
    count = itertools.count()
    environment.filters |= {"inline": html_inline, "number": _html_text, "name": _html_name}
    environment.filters["inline_svg"] = lambda figure: _inline_svg(figure.svg, f"f{next(count)}-", figure.caption)
    css, js = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    page, shown = environment.get_template("page.html.jinja"), list(sections)
    css += palette.css(palette.in_page(figure.svg) for section in shown for figure in section.figures)
    return page.render(title=title, sections=shown, css=css, js=js, reload=reload) + "\n"


def _inline_svg(svg: str, prefix: str, alt: str) -> Markup:
    """A matplotlib SVG for a page that holds others: with ids of its own, and in the page's colours."""
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->|<\?.*?\?>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{prefix}", svg)
    svg = palette.in_page(svg)
    opening, _, drawing = svg[svg.index("<svg") :].partition(">")
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', opening)
    assert size is not None, "matplotlib writes a viewBox"
    width = _ENLARGED * float(size[1]) / 72  # of 72 points an inch
    namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    attributes = f'{namespaces} {size[0]} role="img" aria-label="{escape(alt)}" style="max-width:{width:.2f}in"'
    return Markup(f"<svg {attributes}>{drawing.strip()}")


def markdown(title: str, sections: Iterable[Section]) -> str:
    """The report as Markdown, which links the figures' files. The title is any text."""
    parts = [f"# {literal(title)}"]
    for section in sections:
        parts += [f"## {section.title}"] if section.title else []
        for block in section.blocks:
            parts += _markdown_block(block)
    return "\n\n".join(parts) + "\n"


def _markdown_block(block: Block) -> list[str]:
    match block:
        case Text():
            return [block.text]
        case Note():
            return [f"> {block.text}"]
        case Bullets():
            return ["\n".join(f"- {line}" for line in block.lines)]
        case Table():
            return [block.caption, markdown_table(block.frame, block.numbers, block.bold)]
        case Figure():
            return [_markdown_figure(block)]
        case Gallery():
            return [_markdown_figure(figure) for figure in block.figures]


def markdown_table(frame: pd.DataFrame, numbers: Sequence[str] = (), bold: Collection[tuple[int, str]] = ()) -> str:
    """A frame of text as a table in Markdown; `bold` has the cells in bold as `Table.bold` does."""
    names = [str(name) for name in frame.columns]
    rows = [list(map(_markdown_cell, names)), ["---:" if name in numbers else "---" for name in names]]
    for index, row in enumerate(frame.to_numpy().tolist()):
        cells = [_markdown_cell(str(cell)) for cell in row]
        rows.append([f"**{c}**" if (index, name) in bold else c for name, c in zip(names, cells, strict=True)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _markdown_cell(text: str) -> str:
    # Of brackets only those of a link: intervals stay as they are.
    escaped = re.sub(r"([\\|`*]|\](?=[(\[])|(?<!\w)_|_(?!\w))", r"\\\1", one_line(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def _markdown_figure(figure: Figure) -> str:
    alt = re.sub(r"[\s\[\]]+", " ", figure.alt)
    return f"![{literal(alt)}](figures/{figure.name}.svg)"
