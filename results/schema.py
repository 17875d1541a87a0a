"""One row of a run and the ask it answers: in memory, as JSON, and as Arrow columns."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

import pyarrow as pa

from results.errors import RunError

SCHEMA_VERSION = 6  # 1 had no settings, 2 no gradients, 3 no held_out, 4 no rungs, 5 no spans
VERSION_KEY = b"attnas.schema"

# "passed" is a trial that reached a rung and goes on; every other state ends what was asked for
State = Literal["complete", "pruned", "passed", "infeasible", "diverged", "failed", "lost"]
STATES: tuple[State, ...] = get_args(State)

RowKey = tuple[int, int, int, int]  # (trial, seed, rung, attempt)
AskKey = tuple[int, int, int, int]  # (trial, attempt, seed, rung)
Span = tuple[str, float, float]  # what was done, from when to when: seconds from `started_at`


@dataclass(frozen=True, slots=True)
class Ask:
    """A design to be trained, from its beginning or from a rung, and when in the run's events."""

    trial: int
    attempt: int
    seed: int
    key: str
    design: str  # Design.to_json()
    origin: str
    ordinal: int
    settings: str | None = None  # one JSON object, of how the trial is trained
    rung: int = 0  # the first one that the trial is to reach now; 0 for a fresh trial

    @property
    def identity(self) -> AskKey:
        """What tells asks of one run apart."""
        return self.trial, self.attempt, self.seed, self.rung

    def to_plain(self) -> dict[str, Any]:
        """The ask as JSON data."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """What came of one design under one seed at one rung.

    The row of a training that ended between rungs is one of the rung that it did not reach.
    """

    trial: int  # number of the trial within the run, from 0
    attempt: int = 0
    seed: int
    rung: int = 0  # shares of the training budget, counted from 0
    key: str  # equal for rows that differ in seed and noise alone; without settings Design.key
    design: str  # Design.to_json()
    settings: str | None = None  # one JSON object, keys sorted; None where there are none
    origin: str  # "preset:mha", "random", "strategy:evolution", ...
    state: State
    reason: str | None = None
    started_at: float  # unix seconds
    finished_at: float  # unix seconds
    worker: str
    asked_at: int = -1  # ordinal of the ask in the run's events; the writer fills it
    told_at: int = -1  # ordinal of this row in the run's events; the writer fills it
    device: str | None = None
    threads: int | None = None
    dtype: str | None = None
    torch: str | None = None  # version
    kernels: str | None = None  # family that was measured
    data: str | None = None  # fingerprint
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)  # short flags by subject
    curve: Sequence[tuple[float, float]] = ()  # (tokens, loss)
    gradients: Sequence[Sequence[float]] = ()  # at the curve's points, the norm of each block
    held_out: Sequence[float] = ()  # accuracy's jackknife pseudo-value of each held-out group
    spans: Sequence[Span] = ()  # what the worker did when, in order, since the attempt began here

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"state must be one of {', '.join(STATES)}, but got {self.state!r}")
        metrics = {name: float(value) for name, value in self.metrics.items()}
        curve = tuple((float(tokens), float(loss)) for tokens, loss in self.curve)
        for name, value in metrics.items():
            if not name or name in FIXED_COLUMNS:
                raise ValueError(f"a metric may not be called {name!r}: the row has that column")
            if not math.isfinite(value):
                raise ValueError(
                    f"metrics must be finite, but trial {self.trial} has {name}={value}; "
                    "leave it out and say why in state and reason"
                )
        if not all(math.isfinite(number) for point in curve for number in point):
            raise ValueError(
                f"a curve must be finite, but that of trial {self.trial} is not; "
                "end it at its last finite loss"
            )
        object.__setattr__(self, "metrics", metrics)
        object.__setattr__(self, "notes", dict(self.notes))
        object.__setattr__(self, "curve", curve)
        norms = tuple(tuple(float(norm) for norm in point) for point in self.gradients)
        object.__setattr__(self, "gradients", norms)
        object.__setattr__(self, "held_out", tuple(float(value) for value in self.held_out))
        spans = tuple((str(name), float(start), float(end)) for name, start, end in self.spans)
        object.__setattr__(self, "spans", spans)

    @property
    def identity(self) -> RowKey:
        """What tells rows of one run apart: a second row of the same is a duplicate."""
        return self.trial, self.seed, self.rung, self.attempt

    @property
    def answers(self) -> tuple[AskKey, ...]:
        """The asks that may have led to this row: the first of these that was made did."""
        rungs = range(self.rung, -1, -1)
        return tuple((self.trial, self.attempt, self.seed, rung) for rung in rungs)

    def to_plain(self) -> dict[str, Any]:
        """The row as JSON data."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"metrics": {**self.metrics}}

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> TrialRow:
        """The row that `to_plain` gave, after a trip through JSON."""
        try:
            return cls(**data)
        except (TypeError, ValueError, AttributeError) as error:
            raise RunError(f"not a row of schema version {SCHEMA_VERSION}: {error}") from error

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_plain(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> TrialRow:
        """The row that `to_json` wrote."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise RunError(f"a row must be JSON, but {error}") from error
        return cls.from_plain(data)


SPAN = pa.struct([("name", pa.string()), ("start", pa.float64()), ("end", pa.float64())])
FIXED_SCHEMA = pa.schema(
    [
        pa.field("trial", pa.int64(), nullable=False),
        pa.field("attempt", pa.int64(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("rung", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("design", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("started_at", pa.float64(), nullable=False),
        pa.field("finished_at", pa.float64(), nullable=False),
        pa.field("worker", pa.string(), nullable=False),
        pa.field("asked_at", pa.int64(), nullable=False),
        pa.field("told_at", pa.int64(), nullable=False),
        pa.field("device", pa.string()),
        pa.field("threads", pa.int64()),
        pa.field("dtype", pa.string()),
        pa.field("torch", pa.string()),
        pa.field("kernels", pa.string()),
        pa.field("data", pa.string()),
        pa.field("notes", pa.string()),  # one JSON object
        pa.field("curve_tokens", pa.list_(pa.float64())),
        pa.field("curve_loss", pa.list_(pa.float64())),
        pa.field("settings", pa.string()),  # one JSON object; since schema version 2
        pa.field("gradients", pa.list_(pa.list_(pa.float64()))),  # since schema version 3
        pa.field("held_out", pa.list_(pa.float64())),  # since schema version 4
        pa.field("spans", pa.list_(SPAN)),  # since schema version 6
    ]
)
FIXED_COLUMNS = frozenset((*FIXED_SCHEMA.names, "metrics", "curve"))
_DERIVED = {"notes", "curve_tokens", "curve_loss", "spans"}


def rows_to_table(rows: Sequence[TrialRow]) -> pa.Table:
    """The rows as columns: the fixed ones, then every metric any row has, sorted by name."""
    names = sorted({name for row in rows for name in row.metrics})
    schema = pa.schema(
        [*FIXED_SCHEMA, *(pa.field(name, pa.float64()) for name in names)],
        metadata={VERSION_KEY: str(SCHEMA_VERSION)},
    )
    columns: dict[str, list[Any]] = {
        name: [getattr(row, name) for row in rows]
        for name in FIXED_SCHEMA.names
        if name not in _DERIVED
    }
    columns["notes"] = [json.dumps(row.notes, sort_keys=True) for row in rows]
    columns["curve_tokens"] = [[tokens for tokens, _ in row.curve] for row in rows]
    columns["curve_loss"] = [[loss for _, loss in row.curve] for row in rows]
    columns["spans"] = [
        [dict(zip(SPAN.names, span, strict=True)) for span in row.spans] for row in rows
    ]
    columns |= {name: [row.metrics.get(name) for row in rows] for name in names}
    return pa.table(columns, schema=schema)


def table_to_rows(table: pa.Table) -> list[TrialRow]:
    """The rows that `rows_to_table` laid out, now or in an older version.

    A metric that is null is left out.
    """
    columns = {name: table[name].to_pylist() for name in table.column_names}
    notes = columns.pop("notes")
    curves = zip(columns.pop("curve_tokens"), columns.pop("curve_loss"), strict=True)
    gradients = columns.pop("gradients", [None] * table.num_rows)
    held_out = columns.pop("held_out", [None] * table.num_rows)
    spans = columns.pop("spans", [None] * table.num_rows)
    plain_names = [n for n in FIXED_SCHEMA.names if n in columns and n not in _DERIVED]
    metric_names = [name for name in columns if name not in FIXED_COLUMNS]
    return [
        TrialRow(
            **{name: columns[name][i] for name in plain_names},
            metrics={n: columns[n][i] for n in metric_names if columns[n][i] is not None},
            notes=json.loads(notes[i] or "{}"),
            curve=list(zip(tokens or (), losses or (), strict=True)),
            gradients=gradients[i] or (),
            held_out=held_out[i] or (),
            spans=[(span["name"], span["start"], span["end"]) for span in spans[i] or ()],
        )
        for i, (tokens, losses) in enumerate(curves)
    ]


def schema_version(table: pa.Table) -> int:
    """Which version of the schema laid out these columns."""
    return int((table.schema.metadata or {}).get(VERSION_KEY, b"1"))


def check_schema_version(table: pa.Table, where: str) -> None:
    """Refuse columns that a newer attnas laid out."""
    version = schema_version(table)
    if version > SCHEMA_VERSION:
        raise RunError(
            f"{where} has row schema {version}; this attnas reads up to {SCHEMA_VERSION}; "
            "upgrade attnas"
        )
