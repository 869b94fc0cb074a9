"""Hashes of the source that can change a score: of savo-bench's own, and of every package that plugs into it.

Two runs whose hashes differ were made by different code, also where the version is the same and where there is no git.
Of savo-bench count the algorithms, the environments and whatever the training imports; of a plug-in, all files of its
packages, wherever the import system finds them: in an ordinary installation or in a checkout.

A Python file counts as its syntax tree without positions, docstrings and statements that do nothing, so that comments,
line breaks, brackets that only hold a line together and the kind of quotes make no difference. Our own walk writes the
tree down, as `ast.dump` and `ast.unparse` differ among Python's minor versions: the walk leaves out what is empty, and
so gives the same for the same source from Python 3.11 on. (Tokens would not do: a formatter moves brackets and commas,
and f-strings are cut otherwise from Python 3.12 on.) Any other file, and one that Python cannot parse, counts as its
bytes. A compiled extension that is built again may therefore differ.
"""

import ast
import functools
import hashlib
import importlib.util
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, entry_points
from pathlib import Path

OURS = "savo-bench"
PACKAGE = "savo_bench"
TRAINING = f"{PACKAGE}.bench.training.loop"  # it and what it imports are hashed
WHOLE = ("algos", "envs")  # folders of which everything counts: their registries may load by name
ENTRY_POINTS = ("savo_bench.algos", "savo_bench.envs")
DIGITS = 16  # ours: of a hash, in hexadecimal; enough never to meet by chance

_NO_SOURCE = (".pyc", ".pyo", "~")  # what an interpreter or an editor leaves beside the source
_END = object()
_WITHOUT_MEANING = {"ctx", "kind", "type_comment"}  # a node's place says the first; the others are remarks


@functools.cache
def fingerprints() -> dict[str, str]:
    """The hash of savo-bench and of each distribution that offers algorithms or environments, by name.

    Computed once for a process: what is imported later does not change what was imported before.
    """
    found = {OURS: digest(own_files())}
    for dist, modules in sorted(plugins().items(), key=lambda plugin: plugin[0].name):
        found[dist.name] = digest(plugin_files(dist, modules))
    return found


def digest(files: Mapping[str, Path]) -> str:
    """16 hexadecimal digits for files by the name that they are imported or known by."""
    total = hashlib.sha256()
    for name, path in sorted(files.items()):
        total.update(f"{name}\0{hashlib.sha256(normalised(path)).hexdigest()}\n".encode())
    return total.hexdigest()[:DIGITS]


def normalised(path: Path) -> bytes:
    """What counts of a file: of Python source its syntax tree, of anything else its bytes.

    A file that cannot be read counts as the reason.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"unreadable: {error.errno}".encode()
    if path.suffix != ".py":
        return content
    try:
        with warnings.catch_warnings():  # what Python thinks of the source is said when it is imported
            warnings.simplefilter("ignore")
            return _written(ast.parse(content)).encode()
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # ValueError: a NUL, a number of too many digits
        return content


def _written(tree: ast.AST) -> str:
    """A syntax tree as one line that is equal for equal code; with a stack, as source nests deeper than calls may."""
    words: list[str] = []
    stack: list[object] = [tree]
    while stack:
        node = stack.pop()
        if node is _END:
            words.append(")")
        elif isinstance(node, ast.AST):
            words.append(f"({type(node).__name__}")
            stack.append(_END)
            # Backwards, as a stack gives back last what it was given first. What is empty has no name in some versions.
            for field in reversed(node._fields):
                value = getattr(node, field, None)
                if isinstance(node, ast.JoinedStr):
                    value = [part for part in node.values if not _is_empty(part)]
                if value is not None and value != [] and field not in _WITHOUT_MEANING:
                    stack += [value, field]
        elif isinstance(node, list):
            words.append("(")
            stack.append(_END)
            stack += reversed([part for part in node if not _does_nothing(part)])
        else:
            words.append(ascii(node))
    return " ".join(words)


def _does_nothing(node: object) -> bool:
    """Whether it is a docstring, another constant as a statement, or `pass`."""
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _is_empty(node: ast.expr) -> bool:
    """Whether it is the empty string, which Python from 3.12 on puts into the format of a value inside an f-string."""
    return isinstance(node, ast.Constant) and node.value == ""


def own_files(entry: str = TRAINING) -> dict[str, Path]:
    """Our own files that count: algorithms, environments, and what `entry` imports of us, directly or not."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    root = Path(next(iter(spec.submodule_search_locations)))
    files = {f"{PACKAGE}/{folder}/{name}": path for folder in WHOLE for name, path in _below(root / folder)}
    todo, seen = [entry], set()
    while todo:
        module = todo.pop()
        path = None if module in seen else _source_of(module, root.parent)
        seen.add(module)
        if path is not None:
            files[path.relative_to(root.parent).as_posix()] = path
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            todo += _imported(path.read_bytes(), package)
    return files


