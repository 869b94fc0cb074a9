"""What `bench run` was asked for, by a file and by the command line."""

from pathlib import Path
from typing import Any

import pytest

from savo_bench.bench import grammar, launch, options, resolving
from savo_bench.bench.errors import UserError
from savo_bench.bench.options import Options


def made_of(file: Path | None, **given: Any) -> Options:
    """The options of a TOML file and of the values that a command line gives."""
    return options.make({"config": file, **given}, launch.options_types())


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return path


def test_a_file_holds_the_same_options_and_the_command_line_wins(tmp_path):
    path = written(
        tmp_path,
        """
        algos = ["savo:extra_actors=5,target_noise=0", "td3"]
        envs = "restricted-hopper"
        seeds = 4
        eval-every = 100
        checkpoint_every = 3
        keep-policies = 7
        [set]
        batch_size = 64
        [set.savo]
        hidden = [32, 32]
        [set.env]
        balls = 9
        """,
    )
    made = made_of(path, seeds="2", settings=["batch_size=32"])
    assert (made.seeds, made.eval_every, made.checkpoint_every, made.profile) == ("2", 100, 3.0, "quick")
    assert made.keep_policies == 7
    assert [(cell.env_label, cell.variant) for cell in resolving.cells(made)] == [
        ("restricted-hopper:balls=9", "savo:hidden=32-32,batch_size=32,extra_actors=5"),
        ("restricted-hopper:balls=9", "td3:batch_size=32"),
    ]


def test_a_list_of_seeds_in_a_file_names_the_seeds_themselves(tmp_path):
    assert grammar.seeds(made_of(written(tmp_path, "seeds = [4]")).seeds) == (4,)
    assert grammar.seeds(made_of(written(tmp_path, "seeds = 4")).seeds) == (0, 1, 2, 3)
    assert grammar.seeds(made_of(written(tmp_path, "seeds = '3-4'")).seeds) == (3, 4)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("sedes = 3", "did you mean seeds"),
        ("seeds = true", "seeds = True"),
        ("steps = 'many'", "steps = 'many': must be a whole number"),
        ("set = 3", r"\[set\]"),
        ("steps = ", "not a TOML file"),
        ("steps = 0", "--steps 0"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, text, named):
    with pytest.raises(UserError, match=named) as caught:
        made_of(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no\.toml: cannot be read"):
        made_of(tmp_path / "no.toml")


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("steps", 0, "--steps 0"),
        ("eval_every", -1, "--eval-every -1"),
        ("workers", 0, "--workers 0"),
        ("pack", 0, "--pack 0"),
        ("checkpoint_every", 0.0, "--checkpoint-every 0"),
        ("keep_policies", -1, "--keep-policies -1: must be 0 or more"),
        ("checkpoint_every", float("nan"), "--checkpoint-every nan"),
        ("on", "slum", "--on 'slum'"),
        ("device", "gpu", "--device 'gpu'"),
        ("profile", "quik", "did you mean quick"),
        ("name", "My Runs", "for instance my-runs"),
        ("name", "../x", "--name"),
        ("name", "", "--name"),
        ("seeds", "0", "--seeds 0"),
    ],
)
def test_wrong_options_are_refused(key, value, named):
    with pytest.raises(UserError, match=named):
        made_of(None, **{key: value})


@pytest.mark.parametrize("text", ["lr", "=3", "lr=", ""])
def test_a_malformed_setting_is_refused(text):
    with pytest.raises(UserError, match="--set"):
        made_of(None, settings=[text])


@pytest.mark.parametrize("key", ["dry-run", "config", "settings", "own", "command"])
def test_what_is_no_option_of_a_file_is_unknown_there(tmp_path, key):
    with pytest.raises(UserError, match=f"key '{key}' is unknown"):
        made_of(written(tmp_path, f"{key} = 1"))


def test_a_file_may_hold_options_of_a_launcher_that_is_not_used(tmp_path):
    path = written(tmp_path, "[slurm]\nmem = '4G'")
    assert made_of(path).own == launch.options_types()["local"]()
    assert made_of(path, on="slurm").own.mem == "4G"
    with pytest.raises(UserError, match=r"slurm\.mme' is unknown: did you mean mem"):
        made_of(written(tmp_path, "[slurm]\nmme = '4G'"))


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_bytes(b"\xef\xbb\xbfsteps = 7\n")
    assert made_of(path).steps == 7
    path.write_bytes("steps = 7\n".encode("utf-16"))
    with pytest.raises(UserError, match="save it as UTF-8"):
        made_of(path)


