"""What continuous integration runs: `nox` runs all of it, `nox -s tests` one part."""

import re
import shutil
from pathlib import Path

import nox

nox.options.sessions = [
    "lint",
    "types",
    "tests",
    "laws",
    "results-only",
    "rliable",
    "slurm",
    "smoke",
    "package",
    "gate",
]
nox.options.reuse_venv = "yes"

# Everything is installed in the versions that the project was tested with.
PINNED = ("-c", "constraints.txt")
# As many processes as cores; 8 at most, as each holds torch and a simulator in memory.
PARALLEL = ("-n", "auto", "--maxprocesses", "8", "--dist", "worksteal")
PYTEST = ("pytest", "pytest-timeout", "pytest-xdist")  # what pyproject.toml's settings of pytest need
# Imports of our packages that are not inside a function.
OUR_PACKAGE = re.compile(r"^(?:from|import) savo_bench(?:\.| import )(\w+)", re.MULTILINE)
UNWANTED = ("torch", "mujoco", "gymnasium", "typer", "rich")  # what the package results does without
UNWANTED_IMPORT = re.compile(rf"^(?:from|import) (?:{'|'.join(UNWANTED)})\b", re.MULTILINE)
# How this processor computes, as a part of a file's name.
ARITHMETIC = """
import re, torch
from savo_bench.bench.processor import arithmetic
print(re.sub("[^a-z0-9]+", "-", arithmetic()))
"""
CANNOT_TELL = 3  # the exit code of `bench check` where seeds scatter too much to tell
# A fenced bash block of the README with this comment on the line before it is run by `smoke`, in the order of the page.
MARKED_BLOCK = re.compile(r"^<!-- ci -->\n```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@nox.session
def lint(session: nox.Session) -> None:
    session.install(*PINNED, "ruff")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    # Not compiled: pyright reads the packages and runs none of them.
    session.install(*PINNED, "--no-compile", "-e", ".[dev,benchmarks,film,tensorboard]")
    session.run("pyright", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    session.install(*PINNED, "-e", ".[dev,benchmarks,film,movielens,approximate,tensorboard]")
    session.run("pytest", *PARALLEL, *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def laws(session: nox.Session) -> None:
    """The three laws of a run, and what goes wrong in training, on real trainings: minutes."""
    session.install(*PINNED, "-e", ".[dev]")
    session.run("pytest", "-m", "laws", *PARALLEL, *session.posargs, env={"OMP_NUM_THREADS": "1"})


def results_tests() -> list[str]:
    """The test files that import results and neither another package of ours nor one that results does without."""
    texts = {file: file.read_text(encoding="utf-8") for file in sorted(Path("tests").glob("test_*.py"))}
    return [
        str(file)
        for file, text in texts.items()
        if set(OUR_PACKAGE.findall(text)) == {"results"} and not UNWANTED_IMPORT.search(text)
    ]


@nox.session(name="results-only")
def results_only(session: nox.Session) -> None:
    """Read and report runs on a machine that has neither torch nor a simulator nor anything else but these."""
    session.install(*PINNED, "pandas", "seaborn", "numpy", "scipy", "jinja2", "markdown-it-py", *PYTEST)
    session.run("python", "-c", f"import importlib.util as u; assert not [n for n in {UNWANTED} if u.find_spec(n)]")
    source = str(Path("src").resolve())  # nothing of ours is installed here, and tests start processes
    session.run(
        "pytest", *results_tests(), *PARALLEL, *session.posargs, env={"OMP_NUM_THREADS": "1", "PYTHONPATH": source}
    )


@nox.session
def rliable(session: nox.Session) -> None:
    """Compare metrics and intervals with rliable's, which needs old versions of others and is no dependency."""
    # arch 8 has lost what rliable 1.2.0 imports of it, and pandas 3 what that arch needs
    session.install("rliable==1.2.0", "arch<8", "pandas<3", *PYTEST)
    session.run("pytest", "tests/rliable_agreement.py", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def slurm(session: nox.Session) -> None:
    """On a real SLURM of two nodes, which tests/slurm/cluster.sh installs and starts; skipped where it cannot.

    Where CI is set, it fails there.
    """
    session.install(*PINNED, "-e", ".[dev,benchmarks]")
    # Its tests mostly wait. Each of the four processes starts a SLURM of its own, which the first installs.
    beside = ("-n", "4", "--dist", "worksteal")
    session.run(
        "pytest", "-m", "slurm", "--timeout", "1800", *beside, "tests/slurm", *session.posargs,
        env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@nox.session
def gate(session: nox.Session) -> None:
    """Train a small grid and judge it by this project's own baseline, if there is one by that of a processor like this.

    Scores are the same to the last digit only where the arithmetic is. By another processor's baseline a regression
    fails, and "cannot tell" is printed and passes. After a change that is meant to change scores:
    `nox -s gate -- --update`, and commit the baseline.
    """
    session.install(*PINNED, "-e", ".[dev]")
    session.env["OMP_NUM_THREADS"] = "1"
    runs = Path(session.create_tmp(), "runs")
    shutil.rmtree(runs, ignore_errors=True)  # what another version of the code has trained would be taken as done
    for grid in ("restricted", "items"):
        session.run("bench", "run", "--config", f"tests/gate/{grid}.toml", "--name", "gate", "--runs", str(runs))
    said = session.run("python", "-c", ARITHMETIC, silent=True)
    own = Path(f"tests/gate/baseline-{str(said).split()[-1]}.csv")
    check = ("bench", "check", "gate", "--runs", str(runs))
    if "--update" in session.posargs:
        session.run(*check, "--update", str(own))
    elif own.exists():
        session.run(*check, "--against", str(own))
    else:
        other = sorted(own.parent.glob("baseline-*.csv"))[0]
        session.run(*check, "--against", str(other), success_codes=[0, CANNOT_TELL])


@nox.session(reuse_venv=False)
def smoke(session: nox.Session) -> None:
    """Do what the README says, as a user would: a fresh environment, an ordinary install, its commands verbatim."""
    # In a copy of the files that git knows or would add, because installing and the commands write into their folder.
    listed = session.run("git", "ls-files", "-z", "-co", "--exclude-standard", external=True, silent=True)
    copy = Path(session.create_tmp(), "checkout")
    shutil.rmtree(copy, ignore_errors=True)
    for name in filter(None, str(listed).split("\0")):
        if Path(name).exists():  # a file that was deleted and not yet committed does not
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, copy / name, follow_symlinks=False)
    session.chdir(copy)

    blocks = MARKED_BLOCK.findall(Path("README.md").read_text(encoding="utf-8"))
    if not blocks:
        session.error("README.md: no bash block is marked <!-- ci -->")
    session.install(*PINNED, ".")
    for commands in blocks:
        session.run("bash", "-euxo", "pipefail", "-c", commands, external=True)


@nox.session(reuse_venv=False)
def package(session: nox.Session) -> None:
    """Build a source archive, from that a wheel, install it where nothing of the checkout is seen, and use it."""
    built = Path(session.create_tmp(), "built").resolve()
    shutil.rmtree(built, ignore_errors=True)
    session.install(*PINNED, "setuptools")
    session.run("python", "-c", f"import setuptools.build_meta as build; build.build_sdist({str(built)!r})")
    (archive,) = built.glob("*.tar.gz")
    session.run("pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(archive))
    (wheel,) = built.glob("*.whl")
    session.install(*PINNED, str(wheel))
    session.chdir(built)
    session.run("bench", "--version")
    grid = ("--algos", "td3", "--envs", "restricted-inverted-pendulum", "--profile", "ci", "--steps", "1000")
    session.run("bench", "run", *grid, env={"OMP_NUM_THREADS": "1"})
    session.run("bench", "report")
    session.run("bench", "export", "--to", "csv")
