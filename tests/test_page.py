"""The document as Markdown, LaTeX and a web page; in a browser and a compiler where there are some."""

import json
import re
import shutil
import subprocess
import tempfile
from html import escape, unescape
from html.parser import HTMLParser

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from pdflatex import COMPILER, compiled

from savo_bench.results import latex, page
from savo_bench.results.page import Bullets, Figure, Gallery, Note, Section, Table, Text

NASTY = "<script>alert(1)</script> `a` **b** | [x](y) \\ & % $ # _ { } ~ ^ \u2212 \u00e4 \u03b4\n!"
FRAME = pd.DataFrame({"name": [NASTY, "b", "a"], "score": ["9 [1, 20]", "–", "−100 [0, 1]"], "odd": ["x10", "x9", ""]})
TABLE = Table("t", "Scores of `td3`.", FRAME, ("score",), [False, True, False], ("name", "score"))


def sections(*blocks):
    """A report of one section."""
    return [Section("A b", blocks)]


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


def test_markup_is_rendered_and_everything_else_is_text():
    text = f"**bold `x<y`** [`code`](#there) {page.code(NASTY)} 2 < 3"
    rendered = page.html_inline(text)
    assert "<strong>bold <code>x&lt;y</code></strong>" in rendered
    assert '<a href="#there"><code>code</code></a>' in rendered
    assert "<script>" not in rendered
    assert rendered.endswith("2 &lt; 3")
    assert page.plain("**a** `b` [c](d)") == "a b c"


@pytest.mark.parametrize("value", [NASTY, "_a_ b_c", "&amp; <b>", "[x](javascript:alert(1))", "**", "\\*"])
def test_literal_text_is_no_markup(value):
    shown = " ".join(value.split())
    assert page.plain(page.literal(value)) == shown
    assert page.html_inline(page.literal(value)) == escape(shown, quote=False).replace('"', "&quot;")


def test_no_script_is_behind_a_link():
    assert "<a" not in page.html_inline("[x](javascript:alert(1))")


@pytest.mark.parametrize("value", ["a", "a`b", "``", "`", "", " \n ", "x" * 3])
def test_code_holds_any_text_on_one_line(value):
    assert "\n" not in page.code(value)
    assert page.plain(page.code(value)).strip() == " ".join(value.split())


