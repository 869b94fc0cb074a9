"""What is trained: a cell (a variant of an algorithm on an environment under a budget), and packs of a cell's seeds.

Both are plain values. They can be pickled, and are the same for every launcher.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from savo_bench import envs
from savo_bench.results.format import SeedFolder, label

LOG_ROWS = 200  # ours: rows of train.csv over a whole run, enough for a curve


class AnyConfig(Protocol):
    """The config of any algorithm, also of a plug-in: a frozen dataclass with the fields that the training reads."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def batch_size(self) -> int:
        """Transitions of an update."""
        ...

    @property
    def buffer_size(self) -> int:
        """Transitions that replay holds."""
        ...

    @property
    def warmup_steps(self) -> int:
        """Steps of random actions at the beginning, without updates."""
        ...

    @property
    def policy_delay(self) -> int:
        """Updates of the critics for one of the actors."""
        ...


@dataclass(frozen=True)
class Budget:
    """How long a cell trains and how it is evaluated."""

    profile: str
    steps: int
    eval_every: int  # steps between evaluations
    eval_episodes: int

    @property
    def log_every(self) -> int:
        """Steps between two rows of train.csv."""
        return max(1, self.steps // LOG_ROWS)

    def gaps_at(self, step: int) -> bool:
        """Whether the row of train.csv at this step has what `Agent.gaps` finds: the first from each evaluation on.

        So does the last row.
        """
        return step % self.eval_every < self.log_every or step + self.log_every > self.steps

    def policy_steps(self, number: int) -> list[int]:
        """The steps at which so many policies are kept: evaluations before the last, at equal distances.

        Where there are fewer, all of them.
        """
        evaluations = -(-self.steps // self.eval_every)
        parts = min(number, evaluations - 1) + 1
        return [evaluations * part // parts * self.eval_every for part in range(1, parts)]


@dataclass(frozen=True)
class Cell:
    """A variant of an algorithm on an environment under a budget."""

    environment: str
    env_keywords: Mapping[str, Any]  # those that differ from the factory's defaults
    algorithm: str
    config: AnyConfig
    overrides: Mapping[str, object]  # its fields that differ from defaults, profile and preset
    budget: Budget
    controls: tuple[str, ...] = field(default=(), compare=False)  # variants that must stand beside it, where known

    @property
    def env_label(self) -> str:
        """For instance `restricted-hopper:balls=990`."""
        return label(self.environment, self.env_keywords)

    @property
    def variant(self) -> str:
        """For instance `savo:extra_actors=5,target_noise=0`."""
        return label(self.algorithm, self.overrides)

    @property
    def key(self) -> tuple[str, str]:
        """Environment and variant, which name a cell within a set of cells."""
        return self.env_label, self.variant

    def spec(self, seed: int) -> dict[str, Any]:
        """The identity of one seed's run, as JSON's own types."""
        config = {field.name: _plain(getattr(self.config, field.name)) for field in dataclasses.fields(self.config)}
        keywords = {key: _plain(value) for key, value in self.env_keywords.items()}
        return {
            "environment": envs.get(self.environment).identity(keywords),
            "algorithm": {"name": self.algorithm, "variant": self.variant, "config": config},
            "budget": dataclasses.asdict(self.budget),
            "seed": seed,
        }


@dataclass(frozen=True)
class Pack:
    """Seeds of one cell that one process trains together."""

    cell: Cell
    seeds: tuple[int, ...]
    root: Path  # runs/<name>
    device: str  # "cpu" or "cuda"
    checkpoint_every: float  # seconds
    launcher: str
    job: str | None = None  # the number of the launcher's job, where another attempt of the same job keeps it
    command: str | None = None  # the command line that asked for it, for run.json; None: that of this process
    keep_policies: int = 0  # how many policies of each seed are kept on the way

    @property
    def key(self) -> tuple[str, str, tuple[int, ...]]:
        """Environment, variant and seeds, which name a pack among those of one launch."""
        return *self.cell.key, self.seeds

    def folder(self, seed: int) -> Path:
        """The folder of one seed."""
        return seed_folder(self.root, self.cell, seed).path

    def with_seeds(self, seeds: tuple[int, ...]) -> Pack:
        """The same pack with other seeds."""
        return dataclasses.replace(self, seeds=seeds)


def seed_folder(root: Path, cell: Cell, seed: int) -> SeedFolder:
    """The folder of one seed of a cell, which need not exist yet."""
    return SeedFolder.of(root, cell.env_label, cell.variant, seed)


def _plain(value: object) -> object:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
