"""What stands below the help of every verb: one example, and its exit codes.

docs/guide.md has the table of all exit codes.
"""

from typing import NamedTuple


class Example(NamedTuple):
    """One command that works as it stands, and what the exit codes of the verb say."""

    command: str
    codes: str = "0 done"


ALWAYS = "2 what was typed makes no sense, 70 an error inside, 74 a file or the machine, 130 Ctrl-C"
NOT_DONE = "0 done, 1 no such seed is done or it has no policy"
EXAMPLES = {
    "list": Example("bench list extra_actors"),
    "run": Example(
        "bench run --algos savo,td3 --envs restricted-hopper --seeds 10 --name grid",
        "0 every seed is done or submitted, 1 seeds failed or are missing, or an environment was left out",
    ),
    "status": Example("bench status grid", "0 no seed has failed, 1 one has, or is unreadable"),
    "report": Example("bench report grid --summary final"),
    "compare": Example(
        "bench compare savo td3 grid --margin 0.1", "0 better, 1 worse, 3 cannot tell, 4 no scores, 5 equivalent"
    ),
    "check": Example("bench check grid --against baseline.csv", "0 pass, 1 regression, 3 cannot tell, 4 not measured"),
    "play": Example("bench play grid --env restricted-hopper --algo savo --out film.gif", NOT_DONE),
    "landscape": Example("bench landscape grid --env restricted-hopper --algo savo --state gap", NOT_DONE),
    "gap": Example("bench gap grid --states 200", NOT_DONE),
    "cost": Example("bench cost --algos savo:extra_actors=1,3 --out costs"),
    "export": Example("bench export grid --to tensorboard"),
    "import": Example(
        "bench import evaluations.npz --from sb3-npz --env restricted-hopper --variant sb3-td3 --name grid"
    ),
}


def below(verb: str) -> list[tuple[str, str]]:
    """The sections below the help of a verb: titles and texts."""
    if verb not in EXAMPLES:  # a plug-in's
        return []
    example = EXAMPLES[verb]
    return [("Example", example.command), ("Exit codes", f"{example.codes}; {ALWAYS}")]
