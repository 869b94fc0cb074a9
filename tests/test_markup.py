"""Names, messages and help are text: nothing in them is read as markup, as an emoji or as a command of the terminal."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
from commands import Bench
from rich.console import Console
from test_frame import fake_run

from savo_bench import algos
from savo_bench.bench import flags, launch, show
from savo_bench.bench.flags import Flag

NAMES = ["[old]", ":smile:", "[/bold]", "H:M:S", "$x^2$", "_low", "[red]a[/red]"]
MESSAGE = "ValueError: [old] :smile: [/bold] H:M:S $x$"


@pytest.mark.parametrize("name", NAMES)
def test_names_of_runs_are_shown_as_they_are(bench: Bench, name):
    root = Path("runs/default")
    for seed in range(2):
        fake_run(root, [0, 1, 2, 3], environment="env-a", variant=name, seed=seed)
        fake_run(root, [0, 1, 2, 3], environment=name.replace("/", "-"), variant="td3", seed=seed)
    code, out, err = bench("status")
    assert (code, err) == (0, "")
    assert name in out
    assert name.replace("/", "-") in out
    assert name in bench("report", "--out", "page")[1]
    assert name in bench("check", "--update", "base.csv")[1]
    assert name in bench("check", "--against", "base.csv")[1]
    svg = Path("page/figures/curves.svg").read_text()
    assert f"<!-- {name} (2 seeds) -->" in svg  # in the legend, where matplotlib leaves out a name that begins with _
    assert "Oblique" not in svg  # as the letters of a formula are


def test_messages_of_failures_are_shown_as_they_are(bench: Bench):
    for seed, reason in enumerate((MESSAGE, "\x1b[2Jgone")):
        fake_run(Path("runs/default"), [1], environment="env-a", seed=seed, state="failed", reason=reason)
    code, out, _ = bench("status")
    assert code == 1
    assert MESSAGE in out
    assert "\x1b" not in out
    assert "[2Jgone" in out
    assert MESSAGE in Path(bench("report", "--out", "page") and "page/index.html").read_text().replace("&#39;", "'")


def test_folders_without_a_run_are_shown_as_they_are(bench: Bench):
    for folder in ("[old]/[bold]", ":smile:/[-bold]"):
        (Path("runs/default") / folder / "seed-0000").mkdir(parents=True)
    _, out, _ = bench("status")
    for name in ("[old]", "[bold]", ":smile:", "[-bold]"):
        assert name in out


@pytest.mark.parametrize("name", ["[old]", ":smile:", "[/bold]"])
def test_errors_show_what_was_typed(bench: Bench, name):
    for arguments in (
        ("status", name),
        ("list", name),
        ("run", "--algos", name, "--envs", "all"),
        ("run", "--algos", "td3", "--envs", name),
        ("run", "--algos", f"td3:{name}=3", "--envs", "all"),
        ("run", "--algos", "td3", "--envs", "all", "--set", f"{name}=3"),
        ("run", "--steps", name),
        ("run", "--config", name),
        ("check", "--against", name),
    ):
        code, _, err = bench(*arguments)
        assert code == 2
        assert name in err or "there are no runs" in err


def test_summaries_are_listed_as_they_are(bench: Bench, monkeypatch):
    entry = algos.get("td3")
    described = algos.Entry("td3", entry.config, entry.agent, "[old] :smile: [/bold] H:M:S")
    monkeypatch.setattr(algos, "names", lambda: ["td3"])
    monkeypatch.setattr(algos, "get", lambda _: described)
    assert "[old] :smile: [/bold] H:M:S" in bench("list", "algos")[1]


@dataclass(frozen=True)
class Odd:
    odd: Annotated[str | None, Flag("As [old], :smile: or H:M:S.")] = None


def test_help_is_shown_as_it_is(bench: Bench, monkeypatch):
    code, out, _ = bench("run", "--help")
    assert code == 0
    assert "H:M:S" in out
    assert "With --on slurm:" in out
    monkeypatch.setattr(launch.get("inline"), "options_type", Odd)
    assert "As [old], :smile: or H:M:S." in " ".join(bench("run", "--help")[1].split())
    assert [parameter.name for parameter in flags.parameters(Odd)] == ["odd"]


def test_a_table_is_text_on_any_console():
    output = io.StringIO()
    table = show.table("[a]", ":smile:", title="[/bold]")
    table.add_row("[old]", "\x1b[2J")
    Console(file=output, width=80).print(table)
    assert all(text in output.getvalue() for text in ("[a]", ":smile:", "[/bold]", "[old]"))
    assert "\x1b" not in output.getvalue()
