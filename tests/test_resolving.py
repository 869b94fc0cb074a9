"""Names, fields and keywords of a `bench run` as cells."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from small_cells import cells, one, variants

from savo_bench import algos, envs
from savo_bench.bench import resolving
from savo_bench.bench.cells import Budget
from savo_bench.bench.errors import UserError
from savo_bench.bench.options import Options
from savo_bench.results.format import spec_hash


def test_a_field_continues_the_variant_before_it():
    assert variants("savo:extra_actors=5,target_noise=0.1,td3") == ["savo:extra_actors=5,target_noise=0.1", "td3"]


def test_a_bare_value_is_another_variant_with_the_last_field_changed():
    assert variants("savo:extra_actors=1,2,5,td3") == [
        "savo:extra_actors=1",
        "savo:extra_actors=2",
        "savo:extra_actors=5",
        "td3",
    ]
    assert variants("td3:lr=0.1,hidden=32-32,128-128") == ["td3:hidden=32-32,lr=0.1", "td3:hidden=128-128,lr=0.1"]
    assert variants("td3:actor_norm=true,false") == ["td3", "td3:actor_norm=false"]


def test_the_same_cell_named_twice_is_one():
    assert variants("td3,td3:lr=0.001,td3") == ["td3"]


@pytest.mark.parametrize(
    "text", ["td3,,savo", "lr=1", "td3:", "td3:lr", "td3:lr=", "td3:=1", ":lr=1", "td3:lr=1,lr=2", ","]
)
def test_malformed_names_are_refused(text):
    with pytest.raises(UserError, match="--algos"):
        variants(text)


def test_typos_name_the_nearest_choices():
    for given, expected in {
        "algos": ("savvo", "savo"),
        "envs": ("restricted-hoper", "restricted-hopper"),
    }.items():
        with pytest.raises(UserError, match=f"did you mean .*{expected[1]}"):
            cells(**{given: expected[0]})
    with pytest.raises(UserError, match=r"did you mean .*restricted"):
        cells(envs="restrictd")
    with pytest.raises(UserError, match=r"td3 has no field 'batchsize'; did you mean batch_size"):
        cells(algos="td3:batchsize=3")
    with pytest.raises(UserError, match=r"restricted-hopper has no keyword 'ball'; did you mean balls"):
        cells(envs="restricted-hopper:ball=3")


def test_environments_are_named_by_name_by_tag_and_all():
    assert [cell.environment for cell in cells(envs="hopper,restricted-ant")] == ["hopper", "restricted-ant"]
    assert [cell.environment for cell in cells(envs="control")] == envs.names("control")
    every = map(envs.get, envs.names())
    benchmark = [found.name for found in every if found.benchmark and found.unavailable({}) is None]
    assert [cell.environment for cell in cells(envs="all,restricted-hopper")] == benchmark


def test_environment_keywords_are_typed_and_defaults_vanish():
    cell = one(envs="restricted-hopper:balls=990,volume=1.65,penalty=-10")
    assert cell.env_keywords == {"balls": 990, "penalty": -10.0}
    assert cell.env_label == "restricted-hopper:balls=990,penalty=-10"
    assert one(envs="restricted-hopper:penalty=none").env_label == "restricted-hopper"
    assert [cell.env_label for cell in cells(envs="restricted-hopper:balls=9,99,990")] == [
        "restricted-hopper:balls=9",
        "restricted-hopper",
        "restricted-hopper:balls=990",
    ]


@pytest.mark.parametrize(
    ("algos", "settings", "named"),
    [
        ("td3:batch_size=0", (), "batch_size=0"),
        ("td3:lr=fast", (), "lr=fast: must be a number"),
        ("td3", (("batch_size", "0"),), "batch_size=0"),
        ("td3:noise=pink", (), "noise=pink: must be one of ou, gaussian"),
        ("td3:hidden=0", (), "hidden="),
    ],
)
def test_a_value_that_a_config_refuses_is_named(algos, settings, named):
    with pytest.raises(UserError, match=named):
        cells(algos=algos, settings=settings)


def test_set_and_variant_fields_give_the_same_name_and_hash():
    by_variant = one(algos="savo:extra_actors=5")
    for settings in ((("savo.extra_actors", "5"),), (("extra_actors", "5"),), (("savo.extra_actors", 5),)):
        by_setting = one(algos="savo", settings=settings)
        assert by_setting.variant == by_variant.variant == "savo:extra_actors=5"
        assert spec_hash(by_setting.spec(3)) == spec_hash(by_variant.spec(3))


def test_set_reaches_every_algorithm_that_has_the_field():
    assert variants("td3,savo", settings=(("extra_actors", "1"), ("batch_size", "64"))) == [
        "td3:batch_size=64",
        "savo:batch_size=64,extra_actors=1",
    ]
    assert variants("td3,savo", settings=(("savo.batch_size", "64"),)) == ["td3", "savo:batch_size=64"]


def test_the_more_specific_and_the_later_source_wins():
    given: dict[str, Any] = {"algos": "td3,td3:lr=0.5"}
    general, own = ("lr", "0.2"), ("td3.lr", "0.3")
    assert variants(**given, settings=(own, general)) == ["td3:lr=0.3", "td3:lr=0.5"]
    assert variants(**given, file_settings=(own,), settings=(general,)) == ["td3:lr=0.2", "td3:lr=0.5"]


def test_set_env_reaches_the_environments_that_have_the_keyword():
    found = cells(envs="restricted-hopper,hopper", settings=(("env.balls", "990"),))
    assert [cell.env_label for cell in found] == ["restricted-hopper:balls=990", "hopper"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ((("bach_size", "1"),), "did you mean batch_size"),
        ((("savo.extra_actors", "1"),), "'savo' is not among the chosen algorithms"),
        ((("extra_actors", "1"),), "none of td3 has a field"),
        ((("td3.extra_actors", "1"),), "td3 has no field"),
        ((("env.ball", "1"),), "did you mean balls"),
    ],
)
def test_a_setting_that_reaches_nothing_is_refused(settings, named):
    with pytest.raises(UserError, match=named):
        cells(settings=settings)


def test_budget_options_win_over_the_profile():
    budget = one(steps=100, eval_every=10, eval_episodes=2).budget
    assert budget == Budget("quick", 100, 10, 2)


def test_what_the_profile_gives_anyway_vanishes_from_the_label():
    assert variants("td3:lr=0.001") == ["td3"]
    assert variants("td3:lr=0.001", profile="paper") == ["td3:lr=0.001"]
    assert variants("savo:target_noise=0,preset=fair") == ["savo"]


def test_a_preset_wins_over_the_profile_and_loses_to_fields():
    published = algos.get("td3").config.PRESETS["published"]
    cell = one(algos="td3:preset=published")
    assert cell.variant == "td3:preset=published"
    assert {key: getattr(cell.config, key) for key in published} == published
    cell = one(algos="td3:preset=published,lr=0.5")
    assert (cell.variant, vars(cell.config)["lr"]) == ("td3:preset=published,lr=0.5", 0.5)


@dataclass(frozen=True, kw_only=True)
class PlainConfig:
    """A plug-in's: without presets, with few of the common fields."""

    width: int = 3
    lr: float = 0.1
    unknown: ClassVar[int] = 1


