"""One document, three renderings: blocks of text, tables and figures as a self-contained web page, Markdown and LaTeX.

Texts are written in a little of Markdown: `code`, **bold**, [links](#anchor). Whatever comes from a run goes through
`code` or into a table's cell, so that no name and no message can break a page.
"""

import html
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

_INLINE = re.compile(
    r"(?P<tick>`+)(?P<code>.+?)(?<!`)(?P=tick)(?!`)|\*\*(?P<bold>.+?)\*\*|\[(?P<text>[^]]*)\]\((?P<link>[^)]*)\)"
)


@dataclass(frozen=True)
class Heading:
    """The title of a section."""

    text: str

    @property
    def anchor(self) -> str:
        """Its id in the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.text.lower()).strip("-")


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Note:
    """What a reader must know before the numbers."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list of paragraphs."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        name: Its id, and the label in LaTeX.
        caption: A sentence.
        frame: The cells, all text.
        numbers: Columns that are right-aligned and sorted by the number that they begin with.
        faded: Per row, whether the row is incomplete; None if all are complete.
        latex: The columns that the LaTeX table has, in this order; empty for no LaTeX table.
        group: A column of the LaTeX table whose values become headings between the rows.
    """

    name: str
    caption: str
    frame: pd.DataFrame
    numbers: Sequence[str] = ()
    faded: Sequence[bool] | None = None
    latex: Sequence[str] = ()
    group: str | None = None

    def is_faded(self, row: int) -> bool:
        """Whether a row is incomplete."""
        return self.faded is not None and bool(self.faded[row])


@dataclass(frozen=True)
class Figure:
    """A picture, as files figures/NAME.svg and .png, and as the text of the SVG file."""

    name: str
    alt: str
    svg: str


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side, where there is room."""

    figures: Sequence[Figure]


Block = Heading | Text | Note | Items | Table | Figure | Gallery


def code(value: object) -> str:
    """Any text as a code span, on one line."""
    shown = one_line(value) or " "
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{ticks} {shown} {ticks}" if "`" in shown else f"`{shown}`"


def one_line(value: object) -> str:
    """Any text on one line, without characters that only a terminal knows."""
    return "".join(x if x.isprintable() else "\N{REPLACEMENT CHARACTER}" for x in " ".join(str(value).split()))


def plain(text: str) -> str:
    """A text without its markup, for a terminal."""
    return _spans(text, str, str, str, lambda x, _: x)


# ---- Markdown


def markdown(title: str, blocks: Iterable[Block]) -> str:
    """The document as Markdown, which names the figures' files."""
    parts = [f"# {title}"]
    for block in blocks:
        match block:
            case Heading():
                parts.append(f"## {block.text}")
            case Text():
                parts.append(block.text)
            case Note():
                parts.append(f"> {block.text}")
            case Items():
                parts.append("\n".join(f"- {item}" for item in block.items))
            case Table():
                parts += [block.caption, markdown_table(block.frame, block.numbers)]
            case Figure():
                parts.append(_markdown_figure(block))
            case Gallery():
                parts += [_markdown_figure(figure) for figure in block.figures]
    return "\n\n".join(parts) + "\n"


def markdown_table(frame: pd.DataFrame, numbers: Sequence[str] = ()) -> str:
    """A frame of text as a table in Markdown."""
    lines = [list(frame.columns), ["---:" if name in numbers else "---" for name in frame.columns]]
    rows = [*lines, *frame.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(_markdown_cell(str(cell)) for cell in row) + " |" for row in rows)


def _markdown_cell(text: str) -> str:
    escaped = re.sub(r"([\\|`*])", r"\\\1", one_line(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def _markdown_figure(figure: Figure) -> str:
    alt = re.sub(r"[\s\[\]]+", " ", figure.alt)
    return f"![{alt}](figures/{figure.name}.svg)"


