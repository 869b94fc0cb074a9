"""`bench gap`: how far below the maximum of its own Q a trained policy acts, and what keeps it there.

The states are those of each finished seed's last evaluation, at equal distances; of a policy that was kept on the way,
those of the evaluation after which it was kept. In a box the maximum is searched for on a grid or by ascents, on a
catalogue among the items (algos/maxima.py). Where several actors compete, later ones are replaced by ascents
(algos/searches.py), and the evaluation is played again with the first actor alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from savo_bench.algos import maxima, ruggedness, searches
from savo_bench.algos.actor_critic import ActorCritic
from savo_bench.algos.agent import Noise
from savo_bench.algos.config import CompetitionConfig
from savo_bench.algos.slices import surrogate_slices, surrogates_of
from savo_bench.bench import finished, show
from savo_bench.bench.errors import MACHINE, NEGATIVE, UserError
from savo_bench.bench.run_directory import reading
from savo_bench.results import foreign, gaps, tables
from savo_bench.results.files import replacing, said
from savo_bench.results.format import GAPS
from savo_bench.results.state import CellState, SeedState, survey

POINTS = 201  # ours: at which surrogates are compared with what they are fitted to; in one dimension steps of .01
KEYS = ["environment", "variant", "seed"]
SEARCHED: dict[str, searches.Climbed] = {"learnt_gap": "learnt", "exact_gap": "exact", "independent_gap": "independent"}
NUMBERS = ["exact_maxima", "learnt_maxima"]  # of maxima of Ψ and of Ψ̂
COLUMNS = [*maxima.COLUMNS, "surrogate_error", *NUMBERS, *SEARCHED, "return", "first_return"]


def print_gaps(
    root: Path,
    console: Console,
    *,
    env: str | None,
    algo: str | None,
    states: int,
    checkpoints: bool,
    out: Path | None,
) -> None:
    """Measure the finished seeds of a set of cells, print means with intervals, and write a row per seed.

    Args:
        root: The folder of a name.
        console: Where to print.
        env: Only this environment, as `bench status` writes it; None for all.
        algo: Only this variant; None for all.
        states: How many visited states of each seed.
        checkpoints: Whether to measure also the policies that were kept on the way; then there is a row for each.
        out: The CSV file; None for gaps.csv in the folder of the name.

    Raises:
        UserError: there is no finished seed, none can be measured, or the file cannot be written.
    """
    if states < 1:
        raise UserError(f"--states {states}: must be at least 1")
    torch.set_num_threads(1)  # both as in training, so that the same bits come out
    torch.set_flush_denormal(True)
    chosen = _chosen(root, env, algo)
    problems = _without_policies(root, chosen) if checkpoints else []
    rows = []
    for cell, seed in track(chosen, "measuring", console=console, transient=True):
        try:
            names = dict(zip(KEYS, (cell.environment, cell.variant, seed.seed), strict=True))
            rows += [names | row for row in _measure(seed, states, checkpoints)]
        except UserError as error:
            problems.append(f"{cell.variant} on {cell.environment}, seed {seed.seed} is left out: {error}")
    for problem in problems:
        show.line(console, f"note: {problem}", "yellow")
    if not rows:
        raise UserError(f"{root}: no seed can be measured", exit_code=NEGATIVE)
    found = pd.DataFrame(rows, columns=[*KEYS, *["step"] * checkpoints, *COLUMNS])
    path = out or root / GAPS
    try:
        with replacing(path, durable=False) as file:
            file.write(found.to_csv(index=False).encode())
    except OSError as error:
        raise UserError(f"cannot write {said(error)}", exit_code=MACHINE) from None
    _tell(console, found)
    show.line(console, f"a row per {'policy' if checkpoints else 'seed'}: {path}")


def _chosen(root: Path, env: str | None, algo: str | None) -> list[tuple[CellState, SeedState]]:
    """The finished seeds of the cells that were asked for."""
    with reading():
        cells = survey(root)
    wanted = [cell for cell in cells if env in (None, cell.environment) and algo in (None, cell.variant)]
    if not wanted:
        given = " ".join(f"--{name} {value}" for name, value in (("env", env), ("algo", algo)) if value is not None)
        there = "; ".join(f"{cell.variant} on {cell.environment}" for cell in cells) or "none"
        raise UserError(f"{given or root}: is not among the cells of {root}; there are: {there}")
    imported = [cell for cell in wanted if foreign.of_cell(cell)]
    if len(imported) == len(wanted):
        raise UserError(f"{imported[0].variant} {foreign.NO_POLICY}", exit_code=NEGATIVE)
    ours = [cell for cell in wanted if cell not in imported]
    done = [(cell, seed) for cell in ours for seed in cell.seeds if seed.state == "done"]
    if not done:
        raise UserError(f"{root}: no seed is done; the same `bench run` resumes them", exit_code=NEGATIVE)
    return done


def _without_policies(root: Path, chosen: Sequence[tuple[CellState, SeedState]]) -> list[str]:
    """A line for each seed of which only the final policy is there.

    Raises:
        UserError: no seed has others.
    """
    with reading():
        alone = [(cell, seed) for cell, seed in chosen if not seed.folder.kept_policies()]
    if len(alone) == len(chosen):
        raise UserError(
            f"{root}: no seed kept policies on the way; `bench run --keep-policies N --name OTHER` trains some that do",
            exit_code=NEGATIVE,
        )
    return [
        f"{cell.variant} on {cell.environment}, seed {seed.seed} kept no policies on the way" for cell, seed in alone
    ]


def _measure(seed: SeedState, states: int, checkpoints: bool) -> list[dict[str, float]]:
    """A row for each policy of a seed, of the final one alone without `checkpoints`: its step and COLUMNS."""
    with contextlib.closing(finished.Policies(seed)) as policies:
        rows = []
        for step in policies.steps if checkpoints else policies.steps[-1:]:
            policies.load(step)
            rows.append({"step": step} | _measured(policies, step, states))
    return rows


def _measured(policies: finished.Policies, step: int, states: int) -> dict[str, float]:
    """The numbers of COLUMNS of the policy that is loaded, as far as it has them."""
    agent, visit = policies.agent, policies.visit(step)
    obs = visit.states[:, finished.evenly(visit.states.shape[1], states)]
    row = _gaps(agent, obs, visit.noise) | {"return": visit.mean_return}
    if isinstance(agent.config, CompetitionConfig):
        config = agent.config
        agent.config = dataclasses.replace(config, argmax="both", evaluate="first")
        row["first_return"] = policies.visit(step).mean_return
        agent.config = config
    return row


def _gaps(agent: ActorCritic, obs: Tensor, noise: Noise) -> dict[str, Any]:
    """Gaps and errors in states (1, B, O), in shares of the span of Q_1 over actions."""
    with torch.no_grad():
        proto_actions = agent.propose(obs, noise, explore=False)
        proposals = agent.snap(proto_actions, noise).actions
    critic, catalogue, B = agent.critic.first, agent.catalogue, obs.shape[1]
    found = maxima.found_in(critic, obs, agent.spaces.action_dim, catalogue)
    row = {name: value.item() for name, value in maxima.gaps(critic, obs, proposals, catalogue, B, found).items()}
    if catalogue is not None or not agent.actors_compete:
        return row
    surrogates = surrogates_of(agent)
    for column, climbed in SEARCHED.items():
        if surrogates or climbed == "independent":
            ends = searches.proposals_of(agent, obs, proposals, climbed)
            row[column] = maxima.gap_of_each(critic, obs, ends, found).amin(-1).mean().item()
    if surrogates:
        row["surrogate_error"] = _surrogate_error(agent, obs, proposals, found.span)
        row |= _surrogate_maxima(agent, obs, proposals, found.span)
    return row


def _surrogate_maxima(agent: ActorCritic, obs: Tensor, proposals: Tensor, span: Tensor) -> dict[str, float]:
    """The mean number of prominent maxima of Ψ_i and of Ψ̂_i over states and surrogates, see algos/ruggedness.py."""
    found = ruggedness.of_surrogates(agent, obs, proposals, span)
    kinds = [each.exact.number() for each in found], [each.learnt.number() for each in found]
    return {name: torch.stack(each).double().mean().item() for name, each in zip(NUMBERS, kinds, strict=True)}


def _surrogate_error(agent: ActorCritic, obs: Tensor, proposals: Tensor, span: Tensor) -> float:
    """The root mean square of Ψ̂_i - Ψ_i over points of the box, states and surrogates, in shares of the span.

    In each state the mean of the error over the points is taken off, as it moves no actor. `span` is (1, B).
    """
    A = agent.spaces.action_dim
    points = torch.linspace(-1, 1, POINTS).unsqueeze(-1) if A == 1 else maxima.starting_points(POINTS, A)
    points = points.to(obs).expand(1, obs.shape[1], -1, -1)
    slices = surrogate_slices(agent, obs, proposals, proposals, points)
    errors = [(each.learnt - each.exact) / span.unsqueeze(-1) for each in slices]
    return torch.stack([error - error.mean(-1, keepdim=True) for error in errors]).square().mean().sqrt().item()


def _tell(console: Console, found: pd.DataFrame) -> None:
    """Print means over seeds with 95 % bootstrap intervals, first of all variants, then of those of several actors."""
    shares = [name for name in COLUMNS if name not in gaps.PLAIN]
    found = found.assign(**{name: 100 * found[name] for name in shares})
    over_steps = "step" in found
    cells = tables.gap_table(found, [*KEYS[:2], *["step"] * over_steps], COLUMNS)
    show.paragraph(
        console,
        "Prominent maxima of Q₁ in a state; states in which the first proposal is stuck, in %; the gaps of the first "
        "and of the best proposal below the highest Q₁, in % of its span over actions"
        f"{'; the return of the evaluation at the step' if over_steps else ''}",
    )
    labels = {"maxima": "maxima", "stuck": "stuck", "first_gap": "first", "best_gap": "best"}
    _print(console, cells, labels | ({"return": "return"} if over_steps else {}))
    several = cells[cells["first_return"].notna()]
    if len(several):
        show.paragraph(
            console,
            "Gap of the best proposal, and of what ascents on the surrogates, on the exact Ψ and on Q₁ itself find in "
            "place of the later actors; prominent maxima of Ψ and of Ψ̂, and the error of Ψ̂; the return, and that of "
            "the first actor alone",
        )
        labels = {"best_gap": "best", "learnt_gap": "on Ψ̂", "exact_gap": "on Ψ", "independent_gap": "on Q₁"}
        _print(console, several, labels)
        _print(console, several, {"exact_maxima": "maxima of Ψ", "learnt_maxima": "of Ψ̂", "surrogate_error": "error"})
        _print(console, several, {"return": "return", "first_return": "first alone"})


def _print(console: Console, cells: pd.DataFrame, labels: dict[str, str]) -> None:
    """A table of some columns of `tables.gap_table`, with the steps, if there are any, and the number of seeds."""
    columns = {"step": [show.thousands(step) for step in cells["step"]]} if "step" in cells else {}
    columns |= {text: tables.interval_column(cells, name) for name, text in labels.items()}
    columns["seeds"] = list(map(str, cells["n"]))
    rows = [(*cell, texts) for cell, *texts in zip(cells[KEYS[:2]].to_numpy(), *columns.values(), strict=True)]
    console.print(show.cell_table(list(columns), rows, console.width))
