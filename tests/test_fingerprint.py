"""Hashes of source: what changes them and what does not, over packages made for it and over our own."""

import ast
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from savo_bench.bench import fingerprint
from savo_bench.bench.fingerprint import digest, fingerprints, normalised, own_files, plugin_files

SOURCE = '''\
"""What it is for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """Its fields."""

    lr: float = 1e-3  # ours
    hidden: tuple[int, ...] = (64, 64)
    """Widths."""

    def scaled(self, factor: float) -> float:
        """A learning rate."""
        return self.lr * factor


def name(config: Config, prefix: str = "agent") -> str:
    return f"{prefix}-{config.lr:.3f}" + ("" if config.hidden else "-linear")
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed plug-in `my-plugin` of the package my_plugin, in a folder that Python imports from."""
    folder = tmp_path / "site"
    install(folder, {"my_plugin/__init__.py": "", "my_plugin/algo.py": SOURCE, "my_plugin/table.csv": "1,2\n"})
    monkeypatch.syspath_prepend(folder)
    return folder


def install(folder: Path, files: dict[str, str], modules: tuple[str, ...] = ("my_plugin.algo",)) -> None:
    """Write files and what an installer writes beside them."""
    about = folder / "my_plugin-1.0.dist-info"
    points = "\n".join(f"point{number} = {module}:entry" for number, module in enumerate(modules))
    texts = {
        **files,
        f"{about.name}/METADATA": "Metadata-Version: 2.1\nName: my-plugin\nVersion: 1.0\n",
        f"{about.name}/entry_points.txt": f"[savo_bench.algos]\n{points}\n",
        f"{about.name}/RECORD": "".join(f"{file},,\n" for file in files),
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def of_plugin() -> str:
    """Its hash now."""
    return digest(files_of("my_plugin.algo"))


def files_of(*modules: str) -> dict[str, Path]:
    return plugin_files(Distribution.from_name("my-plugin"), modules)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Nothing stays known of one test's packages; of those without an __init__.py, finding them is an import."""
    before = set(sys.modules)
    yield
    fingerprints.cache_clear()
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("my_plugin", "lab"):
            del sys.modules[name]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1e-3", "1e-4"),
        ("1e-3", "0"),
        ("(64, 64)", "(64, 65)"),
        ("(64, 64)", "(64,)"),
        ("self.lr * factor", "self.lr + factor"),
        ("self.lr * factor", "self.lr * -factor"),
        ("{config.lr:.3f}", "{config.lr:.4f}"),
        ("{config.lr:.3f}", "{config.lr!r:.3}"),
        ('"agent"', '"Agent"'),
        ("if config.hidden", "if not config.hidden"),
        ("frozen=True", "frozen=1"),
        ("scaled", "scale"),
        ('-linear")\n', '-linear")\n\n\nname = None\n'),
    ],
)
def test_a_change_of_the_code_changes_it(package, old, new):
    before = of_plugin()
    edit(package / "my_plugin" / "algo.py", old, new)
    assert of_plugin() != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# ours", "# theirs, and it is long"),
        ("  # ours", ""),
        ('"""What it is for."""\n', ""),
        ('"""A learning rate."""', '"""Another\n\n        text."""'),
        ('    """Widths."""\n', ""),
        ("\n\n\n", "\n"),
        ("\n", "\r\n"),
        ('"agent"', "'agent'"),
        ('"agent"', '"ag" "ent"'),
        ("self.lr * factor", "(\n            self.lr\n            * factor  # a product\n        )"),
        ("self.lr * factor", "(self.lr * factor)"),
        ("config: Config, prefix", "\n    config: Config,\n    prefix"),
        ('"agent")', '"agent",)'),
        ("1e-3", "0.001"),
        ('"""A learning rate."""', "pass"),
    ],
)
def test_comments_docstrings_and_layout_do_not_change_it(package, old, new):
    before = of_plugin()
    edit(package / "my_plugin" / "algo.py", old, new)
    assert of_plugin() == before


def test_another_indentation_and_a_byte_order_mark_do_not_change_it(package):
    before = of_plugin()
    path = package / "my_plugin" / "algo.py"
    path.write_bytes(b"\xef\xbb\xbf" + SOURCE.replace("    ", "\t").encode())
    assert of_plugin() == before


def test_files_count_by_name_and_data_by_bytes(package):
    folder = package / "my_plugin"
    seen = [of_plugin()]
    (folder / "algo.py").rename(folder / "algorithm.py")
    seen.append(of_plugin())
    edit(folder / "table.csv", "1,2", "1,3")
    seen.append(of_plugin())
    (folder / "fast.so").write_bytes(b"\x7fELF")
    seen.append(of_plugin())
    (folder / "sub").mkdir()
    (folder / "sub" / "more.py").write_text("x = 1\n")
    seen.append(of_plugin())
    assert len(set(seen)) == len(seen)


def test_what_interpreters_and_editors_leave_does_not_count(package):
    before = of_plugin()
    folder = package / "my_plugin"
    for name in ("__pycache__/algo.cpython-311.pyc", ".algo.py.swp", "algo.py~", ".ipynb_checkpoints/algo.py", "a.pyc"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"anything")
    os.mkfifo(folder / "pipe")  # which would never end
    (folder / "gone").symlink_to("nowhere")
    (folder / "round").symlink_to(folder)
    assert of_plugin() == before


def test_a_file_that_python_cannot_parse_counts_as_its_bytes(tmp_path):
    path = tmp_path / "broken.py"
    sources = (b"def f(:\n", b"def f(:\n\n", b"x = 1\0", b"# -*- coding: none -*-\n", b"x = '\xff'\n", b"(" * 5_000)
    for source in sources:
        path.write_bytes(source)
        assert normalised(path) == source


def test_a_number_of_thousands_of_digits_is_no_error(tmp_path):
    path = tmp_path / "long.py"
    path.write_text(f"x = 0x{'f' * 5_000}\n")
    assert normalised(path) == path.read_bytes()


def test_deep_source_is_no_error(tmp_path):
    path = tmp_path / "deep.py"
    path.write_text(f"x = {'+'.join(['1'] * 20_000)}\n")
    assert normalised(path)


def test_a_file_that_cannot_be_read_counts_as_the_reason(tmp_path):
    assert normalised(tmp_path / "gone.py").startswith(b"unreadable")
    assert normalised(tmp_path) != normalised(tmp_path / "gone.py")


# Each of these means something else; two spaces or a line's end stand between two, and ¶ for a line's end inside one.
CODE = """
f(a, b)  f((a, b))  f(a)(b)  f(a, *b)  f(*a, b)  f(a=b)  f(**a)  a, b  [a, b]  [[a], b]  [a, [b]]  {a: b}  {**b}
{a: None}  {None: a}  {a, b}  'a'  b'a'  f'a'  f'{a}'  f'{a!r}'  f'{a=}'  f'{a:b}'  f'{a:{b}}'  1  1.0  True  1j  None
...  'None'  -1  - -1  ~1  []  ['']  ['', '']  [')']  ['(', ')']  a[b]  a[b:]  a[:b]  a[::b]  a[b,]  a.b  a < b < c
a < (b < c)  (a < b) < c  a if b else c  lambda a: b  lambda *, a: b  lambda a=b: b  lambda a, /: b  lambda *a: b
lambda **a: b  [a for a in b]  (a for a in b)  {a for a in b}  [a for a in b if a]  a and b and c  (a and b) and c
a or b  'é'  'e\u0301'  0.1  0.10000000000000002  (a := b)
if a: b()  if a: b()¶else: c()  if a:¶ b()¶ c()  if a: b()¶c()  while a: b()  for a in b: c()
a = b = c  a = b, c  with a: b()  with a as b: c()  async def f(): await a  def f(): a
def f(a): a  def f(*, a): a  def f(a, /): a  def f(a=1): a  def f(a: int): a  def f() -> int: a
@a¶def f(): a  class f: a = 1  class f(a): a = 1  del a  raise a  raise a from b
try: a()¶except b: c()  try: a()¶finally: c()  try: a()¶except b as c: d()  a += 1  a -= 1  global a
import a  import a as b  from a import b  from . import b  from .a import b  from .. import b
match a:¶ case 1: b()  match a:¶ case _: b()  match a:¶ case b: b()  match a:¶ case [b, *_]: b()
match a:¶ case {"x": b, **c}: b()  assert a  assert a, b  a: int  a: int = 1  (a): int
"""


def test_different_code_is_written_differently(tmp_path):
    path = tmp_path / "code.py"
    sources = [source.replace("¶", "\n") for line in CODE.split("\n") for source in line.split("  ") if source]
    written = {}
    for source in sources:
        code = f"x = {source}" if is_expression(source) else source  # alone, a constant would not count
        ast.parse(code)
        path.write_text(code, encoding="utf-8")
        written.setdefault(normalised(path), []).append(source)
    assert len(sources) > 100
    assert [same for same in written.values() if len(same) > 1] == []


def is_expression(source: str) -> bool:
    try:
        ast.parse(source, mode="eval")
    except SyntaxError:
        return False
    return True


def test_our_own_files_are_the_algorithms_the_environments_and_what_the_training_imports():
    names = set(own_files())
    assert {"savo_bench/algos/td3.py", "savo_bench/envs/restricted.py", "savo_bench/results/format.py"} <= names
    entry = fingerprint.TRAINING.replace(".", "/")
    assert {f"{entry}.py", f"{entry}/__init__.py"} & names
    assert "savo_bench/bench/evaluate.py" in names or any("training/evaluat" in name for name in names)
    for unrelated in ("bench/cli.py", "bench/film.py", "results/report.py", "results/plots.py"):
        assert f"savo_bench/{unrelated}" not in names


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("import savo_bench.algos.td3", {"savo_bench", "savo_bench.algos", "savo_bench.algos.td3"}),
        ("from savo_bench.bench import plan as p", {"savo_bench", "savo_bench.bench", "savo_bench.bench.plan"}),
        ("def f():\n    from . import plan", {"savo_bench", "savo_bench.bench", "savo_bench.bench.plan"}),
        ("from ..envs import make", {"savo_bench", "savo_bench.envs", "savo_bench.envs.make"}),
        ("if TYPE_CHECKING:\n    import a\nimport b", {"b"}),
        ("if typing.TYPE_CHECKING:\n    import a\nelse:\n    import b", {"b"}),
    ],
)
def test_what_a_module_imports_is_found(source, modules):
    assert set(fingerprint._imported(source.encode(), "savo_bench.bench")) == modules


def test_an_installation_is_like_the_checkout_and_two_dirty_states_of_it_differ(tmp_path, run_python):
    source = Path(fingerprint.__file__).resolve().parent.parent
    copy = tmp_path / "copy" / "savo_bench"
    for folder in ("algos", "bench", "envs", "results"):
        shutil.copytree(source / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(source / "src" / "savo_bench" / "__init__.py", copy)
    code = f"""
        import sys
        sys.path.insert(0, {str(copy.parent)!r})
        from savo_bench.bench.fingerprint import digest, own_files
        noise = own_files()["savo_bench/algos/noise.py"]
        print(digest(own_files()))
        for change in ("SIGMA = 1\\n", "SIGMA = 2\\n"):
            noise.write_text(noise.read_text("utf-8") + change, "utf-8")
            print(digest(own_files()))
    """
    result = run_python(textwrap.dedent(code))
    assert result.returncode == 0, result.stderr
    clean, *dirty = result.stdout.split()
    assert clean == digest(own_files())
    assert len({clean, *dirty}) == 3


def test_ours_is_there():
    found = fingerprints()
    assert len(found["savo-bench"]) == 16
    assert int(found["savo-bench"], 16) >= 0
    assert fingerprints() is found


def test_packages_that_the_distribution_lists_count_too(tmp_path, monkeypatch):
    files = {"my_plugin/__init__.py": "", "my_plugin/algo.py": "", "my_nets/__init__.py": "", "my_nets/data.bin": "x"}
    install(tmp_path, files | {"my_module.py": "", "elsewhere/__init__.py": ""})
    (tmp_path / "first" / "elsewhere").mkdir(parents=True)
    (tmp_path / "first" / "elsewhere" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "first")  # whose package is imported, and is another's
    assert set(files_of("my_plugin.algo")) == {*files, "my_module.py"}


def test_a_shared_package_without_init_counts_only_where_the_plugin_lies(tmp_path, monkeypatch):
    files = {"lab/mine/__init__.py": "", "lab/mine/algo.py": "", "lab/mine/deep/net.py": ""}
    install(tmp_path, files, ("lab.mine.algo",))
    other = tmp_path / "lab" / "other.py"
    other.write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert set(files_of("lab.mine.algo")) == set(files)
    assert "lab.mine" not in sys.modules


def test_a_package_that_forgot_its_init_counts_whole(tmp_path, monkeypatch):
    files = {"my_plugin/algo.py": "", "my_plugin/net.py": "", "my_plugin/deep/more.py": ""}
    install(tmp_path, files)
    monkeypatch.syspath_prepend(tmp_path)
    assert set(files_of("my_plugin.algo")) == set(files)


def test_a_plugin_of_one_module_counts(tmp_path, monkeypatch):
    install(tmp_path, {"my_plugin.py": ""}, ("my_plugin",))
    monkeypatch.syspath_prepend(tmp_path)
    assert set(files_of("my_plugin")) == {"my_plugin.py"}


def test_a_plugin_that_is_not_there_is_no_error(tmp_path, monkeypatch):
    install(tmp_path, {}, ("no_such_package.algo", ".", "no..such"))
    monkeypatch.syspath_prepend(tmp_path)
    assert fingerprints()["my-plugin"] == digest({})


def test_nothing_of_a_plugin_is_imported(package):
    edit(package / "my_plugin" / "__init__.py", "", "raise RuntimeError('imported')\n")
    assert len(of_plugin()) == 16
    assert "my_plugin" not in sys.modules


def test_a_checkout_and_an_ordinary_installation_of_the_same_source_are_the_same(tmp_path, run_python):
    source = tmp_path / "source"
    (source / "src" / "my_plugin").mkdir(parents=True)
    (source / "src" / "my_nets").mkdir()
    (source / "src" / "my_plugin" / "__init__.py").write_text("")
    (source / "src" / "my_plugin" / "algo.py").write_text(SOURCE)
    (source / "src" / "my_plugin" / "table.csv").write_text("1,2\n")
    (source / "src" / "my_nets" / "__init__.py").write_text("x = 1\n")
    (source / "pyproject.toml").write_text(
        textwrap.dedent("""
            [build-system]
            requires = ["setuptools"]
            build-backend = "setuptools.build_meta"
            [project]
            name = "my-plugin"
            version = "1.0"
            [project.entry-points."savo_bench.envs"]
            mine = "my_plugin.algo"
            [tool.setuptools.package-data]
            my_plugin = ["*.csv"]
        """)
    )

    def install_into(name: str, *what: str) -> Path:
        prefix = tmp_path / name
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        subprocess.run([*pip, "--prefix", prefix, *what], check=True, timeout=240, capture_output=True)
        (site,) = prefix.glob("lib/python*/site-packages")
        return site

    def hashed(site: Path) -> str:
        code = f"import site; site.addsitedir({str(site)!r})\nfrom savo_bench.bench.fingerprint import fingerprints"
        result = run_python(f"{code}\nprint(fingerprints()['my-plugin'])")
        assert result.returncode == 0, result.stderr
        return result.stdout

    copy = tmp_path / "copy"  # building writes into the source
    shutil.copytree(source, copy)
    installed = hashed(install_into("wheel", str(copy)))
    assert hashed(install_into("again", str(copy))) == installed
    checkout = install_into("editable", "--editable", str(source))
    assert hashed(checkout) == installed
    edit(source / "src" / "my_nets" / "__init__.py", "1", "2")
    assert hashed(checkout) != installed
