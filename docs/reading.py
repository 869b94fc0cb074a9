"""Counts what a newcomer reads: `python docs/reading.py` renews the lists of docs/architecture.md.

docs/reading.toml lists, in reading order, the definitions on the path of each algorithm, of a run, of a resume and of a
figure. A definition counts with its docstring and decorators; a method brings the head and the docstring of its class.
A file without names is read whole: its module docstring and all definitions.

`--check` changes nothing and exits with 1 where a list is out of date or a path is longer than its budget.
"""

import ast
import itertools
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LISTS = ROOT / "docs" / "reading.toml"
PAGE = ROOT / "docs" / "architecture.md"


class Definition(NamedTuple):
    """A function, method, class or constant: its lines, and the first line of its docstring."""

    lines: frozenset[int]
    says: str


class Stop(NamedTuple):
    """One entry of a path: definitions of a file that are read there."""

    file: str
    names: list[str]  # none: all of them
    lines: frozenset[int]
    says: list[str]  # a line for each name


class Count(NamedTuple):
    """How long a path is."""

    files: int
    lines: int
    whole: int  # lines of the same files in full


def lines_of(node: ast.stmt) -> range:
    """The lines of a statement, decorators included."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return range(first, (node.end_lineno or node.lineno) + 1)


def head(node: ast.Module | ast.ClassDef) -> set[int]:
    """The lines of a module's docstring; of a class its first lines and its docstring."""
    first = node.body[0] if node.body else None
    if first is None or ast.get_docstring(node) is None:
        return set() if isinstance(node, ast.Module) else {node.lineno}
    start = first.lineno if isinstance(node, ast.Module) else lines_of(node).start
    return set(range(start, (first.end_lineno or first.lineno) + 1))


