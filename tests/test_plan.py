"""Names, fields, seeds and values of the command line; cells, packs and the estimate."""

import inspect
import itertools
import pickle
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from savo_bench import algos, envs
from savo_bench.algos.agent import Spaces
from savo_bench.bench import cost, grammar, options, plan, profiles
from savo_bench.bench.errors import UserError
from savo_bench.bench.plan import Todo
from savo_bench.results.format import spec_hash


def opted(**given: Any) -> options.Options:
    usual: dict[str, Any] = {"algos": "td3", "envs": "restricted-hopper"}
    return options.Options(**usual | given)


def cells(**given) -> tuple[plan.Cell, ...]:
    return plan.cells(opted(**given))


def variants(algos: str, **given) -> list[str]:
    return [cell.variant for cell in cells(algos=algos, **given)]


def one(**given) -> plan.Cell:
    (cell,) = cells(**given)
    return cell


# ---- seeds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", (0,)),
        ("3", (0, 1, 2)),
        ("3-5", (3, 4, 5)),
        ("3-3", (3,)),
        ("0,4", (0, 4)),
        ("4,0,4-6", (0, 4, 5, 6)),
        ("9999-9999", (9999,)),
    ],
)
def test_seeds_are_a_number_ranges_or_a_list(text, expected):
    assert grammar.seeds(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "a", "7-3", "", "1,,2", "1.5", "3-", "10001", "1-99999", "٣"])
def test_wrong_seeds_are_refused_in_one_line_that_shows_them(text):
    with pytest.raises(UserError, match="--seeds") as caught:
        grammar.seeds(text)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


# ---- names with fields


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


# ---- values


@pytest.mark.parametrize(
    ("text", "annotation", "expected"),
    [
        ("3", int, 3),
        ("1_000", int, 1000),
        ("1e6", int, 1_000_000),
        ("3", float, 3.0),
        ("1e-3", float, 0.001),
        ("true", bool, True),
        ("64-64", tuple[int, ...], (64, 64)),
        ("64", tuple[int, ...], (64,)),
        ([64, 64], tuple[int, ...], (64, 64)),
        ("none", float | None, None),
        ("0.5", float | None, 0.5),
        ("ou", Literal["ou", "gaussian"], "ou"),
        ("v4", str, "v4"),
        (5, float, 5.0),
        (True, bool, True),
    ],
)
def test_values_take_the_type_of_their_field(text, annotation, expected):
    value = grammar.convert(text, annotation)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "annotation"),
    [
        ("x", int),
        ("1.5", int),
        (True, int),
        ("nan", float),
        ("inf", float),
        (True, float),
        ("1", bool),
        ("yes", bool),
        (1, bool),
        ("64-x", tuple[int, ...]),
        ("64-", tuple[int, ...]),
        ("x", float | None),
        ("pink", Literal["ou", "gaussian"]),
        (3, str),
    ],
)
def test_values_of_the_wrong_type_are_refused(text, annotation):
    with pytest.raises(ValueError, match="must be"):
        grammar.convert(text, annotation)


def test_a_keyword_without_annotation_takes_its_defaults_type():
    empty = inspect.Parameter.empty
    kind = inspect.Parameter.KEYWORD_ONLY
    assert grammar.parameter_type(inspect.Parameter("a", kind, default=3)) is int
    assert grammar.parameter_type(inspect.Parameter("a", kind, default=3, annotation=float)) is float
    assert grammar.parameter_type(inspect.Parameter("a", kind, default=None, annotation=empty)) is str


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


def test_a_keyword_that_a_factory_refuses_is_named_when_the_environment_is_probed():
    with pytest.raises(UserError, match="balls=0"):
        plan.probe(one(envs="restricted-hopper:balls=0"))
    assert plan.probe(one(envs="restricted-hopper:extra_dims=2")) == Spaces(11, 5)


# ---- --set


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


# ---- profiles and presets


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("quick", (50_000, 2_500, 3, (64, 64), 128, 1e-3, 1_000)),
        ("ci", (8_000, 1_000, 5, (64, 64), 128, 1e-3, 500)),
        ("paper", (2_000_000, 10_000, 10, (256, 256), 256, 3e-4, 10_000)),
    ],
)
def test_profiles_are_those_of_the_documentation(name, expected):
    cell = one(profile=name)
    budget, config = cell.budget, cell.config
    assert (budget.steps, budget.eval_every, budget.eval_episodes) == expected[:3]
    assert (config.hidden, config.batch_size, config.lr, config.warmup_steps) == expected[3:]
    assert cell.overrides == {}