# ---- LaTeX

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$",
    "−": "$-$", "–": "--", "±": r"$\pm$", "∞": r"$\infty$", "≥": r"$\geq$", "×": r"$\times$",
}  # fmt: skip
_LATEX_HEAD = r"""% Tables of a report, for \input into a paper that has \usepackage{booktabs,tabularx}.
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
_LATEX_FOOT = r"""
\ifdefined\endofreport\expandafter\endofreport\fi
"""


def latex(blocks: Iterable[Block]) -> str:
    """The tables that are for papers, as LaTeX that can be compiled alone or read into a paper."""
    tables = [_latex_table(block) for block in blocks if isinstance(block, Table) and block.latex and len(block.frame)]
    return _LATEX_HEAD + "\n".join(tables) + _LATEX_FOOT


def _latex_table(table: Table) -> str:
    columns = [name for name in table.latex if name in table.frame and name != table.group]
    kinds = "".join("r" if name in table.numbers else r">{\raggedright\arraybackslash}X" for name in columns)
    lines = []
    heading = None
    for index, row in enumerate(table.frame.to_dict("records")):
        if table.group and row[table.group] != heading:
            heading = row[table.group]
            lines += [r"\addlinespace"] * bool(index)
            lines.append(rf"\multicolumn{{{len(columns)}}}{{@{{}}l}}{{\textit{{{_latex_text(heading)}}}}} \\")
        cells = [_latex_text(row[name]) for name in columns]
        cells[0] += r"$^\dagger$" * table.is_faded(index)
        lines.append(" & ".join(cells) + r" \\")
    dagger = r" $^\dagger$~Not all seeds are done." if table.faded is not None and any(table.faded) else ""
    return "\n".join([
        r"\begin{table*}[htbp]", r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{_latex_inline(table.caption)}{dagger}}}", rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabularx}}{{\textwidth}}{{@{{}}{kinds}@{{}}}}", r"\toprule",
        " & ".join(_latex_text(name) for name in columns) + r" \\", r"\midrule",
        *lines, r"\bottomrule", r"\end{tabularx}", r"\end{table*}", "",
    ])  # fmt: skip


def _latex_text(text: object) -> str:
    known = (_LATEX.get(letter, letter) for letter in re.sub(r"\s+", " ", str(text)))
    return "".join(part if part.isascii() or "À" <= part <= "ÿ" else "?" for part in known)


def _latex_inline(text: str) -> str:
    return _spans(text, _latex_text, lambda x: rf"\texttt{{{x}}}", lambda x: rf"\textbf{{{x}}}", lambda x, _: x)


# ---- the web page


def web_page(title: str, blocks: Sequence[Block]) -> str:
    """The document as one HTML file that asks for nothing outside itself."""
    headings = [block for block in blocks if isinstance(block, Heading)]
    links = "".join(f'<a href="#{heading.anchor}">{html.escape(heading.text)}</a>' for heading in headings)
    counter = iter(range(1_000_000))
    body = "\n".join(_html_block(block, counter.__next__) for block in blocks)
    name = html.escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # nothing may be loaded, whatever a run's texts hold
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data:\">"
        f'<link rel="icon" href="data:,"><title>{name}</title><style>{_CSS}</style></head>\n'
        f"<body><header><h1>{name}</h1><nav>{links}</nav></header>\n<main>\n{body}\n</main>\n"
        f"<script>{_SCRIPT}</script></body></html>\n"
    )


def _html_block(block: Block, number: Callable[[], int]) -> str:
    match block:
        case Heading():
            return f'<h2 id="{block.anchor}">{html.escape(block.text)}</h2>'
        case Text():
            return f"<p>{html_inline(block.text)}</p>"
        case Note():
            return f'<p class="note">{html_inline(block.text)}</p>'
        case Items():
            return "<ul>" + "".join(f"<li>{html_inline(item)}</li>" for item in block.items) + "</ul>"
        case Table():
            return _html_table(block)
        case Figure():
            return _html_figure(block, number())
        case Gallery():
            return '<div class="gallery">' + "".join(_html_figure(f, number()) for f in block.figures) + "</div>"


def html_inline(text: str) -> str:
    """A text with `code`, **bold** and links as HTML."""
    return _spans(
        text,
        html.escape,
        lambda x: f"<code>{x}</code>",
        lambda x: f"<strong>{x}</strong>",
        lambda x, link: f'<a href="{html.escape(link)}">{x}</a>',
    )


def _spans(
    text: str,
    escape: Callable[[str], str],
    code: Callable[[str], str],
    bold: Callable[[str], str],
    link: Callable[[str, str], str],
) -> str:
    """Escape a text, but for its spans, which are rendered; bold and links may hold code."""
    parts, at = [], 0
    for match in _INLINE.finditer(text):
        parts.append(escape(text[at : match.start()]))
        at = match.end()
        if match["code"] is not None:
            parts.append(code(escape(match["code"].strip())))
        elif match["bold"] is not None:
            parts.append(bold(_spans(match["bold"], escape, code, bold, link)))
        else:
            parts.append(link(_spans(match["text"], escape, code, bold, link), match["link"]))
    return "".join([*parts, escape(text[at:])])


def _html_table(table: Table) -> str:
    right = [name in table.numbers for name in table.frame.columns]
    head = "".join(
        f'<th scope="col"{" class=n" * number}><button type="button">{html.escape(str(name))}</button></th>'
        for name, number in zip(table.frame.columns, right, strict=True)
    )
    rows = []
    for index, row in enumerate(table.frame.to_numpy().tolist()):
        cells = "".join(
            f"<td{' class=n' * number}>{html.escape(one_line(cell))}</td>"
            for cell, number in zip(row, right, strict=True)
        )
        rows.append(f"<tr{' class=faded' * table.is_faded(index)}>{cells}</tr>")
    body = "\n".join(rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(table.name)}">'
        f'<table id="table-{table.name}"><caption>{html_inline(table.caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
    )


def _html_figure(figure: Figure, number: int) -> str:
    alt = html.escape(" ".join(figure.alt.split()))
    return f"<figure>{_inline_svg(figure.svg, f'f{number}-', alt)}<figcaption>{alt}</figcaption></figure>"


def _inline_svg(svg: str, prefix: str, alt: str) -> str:
    """A matplotlib SVG that can stand in a page beside others, in the page's colours."""
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->|<\?.*?\?>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{prefix}", svg)
    for colour, role in {"#ffffff": "var(--paper)", "#000000": "currentColor", "#e5e5e5": "var(--grid)"}.items():
        svg = svg.replace(colour, role)
    opening, _, drawing = svg[svg.index("<svg") :].partition(">")
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', opening)
    assert size is not None, "matplotlib writes a viewBox"
    width = _ENLARGED * float(size[1]) / 72  # of 72 points an inch
    namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return (
        f'<svg {namespaces} {size[0]} role="img" aria-label="{alt}" style="max-width:{width:.2f}in">{drawing.strip()}'
    )