def test_markdown_of_every_kind_of_block():
    figure = Figure("curves", "alt [of]\nit", "<svg></svg>", b"")
    opening = Section("", [Text("first")])
    blocks = sections(Text("t"), Note("n"), Bullets(["x", "y"]), TABLE, figure, Gallery([figure]))
    text = page.markdown("title", [opening, *blocks])
    assert text.startswith("# title\n\nfirst\n\n## A b\n\nt\n\n> n\n\n- x\n- y\n\n")
    assert "\n\nScores of `td3`.\n\n| name | score | odd |\n| --- | ---: |" in text
    assert "| b | – | x9 |" in text
    assert text.endswith("\n\n![alt of it](figures/curves.svg)" * 2 + "\n")
    row = next(line for line in text.splitlines() if "script" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 4  # its own bar is escaped
    assert "<script" not in row


@pytest.mark.parametrize("value", [NASTY, "_low_", "_[x](y)_", "[x][y]", "low_1 [1, 2] (n=3)", "**a**", "<b>&amp;"])
def test_no_title_and_no_cell_is_markup_in_markdown(value):
    shown = " ".join(value.split())
    figure = Figure("a", f"of {value}", SVG, b"")
    frame = pd.DataFrame({"name": [value]})
    rendered = MarkdownIt("gfm-like", {"linkify": False}).render(
        page.markdown(value, sections(Table("t", "", frame), figure))
    )
    heading, cell = (re.search(f"<{tag}>(.*)</{tag}>", rendered) for tag in ("h1", "td"))
    assert heading is not None
    assert cell is not None
    assert (unescape(heading[1]), unescape(cell[1])) == (shown, shown)
    assert not re.search("<(em|strong|a|code|script)\\b", rendered)


class Outline(HTMLParser):
    """Tags and what they would load."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.ids = [], [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag not in ("meta", "link", "br", "wbr"):
            self.open.append(tag)
        self.loads += [attributes[name] for name in ("src", "href", "xlink:href", "action") if attributes.get(name)]
        self.ids += [attributes["id"]] if "id" in attributes else []

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in ("meta", "link", "br", "wbr"):
            assert self.open.pop() == tag


def outline(html):
    found = Outline()
    found.feed(html)
    assert found.open == []
    return found


SVG = """<?xml version="1.0"?>
<!DOCTYPE svg>
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="72pt" height="36pt" viewBox="0 0 72 36" xmlns="x" version="1.1">
 <metadata>when</metadata><defs><style type="text/css">*{stroke: red}</style><path id="m"/></defs>
 <g id="figure_1"><use xlink:href="#m" style="fill: #000000"/><g clip-path="url(#m)" style="fill: #ffffff"/></g>
</svg>"""


def test_figures_in_a_page_share_no_ids_and_take_its_colours():
    figures = [Figure(name, f"alt of {name} <&", SVG, b"") for name in ("a", "b")]
    html = page.web_page("x", sections(Gallery(figures)))
    found = outline(html)
    assert sorted(found.ids) == ["a-b", "f0-figure_1", "f0-m", "f1-figure_1", "f1-m"]
    assert "url(#f1-m)" in html
    assert "metadata" not in html
    assert "stroke: red" not in html
    assert "fill: currentColor" in html
    assert "#ffffff" not in html.partition("<body>")[2]
    assert 'role="img" aria-label="alt of a &lt;&amp;"' in html


def test_a_page_asks_for_nothing_outside_itself_and_balances_its_tags():
    html = page.web_page(NASTY, sections(Text("t [x](#a-b)"), TABLE, Gallery([Figure("a", "b", SVG, b"")])))
    assert all(link.startswith(("#", "data:")) for link in outline(html).loads)
    assert "default-src 'none'" in html
    assert "alert(1)" in html  # as text
    assert html.count("<script>") == 1
    assert 'id="a-b"' in html
    assert "<tr class=faded><td>b</td><td class=n>–</td>" in html


TASKS = pd.DataFrame({
    "environment": ["b", "a", "b"], "variant": ["savo:extra_actors=1,tau=0.1", "td3", "sac"],
    "score": ["9 [1, 20]", "3", "12 [−1, 20] %"], "seeds": ["5 seeds"] * 3,
})  # fmt: skip
OF_TASKS = Table("tasks", "Scores, 2 [1, 3].", TASKS, ("score",), [False, False, True])


def test_a_task_is_a_heading_over_its_rows_and_no_column_so_that_a_number_follows_the_variant():
    html = page.web_page("x", sections(OF_TASKS))
    outline(html)
    head, *bodies = re.findall(r"<(?:thead|tbody)>(.*?)</(?:thead|tbody)>", html, re.DOTALL)
    assert re.findall(r'tabindex="0">(\w+)<', head) == ["variant", "score", "seeds"]
    assert [re.findall(r'colspan="3"><span>(\w)<', body) for body in bodies] == [["b"], ["a"]]
    assert [body.count("<td>") + body.count("<td class=n>") for body in bodies] == [6, 3]
    assert "<tr class=faded><td>sac</td>" in bodies[0]
    assert OF_TASKS.columns == ["variant", "score", "seeds"]
    families = Table("f", "", TASKS, group="seeds")  # a heading that is named goes before the environment
    assert families.columns == ["environment", "variant", "score"]


def test_no_line_breaks_an_interval_and_long_names_break_between_their_fields():
    html = page.web_page("x", sections(OF_TASKS, Text("It is 1 [−2, 3] and [0.1, ∞] % `[1, 2]` [a, b].")))
    assert "<td class=n>9 <span class=i>[1, 20]</span></td>" in html
    assert "12 <span class=i>[−1, 20] %</span></td>" in html
    assert "Scores, 2 <span class=i>[1, 3]</span>." in html
    assert (
        "It is 1 <span class=i>[−2, 3]</span> and <span class=i>[0.1, ∞] %</span> <code>[1, 2]</code> [a, b]." in html
    )
    assert "<td>savo:<wbr>extra_actors=1,<wbr>tau=0.1</td>" in html
    assert re.search(r"\.i \{ white-space: nowrap; \}", html)


def test_a_folded_table_is_behind_its_words_and_open_in_print():
    html = page.web_page("x", sections(Table("t", "c", FRAME, folded="All 3 <pairs>")))
    outline(html)
    assert "<details><summary>All 3 &lt;pairs&gt;</summary>\n<div" in html
    assert "beforeprint" in html
    assert "::details-content" in html.partition("@media print")[2]
    assert "<details>" not in page.web_page("x", sections(TABLE))


def test_print_can_repeat_headings():
    html = page.web_page("x", sections(TABLE))
    assert "<thead>" in html
    assert "display: table-header-group" in html.partition("@media print")[2]
    assert "<button" not in html  # browsers repeat no heading that holds one


def test_only_a_watched_page_reads_its_file_again():
    assert "refresh" not in page.web_page("x", sections(TABLE))
    watched = page.web_page("x", sections(TABLE), 10)
    assert '<meta http-equiv="refresh" content="10">' in watched
    assert "every 10 seconds" in watched


def test_a_table_without_rows_or_columns_for_papers_is_not_in_latex():
    assert "begin{table*}" not in latex.latex(
        sections(Table("t", "c", FRAME), Table("t", "c", FRAME[:0], latex=("name",)))
    )


def test_latex_groups_rows_marks_incomplete_ones_and_escapes():
    frame = pd.DataFrame({"env": ["a_b", "a_b", "c"], "variant": ["x", NASTY, "z"], "score": ["1", "2", "−3"]})
    table = Table("t", "Of `a_b`.", frame, ("score",), [True, False, False], tuple(frame.columns), "env")
    text = latex.latex(sections(table))
    assert text.count("multicolumn") == 2
    assert r"x$^\dagger$ & 1 \\" in text
    assert r"z & $-$3 \\" in text
    assert r"\caption{Of \texttt{a\_b}. $^\dagger$~Not all seeds are done.}" in text
    assert "δ" not in text


@pytest.mark.skipif(COMPILER is None, reason="pdflatex is not installed")
def test_the_latex_compiles_alone_and_in_papers_of_one_and_two_columns(tmp_path):
    wide = pd.DataFrame(
        {"variant": ["savo:extra_actors=5,target_noise=0.2", NASTY], "seeds": ["8/10 seeds, 1 failed"] * 2}
    )
    for name in ("last-2 return, mean", "last-2 return, IQM"):
        wide[name] = "7042 [6319, 7676]"
    tables = latex.latex(sections(TABLE, Table("wide", "C.", wide, list(wide.columns[2:]), None, tuple(wide.columns))))
    assert "(1 page" in compiled(tables, tmp_path)
    assert "Overfull" not in compiled(tables, tmp_path)
    (tmp_path / "tables.tex").write_text(tables)
    for options in ("", "[twocolumn]"):
        head = rf"\documentclass{options}{{article}}\usepackage{{booktabs,tabularx}}"
        compiled(head + r"\begin{document}A\input{tables}B\end{document}", tmp_path)


# After the page's own script: press headings, note orders and sizes, and leave them in the title as JSON.
PROBE = """<script>
const names=()=>[...document.querySelectorAll("#table-t tbody tr")].map(row=>row.children[0].textContent.slice(0,1));
const button=at=>document.querySelectorAll("#table-t thead span")[at];
const found={start:names()};
for(const [key,at] of [["score",1],["again",1],["name",0],["odd",2]]){button(at).click();found[key]=names()}
found.sorted=[...document.querySelectorAll("#table-t thead th")].map(head=>head.getAttribute("aria-sort"));
const tasks=document.querySelector("#table-tasks");tasks?.querySelectorAll("thead span")[1].click();
found.tasks=[...tasks?.querySelectorAll("tbody tr")??[]].map(row=>row.children[0].textContent);
found.width=document.documentElement.scrollWidth;found.window=innerWidth;
found.paper=getComputedStyle(document.body).backgroundColor;
found.scrolls=document.querySelector(".scroll").scrollWidth>document.querySelector(".scroll").clientWidth;
document.title=JSON.stringify(found)</script>"""


# What a page loads has this mark in Chromium's log (its hash of "blink_resource_loader"); the browser's own calls, for
# updates and the time, have others. `test_the_browser_would_tell_what_a_page_asks_for` fails should the mark change.
OF_THE_PAGE = 101845102


def browse(html, width, dark, folder):
    """Open a page in a headless browser; returns what the probe found, the console's lines, and addresses asked for."""
    path, log = folder / "page.html", folder / "net.json"
    path.write_text(html.replace("</body>", PROBE + "</body>"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},900",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--user-data-dir={profile}", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr", f"--log-net-log={log}", "--dump-dom", path.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title is not None, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    requests = re.findall(rf'"traffic_annotation":{OF_THE_PAGE},"url":"([^"]+)"', log.read_text(errors="replace"))
    return json.loads(unescape(title[1])), console, [request for request in requests if not request.startswith("data:")]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize(("width", "dark"), [(500, False), (1600, True)])
def test_in_a_browser_tables_sort_nothing_is_asked_for_and_the_page_fits(tmp_path, width, dark):
    long = Text("`restricted-inverted-double-pendulum:balls=990,volume=0.165,extra_dims=3,version=v4`")
    blocks = sections(long, TABLE, OF_TASKS, Gallery([Figure("a", "b", SVG, b"")] * 2))
    found, console, requests = browse(page.web_page("x", blocks), width, dark, tmp_path)
    assert found["start"] == ["<", "b", "a"]
    assert found["score"] == ["<", "a", "b"]  # highest first; a dash is last
    assert found["again"] == ["a", "<", "b"]
    assert found["name"] == ["<", "a", "b"]
    assert found["odd"] == ["a", "b", "<"]  # x9 before x10
    assert found["sorted"] == [None, None, "ascending"]
    assert found["tasks"] == ["b", "sac", "savo:extra_actors=1,tau=0.1", "a", "td3"]  # each task by itself
    assert found["width"] <= found["window"]  # what is wide scrolls by itself
    assert found["paper"] == ("rgb(21, 24, 28)" if dark else "rgb(255, 255, 255)")
    assert console == []
    assert requests == []


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_the_browser_would_tell_what_a_page_asks_for(tmp_path):
    html = page.web_page("x", sections(TABLE))
    image = html.replace("<main>", '<main><img src="http://example.invalid/x.png">')
    _, console, requests = browse(image, 500, False, tmp_path)
    assert len(console) == 1  # the policy forbids it
    assert requests == []
    free = re.sub(r"<meta http-equiv[^>]*>", "", image)
    assert browse(free, 500, False, tmp_path)[2] == ["http://example.invalid/x.png"]