def test_paper_steps_depend_on_the_environment():
    found = {cell.environment: cell.budget.steps for cell in cells(envs="restricted,control", profile="paper")}
    assert found["hopper"] == found["ant"] == 1_000_000
    assert found["restricted-walker2d"] == 2_000_000
    assert found["restricted-half-cheetah"] == found["restricted-ant"] == 3_000_000


def test_the_noise_decays_over_the_same_share_of_every_budget():
    assert one(profile="paper").config.noise_decay_steps == 500_000
    assert one(profile="quick").config.noise_decay_steps == 12_500
    assert one(profile="quick", steps=8_000).config.noise_decay_steps == 2_000
    assert one(profile="quick", envs="hopper").config.noise_decay_steps == 25_000
    assert one(profile="quick", steps=1).config.noise_decay_steps == 1  # 0 would mean none


def test_budget_options_win_over_the_profile():
    budget = one(steps=100, eval_every=10, eval_episodes=2).budget
    assert budget == plan.Budget("quick", 100, 10, 2)


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
    assert (cell.variant, cell.config.lr) == ("td3:preset=published,lr=0.5", 0.5)


@dataclass(frozen=True, kw_only=True)
class PlainConfig:
    """A plug-in's: without presets, with few of the common fields."""

    width: int = 3
    lr: float = 0.1
    unknown: ClassVar[int] = 1


def test_a_config_of_another_package_needs_none_of_the_common_fields():
    entry = algos.Entry("plain", PlainConfig, object, "")
    config, overrides = plan.resolve(entry, {"hidden": (64, 64), "lr": 1e-3}, {"width": "5"})
    assert (config, overrides) == (PlainConfig(width=5, lr=1e-3), {"width": 5})
    cell = replace(one(), algorithm="plain", config=config, overrides=overrides)
    assert cost.seconds(cell) > 0
    assert cost.checkpoint_bytes(cell, Spaces(3, 1)) > 0


# ---- identity


def test_a_spec_holds_the_whole_config_and_survives_json():
    import json

    cell = one(algos="savo:hidden=32-16", envs="restricted-hopper:balls=990")
    spec = cell.spec(3)
    assert spec["environment"] == {
        "name": "restricted-hopper",
        "id": "SavoBench/RestrictedHopper-v0",
        "keywords": {"balls": 990},
    }
    assert spec["algorithm"]["variant"] == "savo:hidden=32-16"
    assert set(spec["algorithm"]["config"]) == set(asdict(cell.config))
    assert spec["seed"] == 3
    assert json.loads(json.dumps(spec)) == spec


def test_every_field_of_a_config_and_of_a_budget_is_part_of_the_identity():
    base = spec_hash(one(algos="savo").spec(0))
    for variant in ("savo:extra_actors=1", "savo:lr=0.5", "savo:hidden=8", "savo:joint=true"):
        assert spec_hash(one(algos=variant).spec(0)) != base
    for given in ({"steps": 100}, {"eval_every": 7}, {"eval_episodes": 9}, {"envs": "restricted-hopper:balls=9"}):
        assert spec_hash(one(algos="savo", **given).spec(0)) != base
    assert spec_hash(one(algos="savo").spec(1)) != base


# ---- packs


def packed(number: int, *, names: str = "td3", device: str = "cpu", workers: int = 1, **given) -> list[tuple[int, ...]]:
    todo = [Todo(cell, seed, 0) for cell in cells(algos=names) for seed in range(number)]
    return [pack.seeds for pack in plan.packs(todo, opted(**given), device, workers)]


def test_seeds_of_a_cell_go_together_up_to_ten():
    assert packed(10) == [tuple(range(10))]
    assert sorted(map(len, packed(25))) == [8, 8, 9]
    assert packed(4, pack=3) == [(0, 1), (2, 3)]
    assert packed(10, device="cuda", workers=4) == [tuple(range(10))]


