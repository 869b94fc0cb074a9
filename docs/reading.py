"""Counts what a newcomer reads: `python docs/reading.py` renews the tables of docs/architecture.md.

docs/reading.toml lists, in reading order, the definitions on the path of an algorithm, a run, a resume and a figure,
each as `folder/file.py: name, Class.method`. A definition counts with its docstring and decorators; a class that is
named as a whole counts whole. `--check` changes nothing and exits with 1 where a table is out of date or a path is
longer than its budget.
"""

import ast
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LISTS = ROOT / "docs" / "reading.toml"
PAGE = ROOT / "docs" / "architecture.md"


class Stop(NamedTuple):
    """One file on a path, with the definitions to read there."""

    file: str
    names: list[str]
    lines: int  # of the definitions
    length: int  # of the whole file


def definitions(source: str) -> dict[str, set[int]]:
    """The line numbers of every function, method, class and module-level constant, by its dotted name."""
    found: dict[str, set[int]] = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                found[prefix + node.name] = set(range(first, (node.end_lineno or first) + 1))
                visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        found[prefix + target.id] = set(range(node.lineno, (node.end_lineno or node.lineno) + 1))

    tree = ast.parse(source)
    visit(tree.body, "")
    return found


def stop(file: str, names: list[str]) -> Stop:
    """Count one file's part of a path.

    Raises:
        KeyError: The file has no definition of that name.
    """
    source = (ROOT / file).read_text(encoding="utf-8")
    known = definitions(source)
    missing = [name for name in names if name not in known]
    if missing:
        raise KeyError(f"{file} has no {', '.join(missing)}")
    lines = set().union(*(known[name] for name in names))
    return Stop(file, names, len(lines), len(source.splitlines()))


def table(stops: list[Stop]) -> str:
    """The Markdown table of a path."""
    rows = [
        f"| {number} | [{each.file}](../{each.file}) | {', '.join(f'`{name}`' for name in each.names)} | {each.lines} |"
        for number, each in enumerate(stops, start=1)
    ]
    files, lines = len({each.file for each in stops}), sum(each.lines for each in stops)
    whole = sum({each.file: each.length for each in stops}.values())
    head = ["| | file | read there | lines |", "|--:|---|---|--:|"]
    return "\n".join([*head, *rows, f"| | **{files} files** | {whole} lines in full | **{lines}** |"])


def main(arguments: list[str]) -> int:
    """Renew or check the page."""
    page = PAGE.read_text(encoding="utf-8")
    renewed, code = page, 0
    for name, entry in tomllib.loads(LISTS.read_text(encoding="utf-8")).items():
        stops = [stop(file, names) for file, names in entry["read"]]
        files, lines = len({each.file for each in stops}), sum(each.lines for each in stops)
        print(f"{name}: {files} files, {lines} lines; at most {entry['files']} and {entry['lines']}")
        if files > entry["files"] or lines > entry["lines"]:
            print(f"{name} is longer than its budget", file=sys.stderr)
            code = 1
        begin, end = f"<!-- reading: {name} -->\n", "<!-- end -->"
        before, _, rest = renewed.partition(begin)
        _, _, after = rest.partition(end)
        renewed = f"{before}{begin}{table(stops)}\n{end}{after}"
    if "--check" in arguments and renewed != page:
        print("docs/architecture.md is out of date; run python docs/reading.py", file=sys.stderr)
        return 1
    if "--check" not in arguments:
        PAGE.write_text(renewed, encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
