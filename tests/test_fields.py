"""What fields mean is said once, beside them, and every place that says it says the same."""

import pytest
from commands import ROOT

from savo_bench import algos
from savo_bench.algos.config import ActorConfig
from savo_bench.bench import completion, examples, fields, verbs

ENTRIES = algos.BUILT_IN


def test_the_page_is_what_the_code_says():
    page = (ROOT / "docs" / "fields.md").read_text("utf-8")
    assert page == fields.page(), "run python docs/fields.py"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_field_says_what_it_means_and_where_its_default_is_from(entry):
    for field in fields.of(entry.config).values():
        source, _, meaning = field.says.partition(":") if ":" in field.says else field.says.partition(";")
        assert source in ("ours", "paper", "code"), f"{field.name}: {field.says!r}"
        assert meaning.strip(), field.name


def test_a_comment_on_the_line_before_belongs_to_the_field():
    says = fields.of(ActorConfig)["output_gain"].says
    assert says.startswith("ours: with the code's 1e-3")
    assert says.endswith("its bias is not scaled")


def test_list_says_what_a_field_means_and_what_profiles_make_of_it(bench_here):
    code, out, _ = bench_here("list", "lr")
    assert code == 0
    assert "Adam, every network" in out
    assert "default 0.0003; takes a number" in out
    assert "in profiles: quick: 0.001; ci: 0.001; paper: 0.0003" in out
    code, out, _ = bench_here("list", "savo")
    assert (code, "extra_actors" in out, "read as three beside the first" in out) == (0, True, True)
    code, _, err = bench_here("list", "extra_actor")
    assert (code, "did you mean extra_actors" in err) == (2, True)


def test_every_verb_has_an_example_that_names_it_and_exit_codes(bench_here):
    names = [command.name for command in verbs.app().registered_commands]
    assert set(names) == set(examples.EXAMPLES)
    for name in names:
        code, out, _ = bench_here(str(name), "--help")
        assert code == 0
        assert f"bench {name}" in out.partition("Example:")[2]
        assert "0 " in out.partition("Exit codes:")[2]


def test_help_shows_defaults_and_no_emoji(bench_here):
    out = bench_here("run", "--help")[1]
    assert "[default: quick]" in out
    assert "[default: 300]" in out
    assert "minutes, H:M:S, D-H" in out


def test_the_version(bench_here):
    code, out, err = bench_here("--version")
    assert (code, err) == (0, "")
    assert out.startswith("savo-bench ")


def test_bench_alone_prints_its_help_and_no_error(bench_here):
    code, out, err = bench_here()
    assert (code, err) == (2, "")
    assert out.startswith("Usage: bench")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("bench exp", ["export"]),
        ("bench run --algos savo,td", ["savo,td3"]),
        ("bench run --algos savo:extra_act", ["savo:extra_actors="]),
        ("bench run --algos savo:lr=1,extra_act", ["savo:lr=1,extra_actors="]),
        ("bench run --envs restricted-hop", ["restricted-hopper"]),
        ("bench run --set truncat", ["truncation="]),
        ("bench run --profile q", ["quick"]),
        ("bench list extra", ["extra_actors"]),
        ("bench report gr", ["grid"]),
    ],
)
def test_a_shell_completes(bench_here, tmp_path, monkeypatch, words, found):
    (tmp_path / "runs" / "grid").mkdir(parents=True)
    monkeypatch.setenv(completion.VARIABLE, "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    code, out, err = bench_here()
    assert (code, err) == (0, "")
    assert out.split() == found