def test_few_cells_are_split_so_that_all_workers_get_work():
    assert sorted(map(len, packed(10, workers=4))) == [2, 2, 3, 3]
    assert sorted(map(len, packed(2, workers=8))) == [1, 1]
    assert len(packed(10, names="td3,td3:lr=0.1", workers=2)) == 2  # as many cells as workers: whole
    assert packed(10, workers=4, pack=10) == [tuple(range(10))]  # asked for


def test_the_longest_pack_comes_first():
    todo = [Todo(cell, 0, 0) for cell in cells(algos="td3,savo,savo:extra_actors=9")]
    order = [pack.cell.variant for pack in plan.packs(todo, opted(), "cpu", 1)]
    assert order == ["savo:extra_actors=9", "savo", "td3"]


def test_seeds_at_different_steps_go_apart():
    cell = one()
    todo = [Todo(cell, 0, 0), Todo(cell, 1, 500), Todo(cell, 2, 0), Todo(cell, 3, 500)]
    assert sorted(pack.seeds for pack in plan.packs(todo, opted(), "cpu", 1)) == [(0, 2), (1, 3)]


def test_on_a_gpu_an_interrupted_pack_comes_back_as_it_was():
    cell = one()
    todo = [Todo(cell, seed, 500, pack=(0, 1) if seed < 2 else (2, 3)) for seed in range(4)]
    assert sorted(pack.seeds for pack in plan.packs(todo, opted(), "cuda", 1)) == [(0, 1), (2, 3)]
    assert [pack.seeds for pack in plan.packs(todo, opted(), "cpu", 1)] == [(0, 1, 2, 3)]


def test_a_pack_survives_pickling_and_knows_its_folders():
    (pack,) = plan.packs([Todo(one(algos="savo:extra_actors=5"), 3, 0)], opted(runs=Path("r"), name="n"), "cpu", 1)
    again = pickle.loads(pickle.dumps(pack))
    assert again == pack
    assert again.folder(3) == Path("r/n/restricted-hopper/savo__extra_actors-5/seed-0003")


# ---- the estimate


def measured_updates() -> list[tuple[str, str, str, float]]:
    """Variant, environment, profile with the sizes, and the milliseconds of the table in docs/performance.md."""
    lines = (Path(__file__).parents[1] / "docs" / "performance.md").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| | Hopper: update"))
    table = itertools.takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    rows = [line.strip("| ").split(" | ") for line in table]
    columns = (("hopper", "paper", 1), ("recsim", "quick", 4))
    return [
        (row[0].split("`")[1], environment, profile, float(row[column].split()[0]))
        for row in rows
        for environment, profile, column in columns
    ]


def test_the_table_of_what_each_algorithm_costs_is_read_whole():
    assert len(measured_updates()) == 2 * 13
    assert {name.partition(":")[0] for name, *_ in measured_updates()} == set(algos.names())


@pytest.mark.parametrize(("variant", "environment", "profile", "measured"), measured_updates())
def test_an_update_is_estimated_as_it_was_measured(variant, environment, profile, measured):
    estimated = 1e3 * cost.update_seconds(one(algos=variant, envs=environment, profile=profile))
    assert measured / 1.5 < estimated < measured * 1.5


def test_a_seed_costs_less_in_a_pack():
    # docs/performance.md, "Speed", the fair preset: Stable-Baselines3's steps/s and what ours are of it
    small = cost.update_seconds(one(envs="inverted-pendulum"), 10)
    assert small == pytest.approx(1 / (562 * 3.16), rel=0.3)
    large = cost.update_seconds(one(envs="hopper", profile="paper"), 5)
    assert large == pytest.approx(1 / (114 * 1.95), rel=0.3)


@pytest.mark.parametrize(
    ("items", "neighbours", "measured"),
    [(5_000, 1, 1.8), (100_000, 1, 23), (500_000, 1, 108), (10_000, 100, 22), (500_000, 10, 118), (500_000, 100, 289)],
)
def test_a_search_among_items_is_estimated_as_it_was_measured(items, neighbours, measured):
    # docs/environments.md, "Large catalogues": ms of 256 queries
    variant = f"wolpertinger:candidates={neighbours}"
    box, catalogue = (one(algos=variant, envs=env, profile="ci") for env in ("hopper", f"recsim:items={items}"))
    search = 1e3 * (cost.update_seconds(catalogue) - cost.update_seconds(box)) * 256 / catalogue.config.batch_size
    assert measured / 1.5 < search < measured * 1.5


