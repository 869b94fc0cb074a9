"""`bench import`: takes scores of other programs into foreign cells."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from savo_bench.bench import grammar, show
from savo_bench.bench.errors import MACHINE, UserError
from savo_bench.bench.grammar import choose
from savo_bench.results import foreign, imports
from savo_bench.results.files import CorruptFile, said
from savo_bench.results.format import OtherSchema, label

EXTRAS = {"tensorboard": "tensorboard"}  # by kind of file: what must be installed to read it


def import_files(
    root: Path, files: Sequence[Path], console: Console, *,
    kind: str, env: str, variant: str, seed: int, columns: str | None,
) -> None:  # fmt: skip
    """Take the evaluations of some files into a foreign cell under runs/<name>.

    Args:
        root: The folder of the name, which is made where there is none.
        files: A file per seed; a CSV file may hold several.
        console: Where to print.
        kind: One of `imports.READERS`.
        env: The environment, as `bench run` takes it.
        variant: What to call it.
        seed: The seed of the first file; the others follow.
        columns: What columns or tags are called, as return=mean_reward,step=t; None: as usual.

    Raises:
        UserError: a file is not what it should be, a seed is there from another file, or it cannot be written.
    """
    choose(kind, imports.READERS, "--from")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", variant):
        raise UserError(f"--variant {variant}: must be letters, digits and . _ -, as sb3-td3")
    if not 0 <= seed <= grammar.LARGEST_SEED:
        raise UserError(f"--seed {seed}: must be from 0 to {grammar.LARGEST_SEED}")
    if not files:
        raise UserError("bench import: name a file")
    identity = _identity(env)
    name, names = foreign.named(variant), _names(columns)
    what = f"{name} on {label(identity['name'], identity['keywords'])}"
    found = []
    for at, file in enumerate(files):
        for own, evals in _read(file, kind, names).items():
            found.append((seed + at if own is None else own, file, evals))
    numbers = [number for number, *_ in found]
    if max(numbers) > grammar.LARGEST_SEED or len(set(numbers)) < len(numbers):
        raise UserError(f"bench import: the seeds {', '.join(map(str, numbers))} are not different ones up to "
                        f"{grammar.LARGEST_SEED}: name a file per seed, and --seed for the first")  # fmt: skip
    for number, file, evals in found:
        try:
            new = foreign.write(root, identity, name, number, kind, file, evals)
        except foreign.Taken as error:
            raise UserError(str(error)) from None
        except (CorruptFile, OtherSchema) as error:
            raise UserError(str(error), exit_code=MACHINE) from None
        except OSError as error:
            raise UserError(f"cannot write {said(error)}", exit_code=MACHINE) from None
        steps, episodes = evals["step"].nunique(), len(evals)
        told = f"{show.count(steps, 'evaluation')}, {show.count(episodes, 'episode')}" if new else "imported before"
        show.line(console, f"{what} seed {number}: {told}")


def _identity(env: str) -> dict[str, Any]:
    """The environment's part of a spec."""
    from savo_bench.bench import resolving  # needs torch, which a wrong file does not wait for
    from savo_bench.bench.options import Options

    first, *others = resolving.cells(Options(envs=env, algos="td3"))  # any algorithm, as nothing is trained
    if others:
        raise UserError(f"--env {env}: this is about one environment; name one")
    return first.spec(0)["environment"]


def _names(columns: str | None) -> dict[str, str]:
    """What columns are called, by what they hold."""
    found = {}
    for part in columns.split(",") if columns else ():
        what, equals, name = (piece.strip() for piece in part.partition("="))
        if not (what in imports.NAMES and equals and name):
            raise UserError(f"--columns {part}: write WHAT=NAME, where WHAT is one of {', '.join(imports.NAMES)}")
        found[what] = name
    return found


def _read(file: Path, kind: str, names: dict[str, str]) -> "dict[int | None, imports.pd.DataFrame]":
    """The evaluations of a file, by seed."""
    if not file.exists():
        raise UserError(f"{file}: is not there")
    try:
        return imports.READERS[kind](file, names)
    except imports.NotReadable as error:
        raise UserError(str(error)) from None
    except ModuleNotFoundError as error:
        raise UserError(f"--from {kind} needs {error.name}: pip install 'savo-bench[{EXTRAS[kind]}]'") from None
