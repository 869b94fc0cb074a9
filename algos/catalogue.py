"""A catalogue of items: exact nearest neighbours on tensors.

On a catalogue an action is one of N items, each a vector in [-1, 1]^A. Actors still act in the box; their protos are
snapped to the nearest items, by Euclidean distance.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

CHUNK = 4_096  # ours: items of one product with all queries, so that the distances stay in the cache


class Catalogue:
    """The vectors of N items, and the search among them."""

    def __init__(self, vectors: np.ndarray, device: torch.device | None = None) -> None:
        self.vectors = torch.tensor(vectors, dtype=torch.float32, device=device)  # (N, A), a copy
        self._half_squares = self.vectors.square().sum(-1) / 2  # (N,)

    def __len__(self) -> int:
        return len(self.vectors)

    def nearest(self, points: Tensor, count: int) -> Tensor:
        """The nearest items of every point, the nearest first: points (S, ..., A) -> indices (S, ..., count).

        One search per seed, so that a seed finds the same items in any pack.

        Raises:
            ValueError: the catalogue has fewer items than that.
        """
        if count > len(self):
            raise ValueError(f"count={count}: the catalogue has only {len(self)} items")
        rows = points.flatten(1, -2)  # (S, R, A)
        found = torch.stack([self._search(queries, count) for queries in rows.unbind()])
        return found.unflatten(1, points.shape[1:-1])

    def _search(self, queries: Tensor, count: int) -> Tensor:
        """(R, A) -> (R, count). The order of |q - z|² is that of |z|² / 2 - q·z."""
        best: Tensor | None = None
        items: Tensor | None = None
        for start in range(0, len(self), CHUNK):
            part = slice(start, start + CHUNK)
            distances = torch.addmm(self._half_squares[part], queries, self.vectors[part].mT, alpha=-1)  # (R, chunk)
            values, indices = _smallest(distances, min(count, distances.shape[1]))
            indices = indices + start
            if best is not None and items is not None:
                values, indices = torch.cat([best, values], dim=-1), torch.cat([items, indices], dim=-1)
                values, order = _smallest(values, min(count, values.shape[1]))
                indices = indices.gather(-1, order)
            best, items = values, indices
        assert items is not None
        return items

    def __getitem__(self, indices: Tensor) -> Tensor:
        """The vectors of items: (...) -> (..., A)."""
        return self.vectors[indices]


def _smallest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The smallest entries of each row, in order, and where they stand."""
    if count == 1:  # several times faster than topk
        return values.min(-1, keepdim=True)
    return values.topk(count, dim=-1, largest=False, sorted=True)
