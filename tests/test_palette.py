"""Colours of figures: seen on white and on the dark page."""

import re

import pytest

from savo_bench.results import palette, plots
from savo_bench.results.page import TEMPLATES, Figure, Section, web_page

COLOURS = sorted({style.colour for style in plots.styles(map(str, range(200))).values()} | {palette.REST})


@pytest.mark.parametrize("colour", COLOURS)
def test_every_curve_has_contrast_on_both_pages(colour):
    assert palette.contrast(colour.lower(), palette.WHITE) >= palette.LEAST
    assert palette.contrast(palette.on_dark(colour), palette.DARK) >= palette.LEAST


def test_contrast_is_that_of_wcag():
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert palette.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # WebAIM's contrast checker
    assert palette.contrast("#ffffff", "#777777") == palette.contrast("#777777", "#ffffff")


def test_the_dark_page_is_the_one_of_the_style_sheet():
    css = (TEMPLATES / "page.css").read_text()
    assert f"--paper: {palette.DARK}" in css
    assert "--paper: #fff;" in css


@pytest.mark.parametrize("colour", ["#000080", "#101010", "#800000", "#ffffff", "#7fb2dd"])
def test_a_colour_of_a_user_is_seen_on_the_dark_page_too(colour):
    assert palette.contrast(palette.on_dark(colour), palette.DARK) >= palette.LEAST


def test_a_page_declares_every_colour_that_its_figures_take_from_it():
    svg = '<svg viewBox="0 0 9 9" width="9pt"><path style="stroke: #0b4f94; fill: #ffffff"/>'
    svg += '<g style="fill:#111111"/></svg>'
    html = web_page("x", [Section("", [Figure("a", "b", svg, b"")])])
    assert "stroke: var(--c-0b4f94); fill: var(--paper)" in html
    assert "fill:#111111" in html  # ink on what is light on both pages
    declared = re.findall(r"--c-0b4f94: (#[0-9a-f]{6});", html)
    assert declared == ["#0b4f94", palette.on_dark("#0b4f94"), "#0b4f94"]  # light, dark, printed
