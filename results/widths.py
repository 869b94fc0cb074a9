"""How wide figures are, in inches, so that a paper takes them unchanged and their letters have the size of print."""

COLUMN = 3.4  # ours: one column of a two-column paper; two of them are a page
LEAST, MOST = 2.0, 20.0  # ours: below it no panel has room, above it is a poster

WIDTHS = {
    "column": COLUMN,
    "page": 2 * COLUMN,
    "neurips": 5.5,  # \textwidth of neurips_2024.sty
    "icml": 6.75,  # \textwidth of icml2024.sty, for figure*
    "icml-column": 3.25,  # (\textwidth − \columnsep) / 2 there, with \columnsep of 0.25in
    "rlc": 5.5,  # \textwidth of rlj.sty, version 2026.1
}
