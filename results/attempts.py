"""The attempts that made a seed's result, and in what they differ: machines, versions, code.

Each process that trains a seed writes a line to attempts.jsonl: where it ran, with which code, from which step on. An
attempt counts for as long as steps of it are left: what a later attempt trained again from an older checkpoint is that
attempt's. Runs of before attempts.jsonl have the first attempt's record only, in run.json, and perhaps no hashes of
their code; what is not known differs from nothing.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from savo_bench.results.files import said
from savo_bench.results.format import SeedFolder, seed_ranges, text
from savo_bench.results.state import SeedState

Attempt = Mapping[str, Any]  # what `bench.provenance` records, and attempt, resumed_from and new_episode

# the entries that may explain a different result; times, folders and the command line do not
COMPARED = (
    "version", "git", "dirty", "code", "python", "platform", "host", "cpu", "processor", "device", "gpu", "packages",
)  # fmt: skip
# Entries that change a result's bits, in words. A version counts only where no hash says whether the code is the same.
_ALTERING = {
    "code": "other code of {}",
    "packages": "another version of {}",
    "processor.arithmetic": "other arithmetic of the processor",
    "device": "another device",
    "gpu": "another GPU",
}
_LATER = ("code", "processor", "host", "packages")  # entries that older runs may lack, all or some
_SAID_ELSEWHERE = ("processor.name",)  # is the entry cpu


def attempts_of(folder: SeedFolder, run: Mapping[str, Any]) -> list[Attempt]:
    """The attempts of which steps are left, in order; `run` is what the seed's run.json holds.

    Raises:
        OSError: attempts.jsonl cannot be read.
    """
    kept: list[Attempt] = []
    for attempt in folder.read_attempts():
        while kept and kept[-1]["resumed_from"] >= attempt["resumed_from"]:
            kept.pop()
        kept.append(attempt)
    if not kept or kept[0]["resumed_from"] > 0:
        kept.insert(0, {**run["provenance"], "attempt": 1, "resumed_from": 0})
    return kept


def flat(attempt: Attempt) -> dict[str, str]:
    """The entries of COMPARED as text; a package is an entry `packages.torch`."""
    found: dict[str, str] = {}
    for name in COMPARED:
        value = attempt.get(name)
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": text(item) for key, item in value.items()}
        elif name in attempt:
            found[name] = text(value)
    return {name: value for name, value in found.items() if name not in _SAID_ELSEWHERE}


def values(attempts: Iterable[Attempt]) -> dict[str, list[str]]:
    """The different values of each entry over some attempts, in order."""
    found: dict[str, list[str]] = {}
    for entries in map(flat, attempts):
        for name, value in entries.items():
            found.setdefault(name, [])
            if value not in found[name]:
                found[name].append(value)
    return found


def may_be_unknown(entry: str) -> bool:
    """Whether runs lack an entry because they are old, so that its absence says nothing."""
    return entry.partition(".")[0] in _LATER


def code_of(attempt: Attempt) -> dict[str, str]:
    """The hash of the source of each package that an attempt used; empty where none was recorded."""
    code = attempt.get("code")
    return {str(name): text(value) for name, value in code.items()} if isinstance(code, Mapping) else {}


def mixture(attempts: Sequence[Attempt]) -> str | None:
    """What changed between a seed's attempts that changes results, and from which step on; None if nothing did."""
    parts = []
    for before, after in itertools.pairwise(attempts):
        changed = [_in_words(name) for name in _altered(flat(before), flat(after))]
        if after.get("new_episode"):
            changed.append("a new episode instead of the unfinished one")
        if changed:
            parts.append(f"from step {after['resumed_from']} on {' and '.join(changed)}")
    return f"mixed: {'; '.join(parts)}" if parts else None


def unlike(before: Attempt, after: Attempt) -> list[str]:
    """What differs between two attempts that changes results, in words with both values."""
    old, new = flat(before), flat(after)
    return [f"{_in_words(name)} ({old[name]}, here {new[name]})" for name in _altered(old, new)]


def _altered(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """The entries that change a result and differ between two attempts which both know them."""
    for name, value in after.items():
        kind, _, package = name.partition(".")
        if (kind in _ALTERING or name in _ALTERING) and before.get(name, value) != value:
            known = f"code.{package}"
            if not (kind == "packages" and known in before and known in after):
                yield name


def _in_words(entry: str) -> str:
    kind, _, package = entry.partition(".")
    return _ALTERING[entry] if entry in _ALTERING else _ALTERING[kind].format(package)


def doubts(seeds: Mapping[int, Sequence[Attempt]]) -> list[str]:
    """What readers of a cell's scores must know of how they came about, a phrase each.

    Args:
        seeds: The attempts of each seed of the cell.
    """
    mixed: dict[str, list[int]] = {}
    for seed, attempts in seeds.items():
        if what := mixture(attempts):
            mixed.setdefault(what, []).append(seed)
    phrases = [f"{_seeds(members)} {what}" for what, members in mixed.items()]
    differing: dict[tuple[tuple[int, ...], ...], list[str]] = {}  # packages by the groups of seeds that they make
    for package in dict.fromkeys(name for attempts in seeds.values() for each in attempts for name in code_of(each)):
        groups: dict[str, list[int]] = {}
        for seed, attempts in seeds.items():
            if package in (code := code_of(attempts[-1])):
                groups.setdefault(code[package], []).append(seed)
        if len(groups) > 1:
            differing.setdefault(tuple(map(tuple, groups.values())), []).append(package)
    for groups_of_seeds, packages in differing.items():
        sides = " and ".join(map(seed_ranges, groups_of_seeds))
        phrases.append(f"seeds {sides} were made by different code of {' and '.join(packages)}")
    return phrases


def doubts_of(seeds: Iterable[SeedState]) -> list[str]:
    """`doubts` of a cell's seeds; a seed whose attempts cannot be read is named."""
    known, unread = {}, []
    for seed in seeds:
        if seed.run is not None:
            try:
                known[seed.seed] = attempts_of(seed.folder, seed.run)
            except OSError as error:
                unread.append(f"seed {seed.seed}: {said(error)}")
    return doubts(known) + unread


def _seeds(numbers: Sequence[int]) -> str:
    return f"seed{'s' * (len(numbers) != 1)} {seed_ranges(numbers)}"
