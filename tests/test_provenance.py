"""Where pooled runs came from."""

from test_frame import fake_run

from savo_bench.results import provenance
from savo_bench.results.frame import load


def test_provenance_names_every_difference(tmp_path):
    for seed, (torch, cpu, started) in enumerate([("2.4", "A", "noon"), ("2.4", "B", "later"), ("2.5", "A", "now")]):
        packages = {"torch": torch, "numpy": "2.0"}
        origin = {"cpu": cpu, "packages": packages, "started": started, "dirty": False, "gpu": None}
        fake_run(tmp_path, [1], seed=seed, provenance=origin)
    assert provenance.line(load(tmp_path).runs) == (
        "All runs: version 0.1.0; dirty false; host here; device cpu; gpu none. Packages: numpy 2.0. "
        "**The runs differ in:** cpu (A, B); packages.torch (2.4, 2.5)."
    )


def test_a_package_that_only_some_runs_recorded_is_no_difference(tmp_path):
    for seed, packages in enumerate([{"torch": "2.4"}, {"torch": "2.4", "scipy": "1.13"}, {}]):
        fake_run(tmp_path, [1], seed=seed, provenance={"packages": packages})
    runs = load(tmp_path).runs
    assert provenance.differences(runs).empty
    assert "The runs do not differ in any of these." in provenance.line(runs)
    assert list(provenance.doubtful(runs)) == []
