"""Bounds and published scores, and what of them belongs to a run."""

import pytest

from savo_bench.results import reference

HOPPER = {"name": "restricted-hopper", "id": "SavoBench/RestrictedHopper-v0", "keywords": {}}
HEADER = "environment,version,bound,policy,mean,ci_low,ci_high,episodes,source\n"
ROWS = (
    "restricted-hopper,v5,low,random policy,10,9,11,100,here\nrestricted-hopper,v5,high,published TD3,3400,,,,there\n"
)


def table(tmp_path, rows=ROWS, header=HEADER):
    path = tmp_path / "bounds.csv"
    path.write_text(header + rows)
    return path


def spec(name, id, **keywords):
    return {"name": name, "id": id, "keywords": keywords}


def test_bounds_belong_to_a_task_and_its_version(tmp_path):
    path = table(tmp_path, ROWS + ROWS.replace("v5", "v4").replace(",10,", ",20,"))
    assert reference.bounds(HOPPER, path) == (10, 3400, "0 is random policy, 1 is published TD3")
    old = reference.bounds(HOPPER | {"keywords": {"version": "v4"}}, path)
    assert old is not None
    assert old.low == 20
    assert reference.bounds(HOPPER | {"keywords": {"version": "v3"}}, path) is None


def test_another_keyword_is_another_task(tmp_path):
    assert reference.bounds(HOPPER | {"keywords": {"balls": 990}}, table(tmp_path)) is None
    path = table(tmp_path, ROWS.replace("restricted-hopper", "restricted-hopper:balls=990"))
    assert reference.bounds(HOPPER | {"keywords": {"balls": 990}}, path) is not None
    assert reference.bounds(HOPPER, path) is None


def test_bounds_of_another_version_are_not_used(tmp_path):
    path = table(tmp_path, ROWS.replace("v5", "v4"))
    assert reference.bounds(HOPPER, path) is None


def test_bounds_measured_on_other_data_are_not_used(tmp_path):
    path = table(tmp_path, ROWS.replace("restricted-hopper,v5", "recsim-data,v0 ml-1m-0123"))
    task = spec("recsim-data", "SavoBench/RecSimData-v0")
    assert reference.bounds(task | {"data": "ml-1m-0123"}, path) is not None
    assert reference.bounds(task | {"data": "ml-1m-4567"}, path) is None


def test_half_a_pair_of_bounds_and_no_table_are_no_bounds(tmp_path):
    assert reference.bounds(HOPPER, table(tmp_path, ROWS.splitlines()[0] + "\n")) is None
    assert reference.bounds(HOPPER, tmp_path / "none.csv") is None


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (ROWS + ROWS, HEADER, "more than one row for a bound"),
        (ROWS.replace("3400", "9"), HEADER, "low bound 10.0 is not below its high bound 9.0"),
        (ROWS.replace("3400", "much"), HEADER, "'much' is no number"),
        (ROWS, HEADER.replace("bound", "bond"), "has no column bound"),
        ('"', "", "not a table"),
    ],
)
def test_a_damaged_table_is_one_line(tmp_path, rows, header, message):
    with pytest.raises(ValueError, match=message) as error:
        reference.bounds(HOPPER, table(tmp_path, rows, header))
    assert "\n" not in str(error.value)
    assert "bounds.csv" in str(error.value)


def test_names_versions_and_families():
    cheetah = spec("half-cheetah", "HalfCheetah-v5")
    assert (reference.task(cheetah), reference.version(cheetah), reference.family(cheetah)) == (
        "HalfCheetah",
        "v5",
        "control",
    )
    assert (reference.task(HOPPER), reference.version(HOPPER), reference.family(HOPPER)) == (
        "RestrictedHopper",
        "v5",
        "restricted",
    )
    assert reference.version(HOPPER | {"keywords": {"version": "v4"}}) == "v4"
    assert reference.family(spec("adroit-door", "SavoBench/AdroitDoor-v0")) == "adroit"
    assert reference.family(spec("recsim", "SavoBench/RecSim-v0")) == "recommender"
    assert reference.family(spec("x", "SavoBench/Unheard-v0")) == "other"
    assert reference.family(spec("line", "Example/Line-v0")) == "Example"


def test_the_committed_published_scores_can_be_read():
    scores = reference.published()
    assert scores["mean"].notna().all()
    assert set(scores["env_version"].str[0]) == {"v"}
    hopper = scores[scores["condition"] == "volume 1.25"]
    assert set(hopper["env"]) == {"RestrictedHopper"}


def test_the_version_of_restricted_tasks_is_the_environments_default():
    pytest.importorskip("gymnasium")  # this package is also tested where only what it needs is installed
    from savo_bench import envs

    assert envs.get("restricted-hopper").keywords["version"].default == reference.RESTRICTED_VERSION


@pytest.mark.skipif(not reference.BOUNDS.exists(), reason="no bounds are committed yet")
def test_the_committed_bounds_can_be_read():
    rows = reference._read(reference.BOUNDS, ["environment", "version"]).drop_duplicates(["environment", "version"])
    known = [
        reference.bounds(spec(row["environment"], f"X/{row['environment']}-v0", version=row["version"]))
        for row in rows.to_dict("records")
    ]
    assert any(known)


def test_the_family_of_an_own_environment_that_is_aggregated_is_its_first_tag():
    pytest.importorskip("gymnasium")
    from savo_bench import envs

    available = [environment for environment in map(envs.get, envs.names()) if environment.unavailable({}) is None]
    aggregated = [environment for environment in available if reference.bounds(environment.identity({})) is not None]
    assert {"restricted", "control", "adroit", "recommender"} <= {environment.tags[0] for environment in aggregated}
    for environment in aggregated:
        assert reference.family(environment.identity({})) == environment.tags[0]
