"""What an installation holds, and what importing it does."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("bench", "algos", "envs", "results")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what packaging reads of this checkout, as building writes where it reads."""
    copy = tmp_path_factory.mktemp("source")
    caches = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("src", *FOLDERS):
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=caches)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    return copy


def build_wheel(source: Path, target: Path) -> Path:
    """Build a wheel without the network from a folder or an archive."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", target, source], check=True, timeout=300)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


def files_in(wheel: Path) -> set[str]:
    """The files that a wheel installs, without those about itself."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_a_wheel_holds_every_file_of_the_four_packages_under_one_name(source: Path, wheel: Path):
    files = {path.relative_to(source) for folder in FOLDERS for path in (source / folder).rglob("*") if path.is_file()}
    assert files_in(wheel) == {f"savo_bench/{path}" for path in files} | {
        "savo_bench/__init__.py",
        "savo_bench/py.typed",
    }


def test_a_source_archive_gives_the_same_wheel(source: Path, wheel: Path, tmp_path):
    code = f"import setuptools.build_meta as build; build.build_sdist({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, timeout=300, stdout=subprocess.DEVNULL)
    (archive,) = tmp_path.glob("*.tar.gz")
    assert files_in(build_wheel(archive, tmp_path)) == files_in(wheel)


def test_what_is_installed_works_without_the_checkout(wheel: Path, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "import savo_bench.bench.cli, savo_bench.results.report; print(savo_bench.__file__)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.stdout.strip() == str(tmp_path / "site" / "savo_bench" / "__init__.py"), ran.stderr


@pytest.mark.parametrize("code", ["import savo_bench, gymnasium", "import gymnasium, savo_bench"])
def test_importing_the_package_registers_the_tasks(run_python, code: str):
    result = run_python(f"{code}\nprint(gymnasium.make('SavoBench/RestrictedHopper-v0').spec.id)")
    assert result.stdout.strip() == "SavoBench/RestrictedHopper-v0", result.stderr


def test_the_command_line_imports_nothing_before_it_can_say_what_fails(tmp_path):
    code = "import sys, savo_bench.bench.cli; print(sorted({'gymnasium', 'numpy', 'rich', 'typer'} & set(sys.modules)))"
    for name, imported in (("bench", []), ("bench.py", ["gymnasium", "numpy"]), ("train", ["gymnasium", "numpy"])):
        (tmp_path / name).write_text(code)
        environment = {"PYTHONPATH": str(ROOT / "src")}
        ran = subprocess.run(
            [sys.executable, tmp_path / name], env=environment, capture_output=True, text=True, check=True
        )
        assert ran.stdout.strip() == str(imported)


def test_gymnasium_imports_the_package_that_an_id_names(run_python):
    result = run_python("import gymnasium as gym; print(gym.make('savo_bench:SavoBench/MineWorld-v0').spec.id)")
    assert result.stdout.strip() == "SavoBench/MineWorld-v0", result.stderr


def test_folders_of_the_users_own_do_not_get_in_the_way(run_python, tmp_path):
    for name in ("bench", "algos", "envs", "results"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('somebody else')")
    result = run_python(
        "import sys; sys.argv = ['bench', 'list']; from savo_bench.bench.cli import main; main()", tmp_path
    )
    assert result.returncode == 0, result.stderr
