"""Replay of S seeds in lockstep: a ring of packed records, one gather per batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from savo_bench.algos.agent import Batch, Spaces


@dataclass(frozen=True)
class Layout:
    """A record of one transition, as float32.

    It holds obs (O), action (A), proto-actions (P A), items (J), reward, terminated and next_obs (O). On a catalogue
    the action is its item's index, and J items of proposals follow the proto-actions; float32 is exact for indices up
    to 2^24. In a box there are no items.
    """

    spaces: Spaces
    proto_actions: int  # P
    items: int  # J

    @property
    def widths(self) -> tuple[int, ...]:
        """How many numbers each part has."""
        O, A = self.spaces.obs_dim, self.spaces.action_dim
        boxed = self.spaces.catalogue is None
        return (O, A if boxed else 1, self.proto_actions * A, 0 if boxed else self.items, 1, 1, O)

    @property
    def width(self) -> int:
        """How many numbers a record has."""
        return sum(self.widths)

    def pack(self, *parts: np.ndarray) -> np.ndarray:
        """One record per seed, (S, width), from its parts in order, each (S, ...)."""
        S = len(parts[0])
        return np.concatenate([part.reshape(S, -1) for part in parts], axis=1, dtype=np.float32, casting="unsafe")

    def unpack(self, records: torch.Tensor) -> Batch:
        """Records (S, B, width) as a batch."""
        obs, action, proto_actions, items, reward, terminated, next_obs = records.split(self.widths, dim=-1)
        proto_actions = proposals = proto_actions.unflatten(-1, (self.proto_actions, self.spaces.action_dim))
        catalogue = self.spaces.catalogue
        if catalogue is not None:
            action, proposals = catalogue[action.squeeze(-1).long()], catalogue[items.long()]
        return Batch(obs, action, proto_actions, proposals, reward.squeeze(-1), next_obs, terminated.squeeze(-1))


class Replay:
    """The last `capacity` transitions of every seed, as records.

    The memory is reserved at once but used page by page, so a buffer that is not full costs what it holds.
    """

    def __init__(self, seeds: int, capacity: int, layout: Layout, device: torch.device) -> None:
        self.seeds, self.capacity, self.layout, self.device = seeds, capacity, layout, device
        self.width = layout.width
        self.records = torch.empty(seeds, capacity, self.width, device=device)
        self.offsets = np.arange(seeds)[:, None] * capacity  # of each seed's rows in the flattened buffer
        self.added = 0  # transitions ever added, the same for all seeds

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, record: np.ndarray) -> None:
        """Store one record per seed, (S, width) as `Layout.pack` makes it."""
        self.records[:, self.added % self.capacity] = torch.from_numpy(record).to(self.device)
        self.added += 1

    def sample(self, rngs: Sequence[np.random.Generator], batch_size: int) -> Batch:
        """Draw `batch_size` transitions per seed, uniformly with replacement, from that seed's stream."""
        size = len(self)
        rows = np.stack([rng.integers(size, size=batch_size) for rng in rngs]) + self.offsets
        index = torch.from_numpy(rows.ravel()).to(self.device)
        records = self.records.flatten(0, 1).index_select(0, index).unflatten(0, (self.seeds, batch_size))
        return self.layout.unpack(records)

    def rows(self, index: int, start: int) -> np.ndarray:
        """The records of one seed from transition number `start` to the newest: (added - start, width).

        Raises:
            ValueError: if the ring no longer holds transition `start`.
        """
        if start < self.added - self.capacity:
            raise ValueError(f"start={start}: the ring holds only the last {self.capacity} of {self.added} transitions")
        slots = np.arange(start, self.added) % self.capacity
        return self.records[index, torch.from_numpy(slots).to(self.device)].cpu().numpy()

    def load_rows(self, index: int, rows: np.ndarray, added: int) -> None:
        """Fill one seed's ring with its newest records, rows (min(added, capacity), width), oldest first."""
        slots = np.arange(added - len(rows), added) % self.capacity
        self.records[index, torch.from_numpy(slots).to(self.device)] = torch.from_numpy(rows).to(self.device)
        self.added = added
