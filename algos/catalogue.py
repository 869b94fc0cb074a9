"""A catalogue of items, and the search for those nearest to a point: exact, or on request approximate.

On a catalogue an action is one of N items, each a vector in [-1, 1]^A. Actors still act in the box; their protos are
snapped to the nearest items, by Euclidean distance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

CHUNK = 4_096  # ours: items of one product with all queries, so that the distances stay in the cache
BLOCK = 64  # ours: items of which only the nearest is looked at first; with 32 or 128 it takes as long
BLOCKS_FROM = 65_536  # ours: items from which blocks pay; 256 queries for 10 of 10 000 take longer with them
GATHERED = 2**24  # ours: numbers gathered at once from blocks, 64 MiB
CELLS = 4  # code: faiss's guidelines; an inverted file has 4 √N cells
INVERTED_FROM = 25_000  # ours: items; faiss wants 39 to a cell, which 4 √N cells of fewer than 24 336 cannot have


class Catalogue:
    """The vectors of N items, and the exact search among them."""

    def __init__(self, vectors: np.ndarray, device: torch.device | None = None) -> None:
        self.vectors = torch.tensor(vectors, dtype=torch.float32, device=device)  # (N, A), a copy
        self._half_squares = self.vectors.square().sum(-1) / 2  # (N,)
        self._in_block = torch.arange(BLOCK, device=device)

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
        found = torch.stack([self._nearest(queries, count) for queries in rows.unbind()])
        return found.unflatten(1, points.shape[1:-1])

    def _nearest(self, queries: Tensor, count: int) -> Tensor:
        """The search of one seed: (R, A) -> (R, count)."""
        in_blocks = len(self) >= max(BLOCKS_FROM, 16 * count * BLOCK)
        return self._search_blocks(queries, count) if in_blocks else self._search(queries, count)

    def _distances(self, queries: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Chunks of items, as the first and |z|² / 2 - q·z (R, chunk), which orders as |q - z|² does.

        All of them lie in one buffer, so each holds until the next is asked for. Without it the system clears the pages
        of every chunk anew, which can take as long as the products.
        """
        R, queries = len(queries), queries.detach()
        buffer = torch.empty(R * min(CHUNK, len(self)), device=queries.device)
        for start in range(0, len(self), CHUNK):
            half_squares, vectors = (each[start : start + CHUNK] for each in (self._half_squares, self.vectors))
            out = buffer[: R * len(vectors)].view(R, len(vectors))
            yield start, torch.addmm(half_squares, queries, vectors.mT, alpha=-1, out=out)

    def _search(self, queries: Tensor, count: int) -> Tensor:
        """(R, A) -> (R, count)."""
        best: Tensor | None = None
        items: Tensor | None = None
        for start, distances in self._distances(queries):
            values, indices = _smallest(distances, min(count, distances.shape[1]))
            indices = indices + start
            if best is not None and items is not None:
                values, indices = torch.cat([best, values], dim=-1), torch.cat([items, indices], dim=-1)
                values, order = _smallest(values, min(count, values.shape[1]))
                indices = indices.gather(-1, order)
            best, items = values, indices
        assert items is not None
        return items

    def _search_blocks(self, queries: Tensor, count: int) -> Tensor:
        """The same for many items: the k nearest lie in the k blocks whose own nearest are nearest.

        Those alone are then put in order, which takes far less than to keep track of all distances.
        """
        minima = []
        for _, distances in self._distances(queries):
            whole = distances.shape[1] // BLOCK * BLOCK
            minima.append(distances[:, :whole].unflatten(-1, (-1, BLOCK)).amin(-1))
            if whole < distances.shape[1]:
                minima.append(distances[:, whole:].amin(-1, keepdim=True))
        _, blocks = _smallest(torch.cat(minima, dim=-1), count)  # (R, count)
        at_once = max(1, GATHERED // (count * BLOCK * self.vectors.shape[1]))
        pairs = zip(queries.split(at_once), blocks.split(at_once), strict=True)
        return torch.cat([self._order(points, near, count) for points, near in pairs])

    def _order(self, queries: Tensor, blocks: Tensor, count: int) -> Tensor:
        """The nearest items in these blocks: (R, A), (R, count) -> (R, count)."""
        items = (blocks.unsqueeze(-1) * BLOCK + self._in_block).flatten(1)  # (R, count * BLOCK)
        there = items.clamp(max=len(self) - 1)  # the last block may be shorter
        distances = self._half_squares[there] - (self.vectors[there] @ queries.unsqueeze(-1)).squeeze(-1)
        distances = distances.masked_fill(items >= len(self), math.inf)
        return items.gather(-1, _smallest(distances, count)[1])

    def __getitem__(self, indices: Tensor) -> Tensor:
        """The vectors of items: (...) -> (..., A)."""
        return self.vectors[indices]


class InvertedFile(Catalogue):
    """A catalogue that is searched approximately, by faiss's inverted file.

    The items are put into 4 √N cells by k-means, and of these only the `probes` cells whose centres lie nearest to a
    point are searched. It is built of the vectors alone, from faiss's fixed seed, so that every process finds the same
    items. The search runs on the CPU, wherever the tensors are, so updates on a GPU wait for it.

    Source: faiss's IndexIVFFlat (github.com/facebookresearch/faiss).

    Raises:
        ImportError: faiss is not installed.
    """

    def __init__(self, vectors: np.ndarray, probes: int, device: torch.device | None = None) -> None:
        import faiss  # type: ignore[import-not-found]  # the optional extra `approximate`

        super().__init__(vectors, device)
        table = self.vectors.cpu().numpy()
        faiss.omp_set_num_threads(torch.get_num_threads())  # which it may or may not share with torch
        self.probes, self.cells = probes, CELLS * math.isqrt(len(table))
        self._centres = faiss.IndexFlatL2(table.shape[1])  # kept, as the index only points to it
        self._index = faiss.IndexIVFFlat(self._centres, table.shape[1], self.cells)
        self._index.cp.max_points_per_centroid = 64  # ours: a quarter of faiss's, and of its time
        self._index.train(table)
        self._index.add(table)

    def _nearest(self, queries: Tensor, count: int) -> Tensor:
        """Of one seed: (R, A) -> (R, count). Points whose cells hold fewer items than that are searched exactly."""
        self._index.nprobe = self.probes
        _, found = self._index.search(queries.detach().cpu().numpy(), count)  # -1 where there is none
        items = torch.from_numpy(found).to(queries.device)
        short = items[:, -1] < 0
        if short.any():
            items[short] = super()._nearest(queries[short], count)
        return items

    def recall(self, points: Tensor, found: Tensor) -> Tensor:
        """The share of the true nearest items among those found, per seed: (S, ..., A), (S, ..., count) -> (S,)."""
        shares = []
        for queries, items in zip(points.flatten(1, -2).unbind(), found.flatten(1, -2).unbind(), strict=True):
            true = super()._nearest(queries, items.shape[-1])
            shares.append((items.unsqueeze(-1) == true.unsqueeze(-2)).any(-1).float().mean())
        return torch.stack(shares)


def _smallest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The smallest entries of each row, in order, and where they stand."""
    if count == 1:  # several times faster than topk
        return values.min(-1, keepdim=True)
    return values.topk(count, dim=-1, largest=False, sorted=True)