@cache
def definitions(file: str) -> dict[str, Definition]:
    """Every function, method, class and constant of a file, by its dotted name; "" stands for the module docstring."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    found = {"": Definition(frozenset(head(tree)), "")}

    def visit(body: list[ast.stmt], prefix: str, around: set[int]) -> None:
        for node in body:
            own = around | set(lines_of(node))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                says = (ast.get_docstring(node) or "").partition("\n")[0]
                found[prefix + node.name] = Definition(frozenset(own), says)
                if isinstance(node, ast.ClassDef):
                    visit(node.body, f"{prefix}{node.name}.", around | head(node))
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for name in (each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)):
                    found[prefix + name] = Definition(frozenset(own), "")

    visit(tree.body, "", set())
    return found


def stop(entry: str) -> Stop:
    """Read an entry of a path, `folder/file.py: name, Class.method`.

    Raises:
        KeyError: the file has no definition of that name.
    """
    file, _, listed = entry.partition(": ")
    names = listed.split(", ") if listed else []
    known = definitions(file)
    missing = [name for name in names if name not in known]
    if missing:
        raise KeyError(f"docs/reading.toml: {file} has no {', '.join(missing)}")
    lines = frozenset().union(*(known[name].lines for name in names or known))
    return Stop(file, names, lines, [known[name].says for name in names])


@cache
def length(file: str) -> int:
    """How many lines a file has."""
    return len((ROOT / file).read_text(encoding="utf-8").splitlines())


def count(stops: list[Stop]) -> Count:
    """The length of a path. A line that several entries need counts once."""
    files = {each.file for each in stops}
    lines = {(each.file, line) for each in stops for line in each.lines}
    return Count(len(files), len(lines), sum(map(length, files)))


def reading_list(stops: list[Stop]) -> str:
    """The Markdown table of an algorithm: files, what to read there, lines."""
    rows = [
        f"| [{each.file}](../{each.file}) | {names(each)} | {len(each.lines)} of {length(each.file)} |"
        for each in stops
    ]
    total = count(stops)
    last = f"| **{total.files} files** | | **{total.lines}** of {total.whole} |"
    return "\n".join(["| file | read there | lines |", "|---|---|--:|", *rows, last])


def names(each: Stop) -> str:
    """What to read in a file, in Markdown; the methods of a class stand together behind its name."""
    parts = []
    for owner, group in itertools.groupby(each.names, key=lambda name: name.rpartition(".")[0]):
        shown = ", ".join(f"`{name.removeprefix(f'{owner}.')}`" for name in group)
        parts.append(f"`{owner}` ({shown})" if owner else shown)
    return ", ".join(parts) or "all of it"


def steps(stops: list[Stop]) -> str:
    """The Markdown list of a path: each function with the first line of its docstring."""
    rows = [
        f"{number}. [{file}](../{file}): `{name}`" + (f". {says}" if says else "")
        for number, (file, name, says) in enumerate(
            ((each.file, name, says) for each in stops for name, says in zip(each.names, each.says, strict=True)),
            start=1,
        )
    ]
    total = count(stops)
    return "\n".join(
        [*rows, "", f"**{total.files} files, {total.lines} lines** (the files in full have {total.whole})."]
    )


def summary(paths: dict[str, Any]) -> str:
    """The Markdown table of all paths with their lengths and budgets."""
    rows = []
    for name, path in paths.items():
        total = count([stop(entry) for entry in path["read"]])
        files, lines = (f"at most {path[key]:,}".replace(",", " ") if key in path else "" for key in ("files", "lines"))
        rows.append(f"| [{path['title']}](#{name}) | {total.files} | {files} | {total.lines} | {lines} |")
    return "\n".join(["| path | files | | lines | |", "|---|--:|---|--:|---|", *rows])


def algorithms() -> list[tuple[str, str, str]]:
    """Name, file and description of every entry that a file of algos/ registers, in the registry's order."""
    found = []
    for file in (f"algos/{name}.py" for name in constant("algos/__init__.py", "FILES")):
        for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _called(node.value) == "Entry":
                name, _, _, description = node.value.args[:4]
                found.append((ast.literal_eval(name), file, ast.literal_eval(description)))
    return found


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def constant(file: str, name: str) -> Any:
    """The value of a constant of a file.

    Raises:
        KeyError: the file has none of that name.
    """
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    raise KeyError(f"{file} has no {name}")


def listed_algorithms() -> str:
    """The Markdown table of all algorithms."""
    rows = [f"| `{name}` | [{file}](../{file}) | {description} |" for name, file, description in algorithms()]
    return "\n".join(["| algorithm | file | |", "|---|---|---|", *rows])


def renewed(page: str, name: str, content: str) -> str:
    """The page with new content between `<!-- reading: NAME -->` and the next `<!-- end -->`.

    Raises:
        ValueError: the page has no such place.
    """
    begin, end = f"<!-- reading: {name} -->\n", "<!-- end -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{PAGE.name} has no place for {name}: write {begin.strip()} and {end} there")
    return f"{before}{begin}{content}\n{end}{after}"


def main(arguments: list[str]) -> int:
    """Renew or check the page; returns the exit code."""
    paths = tomllib.loads(LISTS.read_text(encoding="utf-8"))
    before = PAGE.read_text(encoding="utf-8")
    page, code = renewed(renewed(before, "all", summary(paths)), "algorithms", listed_algorithms()), 0
    for name, path in paths.items():
        stops = [stop(entry) for entry in path["read"]]
        total = count(stops)
        print(f"{path['title']}: {total.files} files, {total.lines} lines")
        if total.files > path.get("files", total.files) or total.lines > path.get("lines", total.lines):
            print(f"{path['title']} is longer than its budget in docs/reading.toml", file=sys.stderr)
            code = 1
        page = renewed(page, name, steps(stops) if path.get("steps") else reading_list(stops))
    if "--check" not in arguments:
        PAGE.write_text(page, encoding="utf-8")
    elif page != before:
        print(f"{PAGE.name} is out of date: run python docs/reading.py", file=sys.stderr)
        code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