def _source_of(module: str, base: Path) -> Path | None:
    """The file of one of our modules; None for what is no module of ours."""
    if module.partition(".")[0] != PACKAGE:
        return None
    path = base.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _imported(source: bytes, package: str) -> Iterator[str]:
    """What a source file of a package may import: modules, the packages above them, and names that may be modules."""
    for node in ast.walk(_without_type_checking(ast.parse(source))):
        named = []
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            named = [f"{origin}.{alias.name}" for alias in node.names]
        for name in named:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _without_type_checking(tree: ast.Module) -> ast.Module:
    """The module without what its `if TYPE_CHECKING:` statements at the top level hold."""

    def at_run_time(node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            return node.orelse
        return [node]

    return ast.Module([statement for node in tree.body for statement in at_run_time(node)], [])


def plugins() -> dict[Distribution, list[str]]:
    """Distributions other than ours that offer entry points of our groups, each with the modules that these name."""
    found: dict[str, tuple[Distribution, list[str]]] = {}
    for group in ENTRY_POINTS:
        for point in entry_points(group=group):
            if point.dist is not None and point.dist.name != OURS:
                found.setdefault(point.dist.name, (point.dist, []))[1].append(point.module)
    return dict(found.values())


def plugin_files(dist: Distribution, modules: Iterable[str]) -> dict[str, Path]:
    """All files of a plug-in's packages.

    Args:
        dist: The plug-in's distribution.
        modules: What its entry points name.

    Its packages are those that hold these modules, and those that the distribution itself lists, as far as Python finds
    them in the same place.
    """
    roots = {root: path for module in modules for root, path in [_root(module)] if path is not None}
    places = {_place(root, path) for root, path in roots.items()}
    for module in _listed(dist):
        if not any(f"{module}.".startswith(f"{root}.") for root in roots):
            root, path = _root(module)
            if path is not None and _place(root, path) in places:
                roots[root] = path
    files = {}
    for root, path in roots.items():
        prefix = root.replace(".", "/")
        if path.is_dir():
            files |= {f"{prefix}/{name}": file for name, file in _below(path)}
        else:
            files[f"{prefix}{path.suffix}"] = path
    return files


def _listed(dist: Distribution) -> Iterator[str]:
    """The modules that a distribution says that it installed; for one installed as a checkout, its packages."""
    yield from (dist.read_text("top_level.txt") or "").split()
    for file in dist.files or ():
        if file.suffix == ".py" and not file.name.startswith("__editable__") and ".." not in file.parts:
            yield ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def _root(module: str) -> tuple[str, Path | None]:
    """The outermost package that a module lies in, and its folder; for a module in none, its own name and file.

    Packages without an `__init__.py` may be shared with other distributions: of those it is the innermost. Nothing of
    the plug-in is imported. None for the path where Python finds no such module.
    """
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            break
        if spec is None:
            break
        if spec.origin is None or not spec.has_location:  # without an __init__.py
            continue
        path = Path(spec.origin)
        if spec.submodule_search_locations is not None:
            return name, path.parent
        return (name, path) if end == 1 else (".".join(parts[: end - 1]), path.parent)
    return module, None


def _place(root: str, path: Path) -> Path:
    """The folder from which a root is imported, such as site-packages."""
    return path.parents[root.count(".")]


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    """(name relative to the folder, path) of every regular file in it that may be source or data."""
    been = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in been:
            folders.clear()  # a link that leads back
            continue
        been.add(real)
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            if not name.startswith(".") and not name.endswith(_NO_SOURCE) and path.is_file():
                yield path.relative_to(folder).as_posix(), path
