"""The documents and the docstrings of packages: they name what there is, and nothing that is not there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "README.md"])
PACKAGES = sorted(
    file.parent for package in ("algos", "bench", "envs", "results") for file in (ROOT / package).rglob("__init__.py")
)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_says_or_registers_each_of_its_files(package: Path):
    words = set(
        re.findall(r"\w+", (package / "__init__.py").read_text("utf-8"))
    )  # what it registers need not be said twice
    files = {file.stem for file in package.glob("*.py") if file.name != "__init__.py"}
    folders = {folder.parent.name for folder in package.glob("*/__init__.py")}
    assert (files | folders) - words == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path):
    text = document.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("http"):
            path, _, anchor = target.partition("#")
            file = (document.parent / path).resolve() if path else document
            assert file.exists(), target
            if anchor and file.suffix == ".md":
                assert anchor in anchors(file), target


def anchors(document: Path) -> set[str]:
    """What links into a document can name: its headings, as GitHub calls them, and ids."""
    text = document.read_text("utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_document_names_are_there(document: Path):
    text = document.read_text("utf-8")
    named = re.findall(r"`((?:algos|bench|envs|results|tests|benchmarks|docs|containers)/[\w./-]+)`", text)
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


def test_the_readme_lists_every_document():
    text = (ROOT / "README.md").read_text("utf-8")
    assert [path.name for path in (ROOT / "docs").glob("*.md") if f"(docs/{path.name})" not in text] == []