_ENLARGED = 1.4  # ours: a screen is read from farther off than paper
_CSS = """
:root{--paper:#fff;--ink:#1a1a1a;--soft:#595959;--line:#d0d0d0;--grid:#e5e5e5;--shade:#f4f5f7;--link:#0b57a4;
--note:#fff6d6;--edge:#b98900;color-scheme:light}
@media (prefers-color-scheme:dark){:root{--paper:#15181c;--ink:#e8e8e8;--soft:#a8adb3;--line:#3c4248;--grid:#2e3338;
--shade:#1e2227;--link:#8ab8f0;--note:#332b10;--edge:#d9a520;color-scheme:dark}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
header,main{max-width:100rem;margin:0 auto;padding:0 1rem}
header{padding-top:1.2rem}
main{padding-bottom:3rem}
h1{margin:0;font-size:1.7rem;overflow-wrap:anywhere}
h2{margin:2.4rem 0 .6rem;padding-top:.4rem;font-size:1.25rem;border-top:1px solid var(--line)}
p,li{max-width:70ch;overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:.1rem 1rem;margin:.5rem 0 1rem;font-size:.9rem}
a{color:var(--link)}
code{font:.88em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;
background:var(--shade);padding:.05em .25em;border-radius:3px}
.note{background:var(--note);border-left:4px solid var(--edge);padding:.5rem .8rem;margin:.6rem 0}
.scroll{overflow-x:auto;margin:.8rem 0 1.2rem}
.scroll:focus-visible{outline:2px solid var(--link)}
table{border-collapse:collapse;font-size:.875em;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding-bottom:.4rem;caption-side:top;max-width:min(70ch,calc(100vw - 2rem))}
th,td{padding:.28rem .7rem;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
th{padding:0;white-space:nowrap;border-bottom:2px solid var(--soft)}
th button{all:unset;cursor:pointer;padding:.28rem .7rem;width:100%;box-sizing:border-box;text-align:inherit}
th button:focus-visible{outline:2px solid var(--link)}
th button::after{content:"";display:inline-block;width:1em;text-align:right}
th[aria-sort=ascending] button::after{content:"▲"}
th[aria-sort=descending] button::after{content:"▼"}
.n{text-align:right;white-space:nowrap}
td:first-child{white-space:nowrap}td:last-child:not(.n){min-width:10rem}
tbody tr:hover{background:var(--shade)}
.faded td{color:var(--soft);font-style:italic}
figure{margin:.8rem 0}
figure svg{display:block;width:100%;height:auto;stroke-linejoin:round;fill:currentColor}
figcaption{color:var(--soft);font-size:.85em;max-width:70ch;overflow-wrap:anywhere}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,27rem),1fr));gap:.5rem 1.5rem}
@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--line:#bbb;--grid:#e5e5e5;--shade:#fff;--link:#000;--note:#fff;
--edge:#888;color-scheme:light}body{font-size:10pt}nav{display:none}header,main{max-width:none;padding:0}
h2,caption{break-after:avoid}tbody tr:first-child{break-before:avoid}figure,tr,.note{break-inside:avoid}
.scroll{overflow:visible}table{font-size:7.5pt}
th,td{padding:.15rem .35rem}td,td:first-child,.n,th{white-space:normal;overflow-wrap:anywhere}
th button{padding:.15rem .35rem}
.gallery{grid-template-columns:1fr 1fr}}
"""
# Sorts a table by the column whose heading is pressed: by the number that a cell begins with, else by its text. A cell
# without a number comes last either way.
_SCRIPT = """
for(const button of document.querySelectorAll("th button"))button.addEventListener("click",()=>{
const heading=button.parentElement,row=heading.parentElement,body=row.closest("table").tBodies[0];
const at=[...row.children].indexOf(heading),number=heading.classList.contains("n");
const up=heading.ariaSort?heading.ariaSort!=="ascending":!number;
for(const other of row.children)other.removeAttribute("aria-sort");
heading.setAttribute("aria-sort",up?"ascending":"descending");
const value=line=>{const text=line.children[at].textContent.trim();
if(!number)return text;const found=/^[-\u2212+]?[\\d.]+(e[-+]?\\d+)?/i.exec(text);
return found?parseFloat(found[0].replace("\u2212","-")):text.startsWith("\u221e")?Infinity:null};
const lines=[...body.rows].map((line,index)=>({line,index,value:value(line)}));
lines.sort((a,b)=>{if(a.value===null||b.value===null)return(a.value===null)-(b.value===null)||a.index-b.index;
const order=number?Math.sign(a.value-b.value)||0:a.value.localeCompare(b.value,"en",{numeric:true});
return(up?order:-order)||a.index-b.index});
body.append(...lines.map(entry=>entry.line))});
"""
