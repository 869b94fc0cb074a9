"""Runs of ours beside Stable-Baselines3's curves of the same task, budget and evaluation: is there a difference?

    python benchmarks/sb3_difference.py runs/validation td3.csv sac.csv

The files are those of `benchmarks/sb3_curves.py`, one per algorithm and task; the folder holds one variant of each of
these algorithms on each of these tasks. Prints both means of the last evaluation and of last-10 over seeds, and the
difference in units of the task's normalised score with its 95 % Welch interval. The last evaluation says whether both
come to the same; last-10 of a short run also whether they take the same time.

Exit code 1 unless every interval of the last evaluation lies inside ± 0.2.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

sys.path.insert(
    0, str(Path(__file__).resolve().parent.parent / "src")
)  # this checkout is what is measured, installed or not

from savo_bench.results import frame, metrics, reference
from savo_bench.results.inference import welch

MARGIN = 0.2  # of the normalised score
SUMMARIES = {"final": metrics.final, "last10": metrics.last10}


def compare(runs: frame.Runs, theirs: pd.DataFrame) -> list[dict[str, object]]:
    """A row per summary for one file of theirs."""
    (algorithm,), (environment,) = theirs["algo"].unique(), theirs["env"].unique()
    ours = runs.runs.query("environment == @environment and algorithm == @algorithm and state == 'done'")
    (_,) = ours["variant"].unique()
    bounds = reference.bounds(ours["spec"].iloc[0]["environment"])
    if bounds is None:
        raise SystemExit(f"{environment}: has no bounds in results/reference/normalisation.csv")
    curves = theirs.groupby(["seed", "step"])["return"].mean()
    rows = []
    for name, summary in SUMMARIES.items():
        scores = [summary(curve.to_numpy()) for _, curve in curves.groupby("seed")]
        both = [metrics.normalised(side, bounds.low, bounds.high) for side in (ours[name], scores)]
        low, high = welch(*both).interval()
        rows.append(
            {
                "environment": environment,
                "algorithm": algorithm,
                "summary": name,
                "ours": ours[name].mean(),
                "theirs": sum(scores) / len(scores),
                "seeds": f"{len(ours)}, {len(scores)}",
                "difference": both[0].mean() - both[1].mean(),
                "low": low,
                "high": high,
            }
        )
    return rows


def main() -> int:
    """Compare, print, and say by the exit code whether all agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("theirs", type=Path, nargs="+")
    chosen = parser.parse_args()
    runs = frame.load(chosen.runs)
    table = pd.DataFrame([row for path in chosen.theirs for row in compare(runs, pd.read_csv(path))])
    print(table.to_string(index=False, float_format="{:.3f}".format))
    final = table[table["summary"] == "final"]
    return 0 if ((final["low"] > -MARGIN) & (final["high"] < MARGIN)).all() else 1


if __name__ == "__main__":
    sys.exit(main())