@pytest.mark.parametrize(("probes", "measured"), [(8, 8), (32, 23), (128, 81), (512, 317)])
def test_an_approximate_search_is_estimated_as_it_was_measured(probes, measured):
    # as above
    variant = f"td3:search=ivf,probes={probes}"
    box = one(algos="td3", envs="hopper", profile="ci")
    catalogue = one(algos=variant, envs="recsim:items=500000", profile="ci")
    search = 1e3 * (cost.update_seconds(catalogue) - cost.update_seconds(box)) * 256 / catalogue.config.batch_size
    assert measured / 1.5 < search < measured * 1.5


def test_an_approximate_search_takes_its_time_beside_a_gpu_too():
    exact, approximate = (
        plan.Pack(one(algos=f"td3{field}", envs="recsim:items=500000"), tuple(range(10)), Path(), "cuda", 60, "inline")
        for field in ("", ":search=ivf")
    )
    on_cpu = 10 * cost.seconds(approximate.cell, pack=10)
    assert 0.5 * on_cpu < cost.pack_seconds(approximate) < on_cpu
    assert cost.pack_seconds(exact) < 0.1 * on_cpu


def test_samples_that_are_snapped_are_searched():
    usual, snapped = (one(algos=f"cem{field}", envs="recsim") for field in ("", ":snap_samples=true"))
    assert cost.queries("cem", usual.config) == 3
    assert cost.queries("cem", snapped.config) == 3 + 3 * 30
    assert cost.queries("greedy-ac", one(algos="greedy-ac:snap_samples=true", envs="recsim").config) == 1 + 30
    assert cost.update_seconds(snapped) > 10 * cost.update_seconds(usual)


@pytest.mark.parametrize("environment", ["recsim", "mineworld"])
def test_the_estimate_knows_how_large_the_catalogues_are(environment):
    catalogue = plan.probe(one(envs=environment)).catalogue
    assert catalogue is not None
    assert cost.CATALOGUES[environment] == tuple(catalogue.vectors.shape)


def test_an_evaluation_counts_the_tasks_own_time_limit():
    limits = {"recsim": 20, "recsim-data": 80, "mineworld": 100, "adroit-door": 200, "restricted-hopper": 1_000}
    assert {name: cost.episode(name) for name in limits} == limits
    with_few, with_many = (one(envs="recsim", eval_episodes=episodes) for episodes in (1, 1_001))
    more = cost.seconds(with_many) - cost.seconds(with_few)
    steps = 20 * 1_000 * 20  # 20 evaluations of 1000 more episodes of at most 20 steps
    assert more == pytest.approx(steps * (cost.ACT + cost.ENV_STEP["recsim"]))


def test_the_whole_benchmark_on_the_papers_budget_takes_some_forty_core_days():
    grid = cells(algos="savo,td3", envs="restricted", profile="paper")
    assert 35 < sum(10 * cost.seconds(cell, pack=10) for cell in grid) / 86_400 < 50


def test_what_is_done_costs_nothing_again():
    cell = one()
    assert cost.seconds(cell, cell.budget.steps) == 0
    assert cost.seconds(cell, cell.budget.steps // 2) < cost.seconds(cell)


def test_makespan_by_hand():
    assert cost.makespan([4, 3, 3], 2) == 6
    assert cost.makespan([4, 3, 3], 1) == 10
    assert cost.makespan([4, 3, 3], 8) == 4


def test_replay_logs_grow_with_the_buffer_and_the_stored_proposals():
    short, savo = one(steps=1_000), one(algos="savo", steps=1_000)
    assert (
        cost.checkpoint_bytes(one(steps=2_000), Spaces(11, 3)) - cost.checkpoint_bytes(short, Spaces(11, 3))
        == 1_000 * 4 * 27
    )
    assert cost.checkpoint_bytes(savo, Spaces(11, 3)) > cost.checkpoint_bytes(short, Spaces(11, 3)) + 1_000 * 4 * 12


def test_every_profile_has_the_same_fields():
    assert len({tuple(profile.fields) for profile in profiles.PROFILES.values()}) == 1