def test_a_config_of_another_package_needs_none_of_the_common_fields():
    entry = algos.Entry("plain", PlainConfig, object, "")
    config, overrides = resolving.resolve(entry, {"hidden": (64, 64), "lr": 1e-3}, {"width": "5"})
    assert (config, overrides) == (PlainConfig(width=5, lr=1e-3), {"width": 5})


@pytest.mark.parametrize(
    ("algos", "expected"),
    [
        ("savo:summariser=lstm,transformer", ["savo:summariser=lstm", "savo:summariser=transformer"]),
        ("savo:summariser=lstm,td3", ["savo:summariser=lstm", "td3"]),
        (
            "savo:summariser=lstm,deepset,td3:noise=ou,gaussian",
            ["savo:summariser=lstm", "savo", "td3", "td3:noise=gaussian"],
        ),
    ],
)
def test_words_that_a_field_takes_are_variants(algos, expected):
    made = Options(algos=algos, envs="restricted-hopper")
    assert [cell.variant for cell in resolving.cells(made)] == expected


def test_words_that_a_keyword_takes_are_environments():
    made = Options(algos="td3", envs="restricted-hopper:version=v4,v5,restricted-ant")
    labels = [cell.env_label for cell in resolving.cells(made)]
    assert labels == ["restricted-hopper:version=v4", "restricted-hopper", "restricted-ant"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"algos": "savo:summariser=lstm,tdd3"}, "'tdd3' is unknown: did you mean td3"),
        ({"envs": "restricted-hopper:version=v4,restricted-hoper"}, "did you mean restricted-hopper"),
        ({"algos": "savo:extra_actors=3,many"}, "algorithm 'many' is unknown"),
    ],
)
def test_a_slip_in_a_name_is_not_taken_for_a_value(given, named):
    with pytest.raises(UserError, match=named):
        resolving.cells(Options(**{"algos": "td3", "envs": "restricted-hopper"} | given))
