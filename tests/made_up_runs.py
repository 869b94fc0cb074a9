"""Made-up run folders that reports are tested on."""

from test_frame import EPISODES, fake_run, spec

from savo_bench.results.files import append_csv
from savo_bench.results.format import SeedFolder, label
from savo_bench.results.report import write_report


def fill(root, environments=("env-a", "env-b"), variants=("savo", "td3", "td3:tau=0.01"), seeds=6):
    """Seeds of scores 0, 10, 20, …, constant from their second evaluation on."""
    for environment in environments:
        for variant in variants:
            config = {"tau": 0.01} if variant.endswith("0.01") else {"extra_actors": 3} if variant == "savo" else {}
            for seed in range(seeds):
                of = {"environment": environment, "variant": variant, "seed": seed, **config}
                fake_run(root, [-1, 10 * seed, 10 * seed, 10 * seed], metrics={"valid": 0.75}, **of)


def cell(table, environment, variant):
    return table[(table["environment"] == environment) & (table["variant"] == variant)].iloc[0]


def curve(root, variant, scores, environment="env-a"):
    for seed, score in enumerate(scores):
        fake_run(root, [0, score, score, score], environment=environment, variant=variant, seed=seed)


PUBLISHED = "td3:preset=published"


def known_task(
    root, id="Hopper-v4", steps=1_000_000, variant=PUBLISHED, profile="paper", preset="published", **keywords
):
    """Two seeds of td3 on a task that others have published scores of, 3000 and 3100 in the only evaluation."""
    for seed in range(2):
        described = spec(environment="hopper", variant=variant, seed=seed, steps=steps, preset=preset)
        described["environment"] |= {"id": id, "keywords": keywords}
        described["budget"] |= {"profile": profile, "eval_every": steps}
        folder = SeedFolder.of(root, label("hopper", keywords), variant, seed)
        folder.write_run(described, {})
        rows = [(steps, episode, 3000.0 + 100 * seed, 1) for episode in range(EPISODES)]
        append_csv(folder.evals_csv, ["step", "episode", "return", "length"], rows)
        folder.write_status({"state": "done", "step": steps, "steps": steps})


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def page_of(root, out=None, **options):
    report = write_report(root, out or root.with_name("out"), **options)
    return report, report.folder.joinpath("report.md").read_text()
