"""Map cells: an attention map as the rectangles that are drawn, and its heads as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from results.maps import HeadMap

MOST_CELLS = 128  # a side, as many as an eye can tell apart
COLUMNS = {
    "layer": "Layer",
    "head": "Head",
    "word": "In a word",
    "entropy_bits": "Entropy",
    "distance_tokens": "Distance",
    "first_share": "First 4",
    "own_share": "Itself",
    "previous_share": "Previous",
    "pattern": "Pattern",
}


@dataclass(frozen=True, slots=True)
class MapCells:
    """What a chart draws: cells with weight, and how many there are a side."""

    cells: pd.DataFrame
    rows: int
    columns: int
    queries_each: int  # positions of a cell
    columns_each: int

    @property
    def largest(self) -> float:
        """The greatest weight, either sign; 1 where there is none."""
        return float(self.cells["weight"].abs().max()) if len(self.cells) else 1.0


def map_cells(found: HeadMap) -> MapCells:
    """A long map's cells are blocks: weights summed over the columns, averaged over the queries.

    So a row's cells sum to 1 whatever the length. Tokens have blocks as long as queries have;
    columns that are no tokens have some of their own behind them.
    """
    queries, columns = found.weights.shape
    down = -(-max(queries, found.tokens) // MOST_CELLS)
    wide = down if found.tokens else -(-columns // MOST_CELLS)
    rows = _edges(0, queries, down)
    across = np.append(_edges(0, found.tokens, wide)[:-1], _edges(found.tokens, columns, wide))
    by_key = np.add.reduceat(found.weights.astype(np.float64), across[:-1], axis=1)
    sums = np.add.reduceat(by_key, rows[:-1], axis=0)
    means = sums / np.diff(rows)[:, None]
    at, of = np.nonzero(means)
    asking = _spelled(found.query_symbols, rows, queries)
    seen = _spelled(found.column_symbols, across, found.tokens)
    cells = pd.DataFrame(
        {
            "query": rows[at],
            "query_end": rows[at + 1],
            "key": across[of],
            "key_end": across[of + 1],
            "weight": means[at, of],
            "asking": [asking[i] for i in at],
            "seen": [seen[i] for i in of],
        }
    )
    return MapCells(cells, len(rows) - 1, len(across) - 1, down, wide)


def _edges(first: int, stop: int, block: int) -> npt.NDArray[np.int64]:
    """Where blocks begin, and where the last one ends."""
    return np.append(np.arange(first, stop, block), stop)


def _spelled(symbols: Sequence[str], edges: npt.NDArray[np.int64], tokens: int) -> list[str]:
    """Each block as `12 to 15 'def '`; columns that are no tokens as they are called."""
    found = []
    for start, stop in pairwise(edges.tolist()):
        some = symbols[start:stop]
        if start >= tokens:
            found.append(some[0] if len(some) == 1 else f"{some[0]} ... {some[-1]}")
        else:
            places = f"{start}" if len(some) == 1 else f"{start} to {stop - 1}"
            found.append(f"{places} {''.join(some)!r}")
    return found


def head_table(heads: pd.DataFrame) -> pd.DataFrame:
    """Heads as `read_heads` gives them, shares in percent."""
    shares = [name for name in COLUMNS if name.endswith("share")]
    table = heads[list(COLUMNS)].copy()
    table[shares] = 100 * table[shares].astype(float)
    return table.rename(columns=COLUMNS)
