"""Colours that can be seen on a white and on a dark page, by the contrast of WCAG 2.

Figures are drawn for white paper. Where they stand in a page that may be dark, the page gives each colour that is too
dark there another one: a variable of CSS with two values.
"""

import re
from collections.abc import Iterable

WHITE, DARK = "#ffffff", "#15181c"  # paper, and the dark page of templates/page.css
LEAST = 3.0  # contrast of graphical objects, WCAG 2.2, success criterion 1.4.11
_CLEAR = 4.5  # contrast on the dark page of a colour that is not in our list. ours: that of text, WCAG 2.2, 1.4.3

# what is black, white or of the grid is the page's own, see page.css
ROLES = {WHITE: "var(--paper)", "#000000": "currentColor", "#e5e5e5": "var(--grid)"}
ON_MATRIX = "#111111"  # ink on cells that are light on both pages, so that no page changes it
REST = "#8c8c8c"  # of curves that are there for comparison only

# colours of variants, and what they are on the dark page. ours: the hues of Okabe & Ito 2008, "Color Universal Design",
# without yellow, made darker where they have less contrast than LEAST on white, with a brown and a violet; two
# colours that look alike to some readers differ in lightness, so in grey, too
ON_DARK = {
    "#d55e00": "#ff7a1f",
    "#2e8fc6": "#56c5f5",
    "#8c4a2f": "#b98067",
    "#b87a00": "#f0b429",
    "#000000": "#e8e8e8",
    "#009e73": "#2bc596",
    "#c7669b": "#f19ac9",
    "#0b4f94": "#5b8def",
    "#6a3d9a": "#a97be0",
}


def luminance(colour: str) -> float:
    """The relative luminance of `#rrggbb`, from 0 to 1, by WCAG 2."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(colour: str, other: str) -> float:
    """The contrast of two colours, from 1 to 21, by WCAG 2."""
    low, high = sorted((luminance(colour), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def on_dark(colour: str) -> str:
    """What a colour is on the dark page: as in our list, or with as much white as makes it seen."""
    colour = colour.lower()
    if colour in ON_DARK:
        return ON_DARK[colour]
    if contrast(colour, DARK) >= LEAST:
        return colour
    channels = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    mixed = ("#" + "".join(f"{round(x + (255 - x) * i / 100):02x}" for x in channels) for i in range(101))
    return next(each for each in mixed if contrast(each, DARK) >= _CLEAR)


def in_page(svg: str) -> str:
    """An SVG whose colours are those of the page that it stands in; `css` declares what they are."""
    return re.sub(r"#[0-9a-fA-F]{6}\b", lambda found: _of_page(found[0].lower()), svg)


def css(svgs: Iterable[str]) -> str:
    """The declarations of every colour that `in_page` gives these SVGs, for a light, a dark and a printed page."""
    colours = {colour for svg in svgs for colour in re.findall(r"var\(--c-([0-9a-f]{6})\)", svg)}
    if not colours:
        return ""
    light, dark = (
        ":root { " + " ".join(f"--c-{name}: {of(f'#{name}')};" for name in sorted(colours)) + " }"
        for of in (str, on_dark)
    )
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n@media print {{ {light} }}\n"


def _of_page(colour: str) -> str:
    if colour in ROLES:
        return ROLES[colour]
    fixed = colour == ON_MATRIX or on_dark(colour) == colour
    return colour if fixed else f"var(--c-{colour[1:]})"
