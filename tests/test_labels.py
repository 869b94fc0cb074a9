"""What a report calls its variants."""

import numpy as np
import pandas as pd

from savo_bench.results.labels import names_of


def runs(*variants, environment="env", **defaults):
    """A row per variant; the config has the fields of its name over the defaults of its algorithm."""
    rows = []
    for variant in variants:
        algorithm, _, fields = variant.partition(":")
        named = dict(part.split("=") for part in fields.split(",")) if fields else {}
        config = {**defaults.get(algorithm, {}), **named}
        spec = {"algorithm": {"name": algorithm, "variant": variant, "config": config}}
        rows.append({"environment": environment, "variant": variant, "spec": spec})
    return pd.DataFrame(rows)


def shown(table):
    return list(names_of(table).shown.values())


def test_fields_that_all_variants_share_leave_their_names():
    table = runs(
        "savo:hidden=32-32,batch_size=64", "td3:hidden=32-32,batch_size=64", "td3:hidden=32-32,batch_size=64,tau=1"
    )
    names = names_of(table)
    assert list(names.shown.values()) == ["savo", "td3", "td3:tau=1"]
    assert names.shared == {"hidden": "32-32", "batch_size": "64"}


def test_a_field_that_one_lacks_or_has_otherwise_stays():
    assert shown(runs("sac:lr=1", "td3")) == ["sac:lr=1", "td3"]
    assert shown(runs("sac:lr=1", "td3:lr=2")) == ["sac:lr=1", "td3:lr=2"]
    assert shown(runs("savo:truncation=false", "td3", td3={"tau": "1"})) == ["savo:truncation=false", "td3"]


def test_a_field_leaves_where_another_has_the_value_by_default():
    assert shown(runs("sac:lr=1", "td3", td3={"lr": "1"})) == ["sac", "td3"]


def test_a_single_variant_keeps_its_name():
    assert shown(runs("td3:target_noise=0")) == ["td3:target_noise=0"]


def test_in_a_study_the_default_shows_its_number_and_keeps_the_look_of_its_algorithm():
    study = ["savo", "savo:extra_actors=1", "savo:extra_actors=5"]
    names = names_of(runs("ensemble", *study, savo={"extra_actors": "3"}, ensemble={"extra_actors": "3"}))
    assert names.shown["savo"] == "savo:extra_actors=3"
    assert names.shown["ensemble"] == "ensemble"
    assert names.looks["savo:extra_actors=3"] == "savo"
    assert shown(runs("savo", "savo:extra_actors=1", savo={"extra_actors": "3"}))[0] == "savo:extra_actors=3"


def test_controls_are_no_study():
    table = runs("savo", "savo:truncation=false", "td3", savo={"truncation": "true", "extra_actors": "3"})
    assert shown(table) == ["savo", "savo:truncation=false", "td3"]
    two = runs("savo", "savo:lr=1", "savo:lr=2", "savo:k=1", "savo:k=2", savo={"lr": "3", "k": "3"})
    assert "savo" in shown(two)  # which of its numbers to show nobody knows


def test_variants_that_never_began_have_names_too():
    table = runs("td3:lr=1", "sac:lr=1", "what is this")
    table.loc[1:, "spec"] = None
    assert shown(table) == ["sac:lr=1", "td3:lr=1", "what is this"]
    assert shown(table.iloc[:2]) == ["sac", "td3"]


def test_no_two_variants_ever_get_the_same_name():
    rng = np.random.default_rng(0)
    for _ in range(300):
        variants = set()
        for _ in range(rng.integers(1, 6)):
            fields = {f: int(rng.integers(3)) for f in "abc" if rng.random() < 0.5}
            name = str(rng.choice(["savo", "td3"]))
            variants.add(name + (":" + ",".join(f"{k}={v}" for k, v in fields.items()) if fields else ""))
        default = {field: str(rng.integers(3)) for field in "abc" if rng.random() < 0.7}
        table = runs(*sorted(variants), savo=default, td3=default)
        table.loc[rng.random(len(table)) < 0.2, "spec"] = None
        names = names_of(table)
        assert len(set(names.shown.values())) == len(variants)
        assert len(set(names.looks.values())) == len(variants)


def test_a_name_that_is_not_made_of_fields_stays_as_it_is():
    names = [":smile:", "H:M:S", "a:b,c"]
    table = pd.DataFrame({"environment": "env", "variant": names, "spec": None})
    assert names_of(table).shown == {name: name for name in names}
