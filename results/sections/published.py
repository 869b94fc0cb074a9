"""Published scores beside ours."""

from typing import Any

import numpy as np

from savo_bench.results import tables
from savo_bench.results.findings import Findings
from savo_bench.results.page import Section, Table


def section(found: Findings) -> Section | None:
    """A row per published score of the same task, algorithm and steps; None if there is none."""
    published = tables.published_table(found.runs)
    if len(published) == 0:
        return None
    frame = published[["environment", "variant"]].copy()
    frame["score"] = [found.headings[summary] for summary in published["summary"]]
    for name, mean, std, n in (("ours", "ours", "std", "n"), ("published", "published", "published_std", "seeds")):
        frame[name] = [_mean_and_std(row[mean], row[std], row[n]) for row in published.to_dict("records")]
    frame["differs in"] = published["differs"].replace("", "–")
    frame["source"] = published["source"]
    caption = (
        "Published scores of the same task, algorithm and steps, mean ± standard deviation over seeds. Only rows with "
        "nothing under “differs in” (version, statistic, task, profile, preset, fields) compare like with like, and "
        "what an implementation does without saying so may differ even there. Standing beside a published score is no "
        "claim to match it."
    )
    table = Table("published", caption, frame, ("ours", "published"))
    return Section("Published scores", [table], {"published": published})


def _mean_and_std(mean: float, std: float, n: Any) -> str:
    spread = "" if np.isnan(std) else f" ± {tables.interval_text(std)}"
    return f"{tables.interval_text(mean)}{spread}" + (f" (n={n})" if str(n) else " (n unknown)")
