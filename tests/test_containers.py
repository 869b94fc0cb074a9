"""The recipes for containers: by linters, where these are installed, and by what both must say. Nothing is built."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "containers" / "Dockerfile"
APPTAINER = ROOT / "containers" / "apptainer.def"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

INSTRUCTIONS = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "USER", "WORKDIR"}
SECTIONS = {"arguments", "files", "post", "environment", "runscript", "test", "help"}
SCRIPTS = ("post", "environment", "runscript", "test")


def instructions() -> list[tuple[str, str]]:
    """(instruction, argument) of each line of the Dockerfile; one that is broken over several lines counts as one."""
    lines = [line for line in DOCKERFILE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    return [(name, argument.strip()) for name, _, argument in (line.partition(" ") for line in whole)]


def of(instruction: str) -> list[str]:
    return [argument for name, argument in instructions() if name == instruction]


def header_and_sections() -> tuple[dict[str, str], dict[str, str]]:
    """The header's fields of the definition file, and its sections by name."""
    header, *parts = re.split(r"^%", APPTAINER.read_text("utf-8"), flags=re.MULTILINE)
    fields = dict(line.split(": ") for line in header.splitlines() if line and not line.startswith("#"))
    sections = [part.partition("\n") for part in parts]
    return fields, {name: text for name, _, text in sections}


def section(name: str) -> str:
    return header_and_sections()[1][name]


def tool(name: str) -> str:
    """A program installed with Python's packages or the system's; skips where it is not there."""
    found = shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def copied_by_docker() -> set[str]:
    return {source for line in of("COPY") if not line.startswith("--from") for source in line.split()[:-1]}


def copied_by_apptainer() -> set[str]:
    return {line.split()[0] for line in section("files").splitlines() if line.strip()}


def installs(text: str) -> list[str]:
    """The `pip install` commands in a shell's lines."""
    return [line.strip() for line in re.split(r"\n|&&", text) if re.search(r"\bpip3? install\b", line)]


def apt_packages(text: str) -> set[str]:
    (found,) = re.findall(r"apt-get install ([^\n&]*)", text)
    return {word for word in found.split() if not word.startswith("-")}


def scripts() -> list[tuple[str, str]]:
    """(where, shell lines) of everything that a shell runs in either recipe."""
    runs = [(f"RUN {number}", text) for number, text in enumerate(of("RUN"))]
    sections = header_and_sections()[1]
    return runs + [(name, re.sub(r"\{\{ \w+ \}\}", "value", sections[name])) for name in SCRIPTS]


def test_hadolint_finds_nothing():
    result = subprocess.run(
        [tool("hadolint"), "--no-color", str(DOCKERFILE)], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("where", [where for where, _ in scripts()])
def test_shellcheck_finds_nothing(where):
    command = [tool("shellcheck"), "--shell=sh", "--severity=style", "-"]
    text = dict(scripts())[where]
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("where", "text"), scripts(), ids=[where for where, _ in scripts()])
def test_every_script_is_shell(where, text):
    assert text.strip(), where
    subprocess.run(["sh", "-n"], input=text, text=True, check=True, timeout=60)


def test_only_known_instructions_and_sections():
    assert {name for name, _ in instructions()} <= INSTRUCTIONS
    fields, sections = header_and_sections()
    assert set(sections) == SECTIONS
    assert fields["Bootstrap"] == "docker"


def test_both_begin_from_one_python_that_the_project_supports():
    bases = {line.split()[0] for line in of("FROM")} | {header_and_sections()[0]["From"]}
    assert len(bases) == 1
    version = re.fullmatch(r"python:3\.(\d+)-slim-bookworm", bases.pop())
    assert version is not None
    least = re.fullmatch(r">=3\.(\d+)", PROJECT["project"]["requires-python"])
    assert least is not None
    assert int(version[1]) >= int(least[1])


def test_what_is_copied_is_there_and_is_what_installing_needs():
    copied = copied_by_docker()
    assert copied == copied_by_apptainer()
    assert [name for name in copied if not (ROOT / name).exists()] == []
    packages = {
        link.resolve().relative_to(ROOT).as_posix() for link in (ROOT / "src/savo_bench").iterdir() if link.is_symlink()
    }
    needed = {
        "src",
        "pyproject.toml",
        PROJECT["project"]["readme"],
        *PROJECT["project"]["license-files"],
        "constraints.txt",
    }
    assert copied == packages | needed


def test_the_builder_is_sent_what_is_copied():
    lines = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == copied_by_docker()


def test_every_version_comes_from_the_constraints():
    for text in ("\n".join(of("RUN")), section("post")):
        commands = installs(text)
        assert len(commands) == 1
        assert "-c constraints.txt" in commands[0]
        assert "==" not in commands[0]
        extras = re.search(r'"\.\[([\w,]+)\]"', commands[0])
        assert extras is not None
        assert set(extras[1].split(",")) <= set(PROJECT["project"]["optional-dependencies"])


def test_both_install_the_same_of_debian():
    assert apt_packages("\n".join(of("RUN"))) == apt_packages(section("post")) == {"libegl1", "libgl1"}


def test_torch_comes_from_one_index_that_can_be_chosen():
    (argument,) = of("ARG")
    assert argument == section("arguments").strip()
    assert '"$TORCH_INDEX"' in "\n".join(of("RUN"))
    assert '"{{ TORCH_INDEX }}"' in section("post")


def test_the_command_is_bench_and_its_user_is_not_root():
    assert "bench" in PROJECT["project"]["scripts"]
    assert [json.loads(line) for line in of("ENTRYPOINT")] == [["bench"]]
    assert section("runscript").strip() == 'exec bench "$@"'
    names = [name for name, _ in instructions()]
    assert of("USER") == ["1000"]
    assert "RUN" not in names[names.index("USER") :]


def test_both_set_the_same_environment():
    of_docker = dict(word.split("=", 1) for line in of("ENV") for word in line.split())
    of_apptainer = dict(re.findall(r'^\s*export (\w+)="?([^"\n]*)', section("environment"), re.MULTILINE))
    assert of_docker == of_apptainer
    assert of_docker["OMP_NUM_THREADS"] == "1"


def test_the_readme_builds_what_is_there():
    text = (ROOT / "containers" / "README.md").read_text("utf-8")
    for name in re.findall(r"containers/[\w.]+", text):
        assert (ROOT / name).is_file()
