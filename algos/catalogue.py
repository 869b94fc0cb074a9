"""A catalogue of items, and the search for the items nearest to a point: exact, or on request approximate.

On a catalogue an action is one of N items, each a vector in [-1, 1]^A. Actors still act in the box; their proto-actions
are snapped to the nearest items by Euclidean distance.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

CHUNK = 4_096  # ours: items per matrix product, so that the distances stay in the cache
BLOCK = 64  # ours: items in a block; with 32 or 128 a search takes as long
BLOCKS_FROM = 65_536  # ours: items from which on blocks are faster; 256 queries for 10 of 10 000 items are slower
GATHERED = 2**24  # ours: numbers gathered from blocks at once, 64 MiB
CELLS = 4  # code: faiss's guidelines; an inverted file has 4 √N cells
INVERTED_FROM = 25_000  # ours: items; faiss asks for 39 per cell, which 4 √N cells have from 24 336 items on


class Catalogue:
    """The vectors of N items, with exact search."""

    def __init__(self, vectors: np.ndarray, device: torch.device | None = None) -> None:
        self.vectors = torch.tensor(vectors, dtype=torch.float32, device=device)  # (N, A), a copy
        self._half_squares = self.vectors.square().sum(-1) / 2  # (N,)
        self._in_block = torch.arange(BLOCK, device=device)

    def __len__(self) -> int:
        return len(self.vectors)

    def nearest(self, points: Tensor, count: int) -> Tensor:
        """The nearest items of every point, nearest first: points (S, ..., A) -> indices (S, ..., count).

        Each seed is searched on its own, so that it finds the same items in any pack.

        Raises:
            ValueError: the catalogue has fewer than `count` items.
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
        """For each chunk of items the index of its first item, and |z|² / 2 - q·z (R, chunk), ordered as |q - z|².

        All chunks use one buffer, so each is valid until the next one. With a new array for each, the system clears its
        pages, which can take as long as the products.
        """
        R, queries = len(queries), queries.detach()
        buffer = torch.empty(R * min(CHUNK, len(self)), device=queries.device)
        for start in range(0, len(self), CHUNK):
            half_squares, vectors = (each[start : start + CHUNK] for each in (self._half_squares, self.vectors))
            out = buffer[: R * len(vectors)].view(R, len(vectors))
            yield start, torch.addmm(half_squares, queries, vectors.mT, alpha=-1, out=out)

    def _search(self, queries: Tensor, count: int) -> Tensor:
        """The search of one seed in a small catalogue: (R, A) -> (R, count)."""
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
        """The search of one seed in a large catalogue: (R, A) -> (R, count).

        The k nearest items lie in the k blocks whose nearest items are nearest. Only these blocks are then sorted,
        which is much faster than sorting all distances.
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
        return torch.cat([self._nearest_in_blocks(points, near, count) for points, near in pairs])

    def _nearest_in_blocks(self, queries: Tensor, blocks: Tensor, count: int) -> Tensor:
        """The nearest items of each query in its blocks: (R, A), (R, count) -> (R, count)."""
        items = (blocks.unsqueeze(-1) * BLOCK + self._in_block).flatten(1)  # (R, count * BLOCK)
        there = items.clamp(max=len(self) - 1)  # the last block may be shorter
        distances = self._half_squares[there] - (self.vectors[there] @ queries.unsqueeze(-1)).squeeze(-1)
        distances = distances.masked_fill(items >= len(self), math.inf)
        return items.gather(-1, _smallest(distances, count)[1])

    def __getitem__(self, indices: Tensor) -> Tensor:
        """The vectors of items: (...) -> (..., A)."""
        return self.vectors[indices]


class InvertedFile(Catalogue):
    """A catalogue with approximate search, by faiss's inverted file.

    K-means puts the items into 4 √N cells. Only the `probes` cells whose centres are nearest to a point are searched.
    The index depends on the vectors alone, as faiss's seed is fixed, so every process finds the same items. The search
    runs on the CPU, also for tensors on a GPU, whose updates wait for it.

    Source: faiss's IndexIVFFlat (github.com/facebookresearch/faiss).

    Raises:
        ImportError: faiss is not installed.
    """

    def __init__(self, vectors: np.ndarray, probes: int, device: torch.device | None = None) -> None:
        import faiss  # type: ignore[import-not-found]  # the optional extra `approximate`

        super().__init__(vectors, device)
        table = self.vectors.cpu().numpy()
        faiss.omp_set_num_threads(torch.get_num_threads())  # faiss may have a thread pool of its own
        self.probes, self.cells = probes, CELLS * math.isqrt(len(table))
        self._centres = faiss.IndexFlatL2(table.shape[1])  # the index only refers to it
        self._index = faiss.IndexIVFFlat(self._centres, table.shape[1], self.cells)
        self._index.cp.max_points_per_centroid = 64  # ours: a quarter of faiss's own, in a quarter of the time
        self._index.train(table)
        self._index.add(table)

    def _nearest(self, queries: Tensor, count: int) -> Tensor:
        """The search of one seed: (R, A) -> (R, count). It is exact where the cells hold fewer than `count` items."""
        self._index.nprobe = self.probes
        _, found = self._index.search(queries.detach().cpu().numpy(), count)  # -1 where there is none
        items = torch.from_numpy(found).to(queries.device)
        short = items[:, -1] < 0
        if short.any():
            items[short] = super()._nearest(queries[short], count)
        return items

    def recall(self, points: Tensor, found: Tensor) -> Tensor:
        """The share of the true nearest items that were found, per seed: (S, ..., A), (S, ..., count) -> (S,)."""
        shares = []
        for queries, items in zip(points.flatten(1, -2).unbind(), found.flatten(1, -2).unbind(), strict=True):
            true = super()._nearest(queries, items.shape[-1])
            shares.append((items.unsqueeze(-1) == true.unsqueeze(-2)).any(-1).float().mean())
        return torch.stack(shares)


def why_not_inverted(catalogue: Catalogue | None) -> str | None:
    """What an approximate search needs and a task or this machine lacks; None: it is possible."""
    if catalogue is None or len(catalogue) < INVERTED_FROM:
        return f"needs a catalogue of {INVERTED_FROM} items or more"
    if importlib.util.find_spec("faiss") is None:
        return "needs faiss: pip install faiss-cpu, or the extra 'approximate'"
    return None


def _smallest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The smallest entries of each row, in order, and their indices."""
    if count == 1:  # several times faster than topk
        return values.min(-1, keepdim=True)
    return values.topk(count, dim=-1, largest=False, sorted=True)
