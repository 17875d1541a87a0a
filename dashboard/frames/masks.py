"""Masks: the visible pairs of a pattern in a region of positions, as the cells that are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from dashboard.frames.designs import number_ranges
from search_space import BigBird, Dense, Design, Hierarchical, Kind, Pattern

MASK_CELLS = 128  # a side, as many as an eye can tell apart
LONGEST_MASK = 8192  # positions a side; beyond it counting the pairs takes seconds
FINEST = 16  # positions a side, the least that is looked at
CHUNK = 512  # query rows at once

Span = tuple[int, int]  # first position, and the one after the last


@dataclass(frozen=True, slots=True)
class Region:
    """Some queries and some keys."""

    query: Span
    key: Span

    @classmethod
    def square(cls, start: int, length: int) -> Region:
        """The same positions as queries and as keys."""
        return cls((start, start + length), (start, start + length))

    @property
    def side(self) -> int:
        """Positions of the longer side."""
        return max(self.query[1] - self.query[0], self.key[1] - self.key[0])

    def around(self, zoom: dict[str, list[float]]) -> Region:
        """What is seen after a zoom, and as much again at each side, within this region."""
        return Region(_widened(zoom.get("query"), self.query), _widened(zoom.get("key"), self.key))


def mask_lengths(context: int) -> list[int]:
    """Lengths at which a mask is worth looking at: powers of two, and the context."""
    longest = min(context, LONGEST_MASK)
    return sorted({n for n in (16, 64, 256, 1024, 4096) if n < longest} | {longest})


@lru_cache(maxsize=128)
def visible_shares(
    pattern: Pattern, region: Region, kind: Kind = "causal", cells: int = MASK_CELLS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of the pairs that are visible, by block of positions, and the blocks' edges.

    Up to `cells` positions a side a block is one position and a share is 0 or 1; tokens that are
    seen through the summary of their block share its one.
    """
    block = -(-region.side // cells)
    query_edges, key_edges = (_edges(*span, block) for span in (region.query, region.key))
    keys = np.arange(*region.key, dtype=np.int64)
    starts = key_edges[:-1] - region.key[0]
    counts = np.zeros((len(query_edges) - 1, len(starts)))
    step = max(1, CHUNK // block)  # blocks of rows at once
    for first in range(0, len(counts), step):
        last = min(first + step, len(counts))
        queries = np.arange(query_edges[first], query_edges[last], dtype=np.int64)
        seen = _seen(pattern, queries[:, None], keys[None, :], kind)  # (queries, keys)
        by_key = np.add.reduceat(seen, starts, axis=1, dtype=np.float64)
        rows = query_edges[first:last] - query_edges[first]
        counts[first:last] = np.add.reduceat(by_key, rows, axis=0)
    return counts / np.outer(np.diff(query_edges), np.diff(key_edges)), query_edges, key_edges


def mask_cells(
    pattern: Pattern, region: Region, kind: Kind = "causal", cells: int = MASK_CELLS
) -> pd.DataFrame:
    """The region's visible blocks; neighbours of a row with equal shares are one cell."""
    shares, queries, keys = visible_shares(pattern, region, kind, cells)
    changes = np.ones(shares.shape, dtype=bool)
    changes[:, 1:] = shares[:, 1:] != shares[:, :-1]
    rows, firsts = np.nonzero(changes)
    lasts = np.append(firsts[1:], 0)
    lasts[np.append(rows[1:] != rows[:-1], True)] = shares.shape[1]
    found = pd.DataFrame(
        {
            "query": queries[rows],
            "query_end": queries[rows + 1],
            "key": keys[firsts],
            "key_end": keys[lasts],
            "share": shares[rows, firsts],
        }
    )
    found = found[found["share"] > 0].reset_index(drop=True)
    return found.assign(
        asking=_spans(found["query"], found["query_end"]),
        seen=_spans(found["key"], found["key_end"]),
    )


def visible_text(pattern: Pattern, length: int, kind: Kind = "causal") -> str:
    """How much of the dense mask is there."""
    share = pattern.attended_pairs(length, kind) / Dense().attended_pairs(length, kind)
    name = {"causal": "causal pairs", "cross": "pairs of both"}.get(kind, "all pairs")
    if pattern.keeps_state:
        return f"through a state, {share:.0%} of {name}"
    return f"{share:.1%} of {name}"


def window_of(pattern: Pattern) -> int | None:
    """How far back the pattern's window reaches, the token itself included."""
    window = getattr(pattern, "window", None)
    if window is None or isinstance(pattern, BigBird):  # whose window is counted in blocks
        return None
    return (window - 1) * getattr(pattern, "dilation", 1) + 1


def distinct_patterns(design: Design, layer: int | None = None) -> list[tuple[Pattern, Kind, str]]:
    """Each pattern once per kind of attention, and where it is used; of all layers or of one.

    Heads are named where a layer is split between two patterns: `layer 1; layers 4, 5, heads 7, 8`.
    """
    found: dict[tuple[Pattern, Kind], dict[str, list[int]]] = {}
    for number, each in enumerate(design.layers, 1):
        if layer is not None and number != layer:
            continue
        first = 1
        for part in each.parts:
            numbers = list(range(first, first + part.heads))
            heads = "" if each.split is None else f", {_named('head', numbers)}"
            layers = found.setdefault((part.pattern, each.kind), {})
            layers.setdefault(heads, []).append(number)
            first += part.heads
    return [
        (pattern, kind, "; ".join(_named("layer", n) + heads for heads, n in layers.items()))
        for (pattern, kind), layers in found.items()
    ]


def _named(what: str, numbers: list[int]) -> str:
    """`layer 3`, `heads 1 to 6`."""
    return f"{what}{'' if len(numbers) == 1 else 's'} {number_ranges(numbers)}"


def _seen(pattern: Pattern, queries: np.ndarray, keys: np.ndarray, kind: Kind) -> np.ndarray:
    """How much of each pair is visible, 0 to 1."""
    visible = pattern.visible(queries, keys, kind).astype(np.float64)
    if isinstance(pattern, Hierarchical):
        visible += pattern.sees_summary(queries, keys // pattern.block) / pattern.block
    return visible


def _edges(first: int, stop: int, block: int) -> np.ndarray:
    return np.append(np.arange(first, stop, block), stop)


def _widened(seen: list[float] | None, whole: Span) -> Span:
    """A span that is looked at, and as much again at each side; fixed to a grid of its size."""
    if not seen or len(seen) != 2 or not np.isfinite(seen).all():
        return whole
    low, high = sorted(seen)
    size = max(FINEST, int(high - low))
    grid = 1 << max(2, size.bit_length() - 2)  # small pans need no new cells
    start = max(whole[0], int((low - size) // grid) * grid)
    stop = min(whole[1], -int(-(high + size) // grid) * grid)
    return (start, stop) if stop - start >= 1 else whole


def _spans(firsts: pd.Series, ends: pd.Series) -> list[str]:
    """`12`, or `4,000 to 4,031`."""
    return [
        f"{first:,}" if end - first == 1 else f"{first:,} to {end - 1:,}"
        for first, end in zip(firsts, ends, strict=True)
    ]