@pytest.mark.parametrize(
    ("line", "written_so"),
    [
        ("time = 24:00:00", 'time = "24:00:00"'),
        ("time = 1-12  # a day and a half", 'time = "1-12"'),
        ("mem = 4G", 'mem = "4G"'),
        ("profile = quick", 'profile = "quick"'),
    ],
)
def test_a_text_without_quotes_is_named_with_what_to_write(tmp_path, line, written_so):
    with pytest.raises(UserError, match="line 2") as caught:
        made_of(written(tmp_path, f"# a grid\n{line}\n"))
    assert str(caught.value).endswith(f"; write {written_so}, with quotes")


def test_whole_numbers_may_be_written_as_decimals(tmp_path):
    made = made_of(written(tmp_path, "seeds = 3.0\nsteps = 1e6\n"))
    assert (grammar.seeds(made.seeds), made.steps) == ((0, 1, 2), 1_000_000)
    assert grammar.seeds(made_of(written(tmp_path, "seeds = [3.0]")).seeds) == (3,)
    with pytest.raises(UserError, match=r"seeds = 2\.5: must be a whole number"):
        made_of(written(tmp_path, "seeds = 2.5"))


def test_paths_of_a_file_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SCRATCH", "/scratch")
    monkeypatch.delenv("SCRACH", raising=False)
    assert made_of(written(tmp_path, "runs = '~/x'")).runs == tmp_path / "home" / "x"
    assert made_of(written(tmp_path, "runs = '$SCRATCH/x'")).runs == Path("/scratch/x")
    assert made_of(written(tmp_path, "runs = '${SCRATCH}/a$5'")).runs == Path("/scratch/a$5")
    for wrong in ("$SCRACH/x", "~nobody-of-that-name/x"):
        with pytest.raises(UserError, match="runs = "):
            made_of(written(tmp_path, f"runs = '{wrong}'"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("runs = ''", "runs"),
        ("name = ' '", "name"),
        ("algos = ['td3', '']", "algos"),
        ("[slurm]\npartition = ''", r"slurm\.partition"),
        ("[slurm]\nsetup = ['']", r"slurm\.setup"),
        ("[set]\nlr = ''", r"set\.lr"),
        ("[set.env]\nversion = ''", r"set\.env\.version"),
    ],
)
def test_an_empty_text_of_a_file_is_refused(tmp_path, text, named):
    with pytest.raises(UserError, match=f"{named} = .*must not be empty"):
        made_of(written(tmp_path, text))


def test_what_is_compared_comes_from_a_table_and_the_command_line_wins(tmp_path):
    path = written(
        tmp_path,
        """
        algos = "savo,td3"
        envs = "restricted-hopper"
        [set]
        batch_size = 64
        "savo.extra_actors" = 1
        [comparisons]
        pairs = ["savo/td3", "savo/ensemble:tau=0.01,lr=0.01"]
        measure = "final"
        margin = 0.1
        """,
    )
    made = made_of(path)
    savo, td3 = "savo:batch_size=64,extra_actors=1", "td3:batch_size=64"
    assert resolving.pairs(made) == ((savo, td3), (savo, "ensemble:lr=0.01,batch_size=64,tau=0.01"))
    assert (made.compared.measure, made.compared.margin) == ("final", 0.1)
    made = made_of(path, pairs=["td3/savo"], margin=0.2)
    assert resolving.pairs(made) == ((td3, savo),)
    assert (made.compared.measure, made.compared.margin) == ("final", 0.2)
    assert resolving.pairs(Options(algos="td3", envs="hopper")) == ()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"pairs": ["savo"]}, "--compare savo: must be two variants"),
        ({"pairs": ["savo/td3/sac"]}, "--compare savo/td3/sac: must be two variants"),
        ({"pairs": ["savo/"]}, "--compare savo/: must be two variants"),
        ({"pairs": ["savo:extra_actors=1,3/td3"]}, "--compare savo:extra_actors=1: must be two variants"),
        ({"pairs": ["td3/td3"]}, "--compare td3/td3: both are td3"),
        ({"pairs": ["savo/tdd3"]}, "did you mean td3"),
        ({"pairs": [" "]}, "--compare must not be empty"),
        ({"margin": 0.1}, "--measure and --margin belong to --compare"),
        ({"pairs": ["savo/td3"], "margin": 0.0}, "--margin 0: must be a share above 0"),
        ({"pairs": ["savo/td3"], "measure": "last"}, "--measure 'last' is unknown: did you mean last10?"),
    ],
)
def test_a_comparison_that_makes_no_sense_is_refused_in_one_line(given, named):
    with pytest.raises(UserError) as caught:
        resolving.pairs(made_of(None, algos=["savo,td3"], envs=["restricted-hopper"], **given))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
