"""Seeds that are not done, and files that could not be used."""

from savo_bench.results.findings import Findings
from savo_bench.results.page import Bullets, Section, Table, Text, code


def unfinished(found: Findings) -> Section:
    """A row per seed that is not done, with the reason."""
    runs = found.runs.runs
    rows = runs[runs["state"] != "done"]
    title = "Seeds that are not done"
    if len(rows) == 0:
        return Section(title, [Text("None.")])
    frame = rows[["environment", "variant"]].copy()
    frame["seed"], frame["state"] = rows["seed"].astype(str), rows["state"]
    frame["step"] = [f"{step} of {steps}" for step, steps in rows[["step", "steps"]].to_numpy()]
    frame["reason"] = rows["reason"].replace("", "–")
    return Section(title, [Table("unfinished", "A seed that is not done has no score.", frame, ("seed", "step"))])


def problems(found: Findings) -> Section | None:
    """A line per file that is damaged or out of place; None if there is none."""
    lines = [code(problem) for problem in found.problems]
    return Section("Files with problems", [Bullets(lines)]) if lines else None
