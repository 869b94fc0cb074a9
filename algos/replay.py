"""Replay of S seeds in lockstep: a ring of packed records, one gather per batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from algos.agent import Batch, Spaces


class Replay:
    """The last `capacity` transitions of every seed.

    A record is one row of float32: obs (O), action (A), protos (P A), reward, terminated, next_obs (O). The memory is
    reserved at once but filled page by page, so an unfinished buffer costs what it holds.
    """

    def __init__(self, seeds: int, capacity: int, spaces: Spaces, protos: int, device: torch.device) -> None:
        self.seeds, self.capacity, self.spaces, self.protos, self.device = seeds, capacity, spaces, protos, device
        self.width = record_width(spaces, protos)
        self.records = torch.empty(seeds, capacity, self.width, device=device)
        self.offsets = np.arange(seeds)[:, None] * capacity  # of each seed's rows in the flattened buffer
        self.added = 0  # transitions ever added, the same for all seeds

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, record: np.ndarray) -> None:
        """Store one packed transition per seed, record (S, width) as `pack` makes it."""
        self.records[:, self.added % self.capacity] = torch.from_numpy(record).to(self.device)
        self.added += 1

    def sample(self, rngs: Sequence[np.random.Generator], batch_size: int) -> Batch:
        """Draw `batch_size` transitions per seed, uniformly with replacement, from that seed's stream."""
        size = len(self)
        rows = np.stack([rng.integers(size, size=batch_size) for rng in rngs]) + self.offsets
        index = torch.from_numpy(rows.ravel()).to(self.device)
        flat = self.records.flatten(0, 1).index_select(0, index).unflatten(0, (self.seeds, batch_size))
        O, A, P = self.spaces.obs_dim, self.spaces.action_dim, self.protos
        obs, action, protos, reward, terminated, next_obs = flat.split((O, A, P * A, 1, 1, O), dim=-1)
        return Batch(obs, action, protos.unflatten(-1, (P, A)), reward.squeeze(-1), next_obs, terminated.squeeze(-1))

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


def record_width(spaces: Spaces, protos: int) -> int:
    """Numbers in one packed record."""
    return 2 * spaces.obs_dim + spaces.action_dim * (1 + protos) + 2


def pack(
    obs: np.ndarray,
    action: np.ndarray,
    protos: np.ndarray,
    reward: np.ndarray,
    terminated: np.ndarray,
    next_obs: np.ndarray,
) -> np.ndarray:
    """One packed record per seed from obs (S, O), action (S, A), protos (S, P, A), reward (S,), terminated (S,)."""
    S = len(obs)
    parts = (obs, action, protos.reshape(S, -1), reward[:, None], terminated[:, None], next_obs)
    return np.concatenate(parts, axis=1, dtype=np.float32)
