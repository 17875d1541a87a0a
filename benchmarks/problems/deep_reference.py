"""The best hypervolume of deep36, by a long search of its parts.

A design of 36 layers is three of 12 under one width, depth and bias, and its objectives are sums of
theirs (perplexity: of logarithms). So its front is that of sums of three points of the parts'
fronts: 18 fronts, each searched by evolution in bulk, then added up.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import moocore
import numpy as np
import numpy.typing as npt

from problems.hwgpt import (  # pyright: ignore[reportMissingImports]
    DEEPEST,
    Surrogates,
    hwgpt_s,
)

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Scale = Callable[[Floats], Floats]

GENERATIONS, CHILDREN = 60, 8_000  # of each of the 18 fronts
CELL = 1 / 400  # side of the grid, in the unit box, in which a front is thinned to a point a cell


def reference(folder: Path) -> tuple[float, float]:
    """Best hypervolumes found of hwgpt_s, which checks the method, and of deep36."""
    surrogates, problem = Surrogates(folder), hwgpt_s(folder, blind=True)
    low, high = np.array(problem.ideal), np.array(problem.ref)

    def scaled(points: Floats) -> Floats:
        """From logarithm of perplexity, memory, FLOPs of one part (or means of three)."""
        plain = np.hstack([np.exp(points[:, :1]), points[:, 1:]])
        return (plain - low) / (high - low)

    parts: list[Floats] = []
    whole: list[Floats] = []
    for width, depth, bias in product(range(3), range(3), range(2)):
        front = _searched(surrogates, (width, depth, bias))
        parts.append(scaled(front))
        one = _thinned(front, scaled, 1)
        two = _thinned(_sums(one, one), scaled, 2)
        whole.append(_best(scaled(_sums(two, one) / 3)))
        print(f"width {width}, depth {depth}, bias {bias}: {len(front)} points", flush=True)
    return _volume(np.vstack(parts)), _volume(np.vstack(whole))


def _searched(surrogates: Surrogates, first: tuple[int, int, int]) -> Floats:
    """The front of one width, depth and bias: (points, 3), perplexity as its logarithm."""
    rng, layers = np.random.default_rng([*first]), 10 + first[1]
    alike = np.array([[*pair] * DEEPEST for pair in product(range(3), range(3))])
    codes = np.vstack([alike, rng.integers(0, 3, (CHILDREN, 2 * DEEPEST))])
    found, values = codes[:0], np.empty((0, 3))
    for _ in range(GENERATIONS):
        codes[:, 2 * layers :] = 0
        codes = np.vstack([found, codes])
        values = np.vstack([values, _values(surrogates, first, codes[len(found) :])])
        keep = np.flatnonzero(moocore.is_nondominated(values, keep_weakly=False))
        found, values = codes[keep], values[keep]
        codes = _children(found, layers, rng)
    return values


def _children(parents: Codes, layers: int, rng: np.random.Generator) -> Codes:
    """Two parents crossed at random or in a stretch, and one or two codes moved."""
    pairs = rng.integers(0, len(parents), (2, CHILDREN))
    columns = np.arange(2 * DEEPEST)
    ends = np.sort(rng.integers(0, 2 * layers + 1, (2, CHILDREN)), axis=0)[:, :, None]
    stretch = (columns >= ends[0]) & (columns < ends[1])
    coins = rng.random((CHILDREN, 2 * DEEPEST)) < 0.5
    kind = rng.random((CHILDREN, 1))
    other = np.where(kind < 0.4, stretch, (kind < 0.6) & coins)
    children = np.where(other, parents[pairs[1]], parents[pairs[0]])
    moved = rng.random(children.shape) < 1.5 / (2 * layers)
    return np.where(moved, rng.integers(0, 3, children.shape), children)


def _values(surrogates: Surrogates, first: tuple[int, int, int], codes: Codes) -> Floats:
    points = np.hstack([np.tile(first, (len(codes), 1)), codes])
    quality = np.log(surrogates.perplexity(points))[:, None]
    return np.hstack([quality, surrogates.costs(points)]).astype(np.float64)


def _sums(one: Floats, other: Floats) -> Floats:
    """The front of all sums, in blocks to bound memory."""
    front = np.empty((0, one.shape[1]))
    for start in range(0, len(one), 200):
        sums = (one[start : start + 200, None] + other[None]).reshape(-1, one.shape[1])
        front = _best(np.vstack([front, _best(sums)]))
    return front


def _best(points: Floats) -> Floats:
    return points[moocore.is_nondominated(points, keep_weakly=False)]


def _thinned(points: Floats, scaled: Scale, parts: int) -> Floats:
    """One point per cell of a grid: of those in it the one with the best perplexity."""
    ordered = points[np.argsort(points[:, 0])]
    cells = np.floor(scaled(ordered / parts) / CELL).astype(int)
    return ordered[np.unique(cells, axis=0, return_index=True)[1]]


def _volume(points: Floats) -> float:
    inside = np.maximum(points[(points < 1).all(axis=1)], 0.0)
    return float(moocore.hypervolume(_best(inside), ref=np.ones(points.shape[1])))
