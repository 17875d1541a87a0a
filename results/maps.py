"""Attention maps of trained trials: one Parquet file per trial, a row per input, layer and head.

The weights of a head are its row's `weights`: float16, row by row, queries by columns, little
endian. The first `tokens` columns are tokens; those after them are summaries or slots.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from results.errors import RunError
from results.files import write_atomic

MAPS = "maps"  # a folder of the run
MAPS_VERSION = 1
VERSION_KEY = b"attnas.maps"
STORED = np.dtype("<f2")
SCHEMA = pa.schema(
    [
        pa.field("input", pa.string(), nullable=False),
        pa.field("layer", pa.int32(), nullable=False),
        pa.field("head", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("pattern", pa.string(), nullable=False),
        pa.field("signed", pa.bool_(), nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),
        pa.field("entropy_bits", pa.float64(), nullable=False),
        pa.field("distance_tokens", pa.float64()),
        pa.field("first_share", pa.float64()),
        pa.field("own_share", pa.float64()),
        pa.field("previous_share", pa.float64()),
        pa.field("word", pa.string(), nullable=False),
        pa.field("query_symbols", pa.list_(pa.string()), nullable=False),
        pa.field("column_symbols", pa.list_(pa.string()), nullable=False),
        pa.field("weights", pa.binary(), nullable=False),
    ],
    metadata={VERSION_KEY: str(MAPS_VERSION).encode()},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadMap:
    """One head of a layer on one input; evaluator/head_summaries.py says what the figures mean."""

    input: str  # what was read, in words
    layer: int  # from 1, in the order of the design
    head: int  # from 1, among the layer's query heads
    kind: str  # causal, bidirectional or cross
    pattern: str  # in words
    signed: bool  # weights of either sign, whose rows don't sum to 1
    tokens: int
    entropy_bits: float
    distance_tokens: float | None
    first_share: float | None
    own_share: float | None
    previous_share: float | None
    word: str  # previous token, itself, first tokens, local, broad, or nothing
    query_symbols: Sequence[str]
    column_symbols: Sequence[str]
    weights: npt.NDArray[Any]  # (queries, columns)

    def to_plain(self) -> dict[str, Any]:
        """The row without the weights and symbols, as JSON data."""
        left_out = ("query_symbols", "column_symbols", "weights")
        names = [f.name for f in fields(self) if f.name not in left_out]
        sizes = {"queries": len(self.query_symbols), "columns": len(self.column_symbols)}
        return {name: getattr(self, name) for name in names} | sizes


def maps_path(run: Path, trial: int) -> Path:
    """Where the maps of a trial are kept."""
    return run / MAPS / f"trial-{trial}.parquet"


def write_maps(run: Path, trial: int, heads: Sequence[HeadMap]) -> Path:
    """All maps of a trial; those of before are replaced."""
    columns: dict[str, list[Any]] = {}
    for name in SCHEMA.names:
        columns[name] = [getattr(head, name) for head in heads]
    columns["weights"] = [np.asarray(w, dtype=STORED).tobytes() for w in columns["weights"]]
    buffer = io.BytesIO()
    table = pa.Table.from_pydict(columns, schema=SCHEMA)
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    path = maps_path(run, trial)
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, buffer.getvalue())
    return path


def read_heads(run: Path, trial: int) -> pd.DataFrame | None:
    """Every head's figures, a row each, without weights and symbols; None if there are no maps."""
    path = maps_path(run, trial)
    if not path.exists():
        return None
    large = {"query_symbols", "column_symbols", "weights"}
    return _read(path, [n for n in SCHEMA.names if n not in large]).to_pandas()


def read_map(run: Path, trial: int, of: str, layer: int, head: int) -> HeadMap:
    """One head on the input called `of`; RunError, one sentence, where there is none."""
    path = maps_path(run, trial)
    here = (pc.field("input") == of) & (pc.field("layer") == layer) & (pc.field("head") == head)
    rows = _read(path, SCHEMA.names, here).to_pylist()
    if not rows:
        raise RunError(f"{path} has no map of layer {layer}, head {head} on {of!r}")
    row = rows[0]
    shape = len(row["query_symbols"]), len(row["column_symbols"])
    try:
        weights = np.frombuffer(row["weights"], dtype=STORED).reshape(shape)
    except ValueError as error:
        raise _damaged(path, error) from error
    return HeadMap(**row | {"weights": weights})


def _read(path: Path, columns: list[str], where: pc.Expression | None = None) -> pa.Table:
    """Columns of a file, as far as this attnas knows them."""
    try:
        known = pq.read_schema(path).metadata or {}
        version = int(known.get(VERSION_KEY, b"0"))
        if version <= MAPS_VERSION:
            return pq.read_table(
                path, columns=columns, filters=where, page_checksum_verification=True
            )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    raise RunError(
        f"{path} has maps of version {version}; this attnas reads version {MAPS_VERSION}; "
        "upgrade attnas"
    )


def _damaged(path: Path, error: Exception) -> RunError:
    reason = str(error).splitlines()[0]
    return RunError(f"{path} is damaged ({reason}); write it again with `attnas maps`")
