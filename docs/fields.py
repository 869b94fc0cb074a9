"""Writes docs/fields.md: `python docs/fields.py`.

`--check` changes nothing and exits with 1 where the page is out of date.
"""

import sys
from pathlib import Path

from savo_bench.bench import fields

PAGE = Path(__file__).resolve().parent / "fields.md"

if __name__ == "__main__":
    page = fields.page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page, encoding="utf-8")
    elif page != PAGE.read_text(encoding="utf-8"):
        sys.exit("docs/fields.md is out of date: run python docs/fields.py")
